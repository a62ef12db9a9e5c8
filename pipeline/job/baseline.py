"""What a baseline recipe would keep of the same input: estimated on an audit sample, handed on from stage to stage.

An extract stage with `baseline = "falcon"` passes the pages of its audit sample (`sample.py`) through the rules of that
recipe too: its own extraction, its labels, rules and edits, not its deduplication. All pages are counted by stratum:
their kind (the step of the prefilter at which they end; those that the baseline will hardly keep are one kind), the
octave of the length of their text there, and their share of the sample. Counters are whole numbers that add up in any
order. How the sums of all pages follow from them: `strata.py`.

The manifest of each later stage holds the estimate. A deduplication multiplies it by the share that it left of its own
input: the baseline's copies are among the same pages.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import exp, sqrt
from typing import Any

from infra.dataset.build import Extras
from infra.dataset.reader import Dataset, SideBySide, Source
from infra.dataset.receipts import SUM, Totals
from pipeline.job.intervals import DIGITS, Z, wilson
from pipeline.job.strata import Stratum, estimate

# The field of a manifest.
BASELINE = "baseline"
_PREFIX = f"{SUM}{BASELINE}/"
Interval = list[float | None]


@dataclass
class BaselineTally:
    """The counters of one partition."""

    counts: Counter[str] = field(default_factory=Counter)

    def page(self, kind: int, chars: int, share: float, language: str | None) -> str:
        """Counts a page of a kind (0: the baseline will hardly keep it; else the step of the stage at which it ended,
        from 1) with a text of `chars` characters there, and whose share of the sample is `share`. `language`: as the
        prefilter tells it, None if it did not get so far. Its stratum."""
        stratum = f"{kind:02d}.{chars.bit_length():02d}.{share!r}"
        at = f"{_PREFIX}{stratum}"
        self.counts[f"{at}/pages"] += 1
        self.counts[f"{at}/chars"] += chars
        if language is not None:
            self.counts[f"{_PREFIX}language/{language}"] += 1
        return stratum

    def sampled(self, stratum: str, chars: int, tokens: int | None) -> None:
        """Counts a page of the sample. `tokens`: of the text that the baseline keeps; None if it rejects the page."""
        at = f"{_PREFIX}{stratum}"
        self.counts[f"{at}/sampled"] += 1
        self.counts[f"{at}/sampled_chars"] += chars
        self.counts[f"{at}/chars_squares"] += chars * chars
        if tokens is not None:
            self.counts[f"{at}/docs"] += 1
            self.counts[f"{at}/tokens"] += tokens
            self.counts[f"{at}/squares"] += tokens * tokens
            self.counts[f"{at}/products"] += chars * tokens


@dataclass(frozen=True)
class Baseline:
    """`pages` of the input, `sampled` of them. `docs`, `tokens`: the estimates of what the recipe keeps, each with its
    variance; tokens are those of the fixed pre-tokenizer (`token_count`). `languages`: the pages by the language
    that the prefilter tells."""

    recipe: str
    pages: int
    sampled: int
    docs: float
    docs_variance: float
    tokens: float
    tokens_variance: float
    languages: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every page is in the sample."""
        return self.sampled == self.pages

    @property
    def docs_interval(self) -> Interval:
        """95 % (Wilson), of the number of documents."""
        if self.whole or not self.pages or not self.sampled:
            return [self.docs, self.docs if self.whole else None]
        share, trials = self.docs / self.pages, float(self.sampled)
        if 0 < share < 1 and self.docs_variance > 0:
            trials = share * (1 - share) * self.pages**2 / self.docs_variance
        return [round(end * self.pages, DIGITS) for end in wilson(share * trials, trials)]

    @property
    def tokens_interval(self) -> Interval:
        """95 %, of the number of tokens: normal in the logarithm, since pages differ by orders of magnitude."""
        if self.whole:
            return [self.tokens, self.tokens]
        if not self.tokens:
            return [0.0, None]
        factor = exp(Z * sqrt(self.tokens_variance) / self.tokens)
        return [round(self.tokens / factor, DIGITS), round(self.tokens * factor, DIGITS)]

    def left(self, docs: float, tokens: float) -> "Baseline":
        """After a deduplication that leaves these shares."""
        values = asdict(self) | {
            "docs": round(self.docs * docs, DIGITS), "docs_variance": round(self.docs_variance * docs**2, DIGITS),
            "tokens": round(self.tokens * tokens, DIGITS),
            "tokens_variance": round(self.tokens_variance * tokens**2, DIGITS),
        }  # fmt: skip
        return Baseline(**values)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "docs_interval": self.docs_interval, "tokens_interval": self.tokens_interval}

    @staticmethod
    def read(values: Mapping[str, Any]) -> "Baseline":
        return Baseline(**{name: values[name] for name in Baseline.__dataclass_fields__})


