"""Dedup: removes copies over the whole pool."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, get_args

from dedup.index.decide import Keeping
from dedup.index.decide import Policy as IndexPolicy
from dedup.minhash import SIGNATURES, MinHash
from dedup.paragraphs import Keep, LineSpans, Normal, WithinDocument
from dedup.policy import Policy
from dedup.segments import Unit, Windows
from dedup.substring import MIN_CHARACTERS, MOST_SHARE, Action, SpanEdit
from dedup.survivors import Link
from dedup.verify import Measure, Verify
from infra.errors import UsageError
from infra.names import meant
from pipeline.steps.fields import not_one_of, shown
from pipeline.steps.method import MethodStep
from pipeline.steps.option import Option, type_of, typed

_BANDS_AND_ROWS = ("bands", "rows")
# The largest whole number of an option: places in a text are of 32 bits.
MOST = (1 << 31) - 1
# What each option does, with its unit and range.
ABOUT: dict[str, str] = {
    "policy": "which copy survives: " + ", ".join(f'`"{policy}"`' for policy in get_args(Policy)) + "; `content` by "
    "a hash of it, which also decides ties, so that the order of the documents does not matter; `first` in that order",
    "signature": "bands and rows of a published corpus, in place of `bands` and `rows`: "
    + ", ".join(f'`"{name}"` ({bands} of {rows})' for name, (bands, rows) in SIGNATURES.items()),
    "bands": "MinHash bands; pages that agree in all hashes of one band are compared",
    "rows": "hashes in a band",
    "ngram": "words in a shingle",
    "verify": "compare the shingle sets of candidate pairs; false: every candidate pair counts",
    "threshold": "the least similarity of a verified pair, 0 to 1",
    "measure": 'of similarity: `"jaccard"`, or `"containment"`, the share of the shorter text '
    'in the longer (with the policy `"longest"` alone)',
    "link": '`"direct"`: a copy is similar to its survivor itself; `"component"`: through others too',
    "lines": "lines in a span: what is compared are runs of so many, and a line goes if a span that has it does",
    "normalise": 'lines are compared as cc_net does, `"ccnet"`: in lower case, digits as 0, without typographic '
    'punctuation and white space at the ends; or as C4 does, `"c4"`: in lower case, without that white space',
    "within_document": "with `keep` of `none`: a line that one document alone repeats: `first` keeps its first copy",
    "block": "the scope: spans are compared within so many input files of a snapshot that follow each other by name; "
    "0: within the whole pool",
    "tokens": "the least length of a repeated span, in tokens",
    "bytes": "the same in bytes of UTF-8, in place of tokens; 0: in tokens",
    "action": 'on spans: `"cut"`; `"mask"`, each is replaced by `[…]`; `"drop"` documents by their share in spans',
    "keep": '`"none"`: all copies are acted on; `"first"`: one stays, of the document that is first by a hash of its '
    "content and id, so that the order of the documents does not matter",
    "gap": "spans with at most so many tokens (or bytes) between them are one",
    "share": "with `drop`: a document of which a larger share is in spans is rejected, others stay whole",
    "characters": "with `cut`: a document of which fewer characters are left is rejected",
}
METHODS: dict[str, str] = {
    "payload": "records with the same bytes; before the extraction",
    "text": "documents with the same text",
    "url": "documents with the same address, normalised",
    "minhash": "documents with similar texts, found by MinHash",
    "paragraphs": "lines, or spans of lines, that occur more than once in the pool or in a block of its files: all "
    "copies (CCNet), or all but one (C4); what has no line left is rejected",
    "index": "documents that this snapshot, or an older one, has already, by an [index](dedup_index.md)",
    "substring": "spans that occur more than once in the pool, all copies (RefinedWeb) or all but the first",
}
# Of the method `index`, where an option of this name says something else.
ABOUT_INDEX: dict[str, str] = {
    "index": "the folder of the index, on disk or in an object store; made if it is not there",
    "snapshot": "the name of this snapshot; by default the crawl of its first document",
    "policy": "what removes a document: " + ", ".join(f'`"{policy}"`' for policy in get_args(IndexPolicy)) + "; see "
    "[policies](dedup_index.md#policies)",
    "copies": "with `copies`: how many snapshots have a document that is kept",
    "threshold": "the least Jaccard similarity of duplicates; this and what follows stays as the index was made",
}
# Options by method, with their defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "payload": {"policy": "content"},
    "text": {"policy": "content"},
    "url": {"policy": "content"},
    "minhash": {
        "signature": "", "bands": 14, "rows": 8, "ngram": 5, "verify": True, "threshold": 0.8, "measure": "jaccard",
        "policy": "content", "link": "direct",
    },
    "index": {
        "index": "", "snapshot": "", "policy": "older", "copies": 2, "threshold": 0.8, "bands": 14, "rows": 8,
        "ngram": 5,
    },
    "paragraphs": {"lines": 1, "keep": "none", "normalise": "ccnet", "within_document": "first", "block": 0},
    "substring": {
        "tokens": 50, "bytes": 0, "action": "cut", "keep": "none", "gap": 0, "share": MOST_SHARE,
        "characters": MIN_CHARACTERS,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Dedup(MethodStep):
    """Deduplicates records by their bytes (`payload`), documents by `url`, `text` or `minhash`, or by an `index` of
    several snapshots, or parts of documents (`paragraphs`, `substring`)."""

    kind: ClassVar[str] = "dedup"
    stages: ClassVar[tuple[str, ...]] = ("dedup",)
    methods: ClassVar[tuple[str, ...]] = tuple(OPTIONS)

    @classmethod
    def options_of(cls, method: str) -> tuple[Option, ...]:
        options = typed(OPTIONS[method], ABOUT | ABOUT_INDEX if method == "index" else ABOUT)
        return tuple(replace(option, default="") if option.name == "signature" else option for option in options)

    @classmethod
    def without_others(cls, options: Mapping[str, Any], name: str, kept: Collection[str]) -> dict[str, Any]:
        """A signature stands in place of `bands` and `rows`, and each of these in place of a signature's own."""
        signature = options.get("signature")
        if name == "signature":
            return {each: value for each, value in options.items() if each not in _BANDS_AND_ROWS or each in kept}
        if name not in _BANDS_AND_ROWS or "signature" in kept or signature not in SIGNATURES:
            return dict(options)
        others = {each: value for each, value in options.items() if each != "signature"}
        return dict(zip(_BANDS_AND_ROWS, SIGNATURES[signature], strict=True)) | others

    def checked_options(self) -> dict[str, Any]:
        """Returns the options with their defaults. Raises UsageError for an unknown one or one of the wrong type."""
        known = OPTIONS[self.method]
        for name in self.options:
            if name not in known:
                raise UsageError(f"dedup {self.method}: no option {shown(name)}; {meant(name, sorted(known))}")
        options = {**known, **self.options}
        for name, value in self.options.items():
            if isinstance(known[name], float) and type(value) is int:
                options[name] = float(value)
            elif type(value) is not type(known[name]):
                wanted = type_of(known[name])
                article = "" if wanted == "true or false" else "a "
                raise UsageError(f"dedup {self.method}: {name} must be {article}{wanted}, not {shown(value)}")
            elif type(value) is int and value > MOST:
                raise UsageError(f"dedup {self.method}: {name} is {shown(value)}; give at most {MOST:,}")
        policies = get_args(IndexPolicy) if self.method == "index" else get_args(Policy)
        choices = {"policy": policies, "link": get_args(Link), "measure": get_args(Measure)}
        choices |= {"action": get_args(Action), "keep": get_args(Keep), "normalise": get_args(Normal)}
        choices |= {"within_document": get_args(WithinDocument)}
        for name, allowed in choices.items():
            if name in options and options[name] not in allowed:
                hint = not_one_of(options[name], allowed)
                raise UsageError(f"dedup {self.method}: {name} is {shown(options[name])}, {hint}")
        if self.method == "minhash":
            options["bands"], options["rows"] = self._bands_and_rows(options)
            MinHash(options["bands"], options["rows"], options["ngram"])
            Verify(options["threshold"], options["measure"])
            if options["measure"] == "containment" and options["policy"] != "longest":
                raise UsageError(
                    'dedup minhash: measure = "containment" needs policy = "longest": by another the page that is '
                    "contained in a longer one could be the one that stays"
                )
        if self.method == "index":
            if not options["index"]:
                raise UsageError('dedup index: name the folder of the index: options = { index = "FOLDER" }')
            Keeping(options["policy"], options["copies"])
            MinHash(options["bands"], options["rows"], options["ngram"])
            Verify(options["threshold"])
        if self.method == "paragraphs":
            LineSpans(options["lines"])
            if options["block"] < 0:
                raise UsageError(f"dedup paragraphs: block is {options['block']}; give a number of files, or 0")
        if self.method == "substring":
            unit: Unit = "bytes" if options["bytes"] else "tokens"
            SpanEdit(Windows(unit, options[unit]), **{name: options[name] for name in ("gap", "share", "characters")})
        return options

    def _bands_and_rows(self, options: dict[str, Any]) -> tuple[int, int]:
        name = options["signature"]
        if "signature" not in self.options:
            return options["bands"], options["rows"]
        if name not in SIGNATURES:
            raise UsageError(f"dedup minhash: signature is {shown(name)}, {not_one_of(name, tuple(SIGNATURES))}")
        if given := [each for each in _BANDS_AND_ROWS if each in self.options]:
            bands, rows = SIGNATURES[name]
            raise UsageError(
                f"dedup minhash: signature {name!r} is {bands} bands of {rows} rows; leave out {' and '.join(given)}, "
                "or the signature"
            )
        return SIGNATURES[name]

    @property
    def remembers(self) -> bool:
        return self.method == "index"

    @property
    def on_records(self) -> bool:
        return self.method == "payload"

    @property
    def needs_text(self) -> bool:
        return self.method not in ("payload", "url")
