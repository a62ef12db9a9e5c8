"""Dedup: removes copies over the whole pool."""

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from dedup.minhash import MinHash
from dedup.survivors import Link, Policy
from dedup.verify import Measure, Verify
from infra.errors import UsageError
from pipeline.steps.method import MethodStep

# Options by method, with their defaults.
#   policy           which copy survives: `first` in the order of the dataset, or what `dedup/survivors.py` lists
#   bands, rows      MinHash bands of so many hashes each: 14 x 8 are FineWeb's
#   ngram            words in a shingle
#   verify           compare the shingle sets of candidate pairs; false: every candidate pair counts
#   threshold        the least similarity of a verified pair, 0 to 1
#   measure          `jaccard`, or `containment` in the shorter text
#   link             `direct`: a copy is similar to its survivor itself; `component`: through others too
#   within_document  what happens to a line that one document alone repeats: `first` keeps its first copy
#   tokens           the least length of a repeated span, in tokens
#   characters       a document of which fewer characters are left is rejected
OPTIONS: dict[str, dict[str, Any]] = {
    "payload": {"policy": "first"},
    "text": {"policy": "first"},
    "url": {"policy": "first"},
    "minhash": {
        "bands": 14, "rows": 8, "ngram": 5, "verify": True, "threshold": 0.8, "measure": "jaccard",
        "policy": "first", "link": "direct",
    },
    "paragraphs": {"within_document": "first"},
    "substring": {"tokens": 50, "characters": 20},
}  # fmt: skip


@dataclass(frozen=True)
class Dedup(MethodStep):
    """Deduplicates records by their bytes (`payload`), documents by `url`, `text` or `minhash`, or parts of documents
    (`paragraphs`, `substring`)."""

    kind: ClassVar[str] = "dedup"
    stages: ClassVar[tuple[str, ...]] = ("dedup",)
    methods: ClassVar[tuple[str, ...]] = tuple(OPTIONS)

    def checked_options(self) -> dict[str, Any]:
        """Returns the options with their defaults. Raises UsageError for an unknown one or one of the wrong type."""
        known = OPTIONS[self.method]
        for name in self.options:
            if name not in known:
                raise UsageError(f"dedup {self.method}: no option {name!r}; there are {', '.join(sorted(known))}")
            if type(self.options[name]) is not type(known[name]):
                kind = type(known[name]).__name__
                raise UsageError(
                    f"dedup {self.method}: {name} is {self.options[name]!r}, not a {kind} like {known[name]!r}"
                )
        options = {**known, **self.options}
        choices = {"policy": get_args(Policy), "link": get_args(Link), "measure": get_args(Measure)}
        for name, allowed in choices.items():
            if name in options and options[name] not in allowed:
                raise UsageError(f"dedup {self.method}: {name} is {options[name]!r}, not one of {', '.join(allowed)}")
        if self.method == "minhash":
            MinHash(options["bands"], options["rows"], options["ngram"])
            Verify(options["threshold"], options["measure"])
        if self.method == "substring" and options["tokens"] < 2:
            raise UsageError(f"dedup substring: tokens is {options['tokens']}; give at least 2")
        return options

    @property
    def on_records(self) -> bool:
        return self.method == "payload"