def estimated(recipe: str, counts: Mapping[str, int]) -> Baseline:
    """The estimate from the summed counters of all partitions."""
    strata: dict[str, dict[str, int]] = {}
    languages: dict[str, float] = {}
    for name, number in sorted(counts.items()):
        if name.startswith(_PREFIX):
            stratum, unit = name.removeprefix(_PREFIX).split("/")
            if stratum == "language":
                languages[unit] = float(number)
            else:
                strata.setdefault(stratum, {})[unit] = number
    found = []
    for name in sorted(strata):
        kind, _, share = name.split(".", 2)
        found.append(Stratum(int(kind), float(share), **strata[name]))
    pages, sampled = sum(each.pages for each in found), sum(each.sampled for each in found)
    docs, docs_variance, tokens, tokens_variance = (round(number, DIGITS) for number in estimate(found))
    return Baseline(recipe, pages, sampled, docs, docs_variance, tokens, tokens_variance, languages)


def baseline_of(source: Source) -> Baseline | None:
    """The estimate that belongs to these documents; None where they have none, or where it is that of more than
    they are. Of several datasets the sum."""
    if isinstance(source, Dataset):
        found = source.manifest.extra.get(BASELINE)
        return Baseline.read(found) if isinstance(found, Mapping) else None
    if not isinstance(source, SideBySide):
        return None
    every = [baseline_of(each) for each in source.sources]
    known = [each for each in every if each]
    if not known or len(known) < len(every) or len({each.recipe for each in known}) > 1:
        return None
    names = ("pages", "sampled", "docs", "docs_variance", "tokens", "tokens_variance")
    sums = {name: sum(getattr(each, name) for each in known) for name in names}
    names_of = sorted({name for each in known for name in each.languages})
    languages = {name: sum(each.languages.get(name, 0.0) for each in known) for name in names_of}
    return Baseline(known[0].recipe, **sums, languages=languages)


def share_of(kept: float, estimate: float, interval: Interval) -> dict[str, Any]:
    """What is kept over the baseline's estimate, with the interval that follows from the estimate's."""
    low, high = interval
    ends = [kept / high if high else 0.0, kept / low if low else None]
    return {
        "share": round(kept / estimate, DIGITS) if estimate else None,
        "interval": [None if end is None else round(end, DIGITS) for end in ends],
    }


def strictness(docs: int, tokens: int, baseline: Baseline) -> dict[str, Any]:
    """What is kept of what the baseline would keep, in documents and in tokens."""
    return {
        "of": baseline.recipe,
        "docs": share_of(docs, baseline.docs, baseline.docs_interval),
        "tokens": share_of(tokens, baseline.tokens, baseline.tokens_interval),
        "sampled": baseline.sampled,
        "pages": baseline.pages,
    }


def estimates(recipe: str) -> Extras:
    """The estimate of an extract stage, for its manifest."""

    def extras(folder: Any, totals: Totals) -> tuple[dict[str, Any], list[Any]]:
        del folder
        return {BASELINE: estimated(recipe, totals.counts).as_json()}, []

    return extras


def handed_on(source: Source, dedup: bool = False, more: Mapping[str, Any] | None = None) -> Extras | None:
    """The estimate of the source, for the manifest of a stage that reads it. `dedup`: the stage removes copies, so that
    the baseline keeps fewer too. `more`: further fields. None: there is nothing to write."""
    baseline = baseline_of(source)
    if baseline is None and not more:
        return None

    def extras(folder: Any, totals: Totals) -> tuple[dict[str, Any], list[Any]]:
        del folder
        found = dict(more or {})
        if baseline:
            left = baseline.left(*_left(source, totals)) if dedup else baseline
            found[BASELINE] = left.as_json()
        return found, []

    return extras


def _left(source: Source, totals: Totals) -> tuple[float, float]:
    """The shares of documents and of tokens that a deduplication left."""
    docs, funnel = totals.counts["in"], totals.funnel()
    sources = source.sources if isinstance(source, SideBySide) else (source,)
    tokens = sum(each.manifest.shards.sums.tokens for each in sources if isinstance(each, Dataset))
    kept = (docs - totals.counts["rejected"]) / docs if docs else 1.0
    return kept, funnel[-1]["tokens"] / tokens if funnel and tokens else kept
