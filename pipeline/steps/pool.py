"""Pool: a rule over the whole pool of documents."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from filters.rules import Rule
from infra.errors import UsageError
from infra.names import meant
from mixers.domains import AXIS_OF, Axis
from pipeline.steps.fields import not_one_of, shown
from pipeline.steps.method import MethodStep
from pipeline.steps.option import Option, typed
from pipeline.steps.signals import CLUSTER_SIGNALS

METHODS: dict[str, str] = {
    "quantile": "a signal against a percentile of the pool",
    "clusters": "documents clustered by meaning; the worst clusters are dropped",
    "keep_rate": "the best by a score: at most a share of what a baseline recipe keeps, by language, axis and domain",
}
# Bounds are probabilities, less what length costs; of a group of which nothing is kept a little more. What is above was
# a logit, as an earlier version wrote them with its `tilt`; no document is so long that it costs as much as the least.
_MOST_BOUND, _LEAST_BOUND = 1.1, -1e12
_EARLIER = "bounds of an earlier version are logits: find them again with `refinery calibrate`"
# What each option does, with its unit and range.
ABOUT: dict[str, str] = {
    "signal": "the signal whose percentile decides",
    "keep": "the share of each group to keep, above 0 and at most 1",
    "side": 'which values are kept: `"low"` or `"high"`',
    "by": '`"language"`: a percentile for each language; `"all"`: one',
    "min_count": "a group with fewer measured documents is kept whole",
    "clusters": "how many, 2 to 4096",
    "drop": "how many of the worst clusters (whole number), or which share of the documents they hold (below 1)",
    "score": "the signal whose mean over a cluster ranks it",
    "marks": "rules `{ signal, max }` (or `min`): the score is multiplied by the share of documents that pass",
    "min_size": "a cluster with fewer measured documents has no score and is kept",
    "at_most": "the most of what the baseline keeps, in documents and in tokens: of the lower end of its interval",
    "aim_docs": "the share of the baseline's documents, as estimated, that is aimed at",
    "aim_tokens": "the same of its tokens; more than `aim_docs` where the best documents are longer than the mean one",
    "of": "the baseline: a recipe that the audit sample went through (`baseline` of the extract stage)",
    "language_floor": "the least share of a language in what is kept, as a part of its share of the extracted pages",
    "axis_floor": "the least share of IQ, of EQ and of general in what is kept of a language",
    "domain_floor": "with `by` domain: the least share of a domain's documents that is kept, as a part of its axis's",
    "least_score": "documents with a lower score are not kept, whatever the pool, and no floor counts them",
    "bounds": "least ranks by group that `refinery calibrate` found, for a pool that is too small, or with `frozen`",
    "price": "what each `free_tokens` beyond the first cost with these bounds, in probability, 0 to 1",
    "free_tokens": "up to so many tokens length costs nothing, with these bounds",
    "frozen": "`bounds` decide, whatever the pool; what its own would keep is reported as drift",
    "sample": "documents on which the clusters are fitted, chosen by hash; at least 20 for each cluster",
}
TYPES = {"keep": "number", "drop": "number", "marks": "list of tables"}
# The same of options of `keep_rate` that others have too.
KEEP_RATE_ABOUT: dict[str, str] = {
    "signal": "the score, a probability: the best by it are kept",
    "by": "what is cut by its own scores: some of `language`, `axis` (IQ, EQ, general) and `domain`, or nothing",
    "min_count": "a pool of fewer documents, or of which the baseline would keep fewer, has the `bounds` of the recipe",
}
# The options of each method, with their defaults; None: must be given.
QUANTILE: dict[str, Any] = {"signal": None, "keep": None, "side": None, "by": "language", "min_count": 100}
# Fewer sampled documents per cluster than this are too few to describe it.
DOCUMENTS_A_CLUSTER = 20
MAX_CLUSTERS = 4096
CLUSTERS: dict[str, Any] = {
    "clusters": 100, "drop": None, "score": "quality", "marks": (), "min_size": DOCUMENTS_A_CLUSTER, "sample": 20_000,
}  # fmt: skip
KEEP_RATE: dict[str, Any] = {
    "signal": "quality", "of": "falcon", "at_most": 0.09, "aim_docs": 0.07, "aim_tokens": 0.08,
    "by": ("language", "axis"), "language_floor": 1.0, "axis_floor": 0.15, "domain_floor": 0.7, "least_score": 0.5,
    "min_count": 100, "bounds": {}, "price": 0.0, "free_tokens": 0, "frozen": False,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {"quantile": QUANTILE, "clusters": CLUSTERS, "keep_rate": KEEP_RATE}


@dataclass(frozen=True)
class PoolRule(MethodStep):
    """`quantile` (a signal against a percentile of the pool, by language), `clusters` (documents clustered by meaning,
    the worst clusters dropped) or `keep_rate` (the best by a score, a share of what a baseline recipe keeps)."""

    kind: ClassVar[str] = "pool"
    stages: ClassVar[tuple[str, ...]] = ("filter",)
    methods: ClassVar[tuple[str, ...]] = ("quantile", "clusters", "keep_rate")

    @classmethod
    def options_of(cls, method: str) -> tuple[Option, ...]:
        return tuple(
            replace(each, type=TYPES.get(each.name, each.type))
            for each in typed(OPTIONS[method], ABOUT | (KEEP_RATE_ABOUT if method == "keep_rate" else {}))
        )

    def checked_options(self) -> dict[str, Any]:
        """Returns the options with their defaults. Raises UsageError for an unknown one or one of the wrong type."""
        known = OPTIONS[self.method]
        place = f"pool {self.name!r}"
        for name in self.options:
            if name == "tilt" and self.method == "keep_rate":
                raise UsageError(f"{place}: {_EARLIER}, which writes `price` in place of `tilt`")
            if name not in known:
                raise UsageError(f"{place}: {self.method} has no option {shown(name)}; {meant(name, sorted(known))}")
        options = {**known, **self.options}
        return {"quantile": _quantile, "clusters": _clusters, "keep_rate": _keep_rate}[self.method](options, place)

    def models(self) -> Iterator[str]:
        model = self.options.get("model")
        return iter([str(model)] if model else [])

    def requires(self) -> Iterator[str]:
        options = self.checked_options()
        if self.method != "clusters":
            return iter([options["signal"]])
        return iter(sorted({options["score"], *(mark["signal"] for mark in options["marks"])}))

    @property
    def sets(self) -> frozenset[str]:
        return frozenset(CLUSTER_SIGNALS) if self.method == "clusters" else frozenset()


def _quantile(options: dict[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(options["signal"], str):
        raise UsageError(f"{place}: quantile needs a signal by its name, not {options['signal']!r}")
    keep = options["keep"]
    if type(keep) not in (int, float) or not 0 < keep <= 1:
        raise UsageError(f"{place}: keep is {keep!r}; it must be the share to keep, above 0 and at most 1")
    for name, allowed in (("side", ("low", "high")), ("by", ("language", "all"))):
        if options[name] not in allowed:
            raise UsageError(f"{place}: {name} is {shown(options[name])}, {not_one_of(options[name], allowed)}")
    if type(options["min_count"]) is not int or options["min_count"] < 1:
        raise UsageError(f"{place}: min_count is {options['min_count']!r}; it must be a number of documents")
    return options


def _clusters(options: dict[str, Any], place: str) -> dict[str, Any]:
    for name in ("clusters", "min_size", "sample"):
        if type(options[name]) is not int or options[name] < 1:
            raise UsageError(f"{place}: {name} is {options[name]!r}; it must be a whole number above 0")
    drop, count = options["drop"], options["clusters"]
    if not (type(drop) is int and 0 < drop < count) and not (type(drop) is float and 0 < drop < 1):
        raise UsageError(f"{place}: drop is {drop!r}; it must be a share of the documents or a number of clusters")
    if not 2 <= count <= MAX_CLUSTERS or options["sample"] < count * DOCUMENTS_A_CLUSTER:
        least = f"2 to {MAX_CLUSTERS} clusters and a sample of {DOCUMENTS_A_CLUSTER} documents for each"
        raise UsageError(f"{place}: {count} clusters of a sample of {options['sample']}: it takes {least}")
    if not isinstance(options["score"], str) or not isinstance(options["marks"], list | tuple):
        raise UsageError(f"{place}: score must be a signal's name, and marks a list of rules")
    for mark in options["marks"]:
        mark_of(mark, place)
    return {**options, "marks": [dict(mark) for mark in options["marks"]]}


def mark_of(source: Any, place: str) -> Rule:
    """Reads a mark, `{signal = "...", max = 0.3}` or with `min`; documents that fail the rule are marked."""
    bounds = [bound for bound in ("min", "max") if isinstance(source, Mapping) and bound in source]
    if len(bounds) != 1 or set(source) != {"signal", bounds[0]}:
        raise UsageError(f"{place}: a mark is {{signal = NAME, max = NUMBER}} or with min, not {source!r}")
    threshold = source[bounds[0]]
    if type(threshold) not in (int, float) or not math.isfinite(threshold):
        raise UsageError(f"{place}: the threshold of mark {source['signal']!r} must be a number, not {threshold!r}")
    return Rule(str(source["signal"]), "min" if bounds[0] == "min" else "max", float(threshold))


def _keep_rate(options: dict[str, Any], place: str) -> dict[str, Any]:
    for name in ("signal", "of"):
        if not isinstance(options[name], str):
            raise UsageError(f"{place}: {name} must be a name, not {shown(options[name])}")
    for name in ("at_most", "aim_docs", "aim_tokens", "language_floor", "axis_floor", "domain_floor", "least_score"):
        value = options[name]
        if type(value) not in (int, float) or not 0 <= value <= 1:
            raise UsageError(f"{place}: {name} is {shown(value)}; it must be a share, 0 to 1")
    for name in ("aim_docs", "aim_tokens"):
        if options[name] > options["at_most"]:
            raise UsageError(f"{place}: {name} {options[name]} is above at_most {options['at_most']}")
    by = [options["by"]] if isinstance(options["by"], str) else options["by"]
    grouped = [name for name in ("language", "axis", "domain") if name in by] if isinstance(by, list | tuple) else None
    if grouped is None or len(grouped) != len(by):
        raise UsageError(f"{place}: by is {shown(options['by'])}; it may name language, axis and domain")
    if type(options["min_count"]) is not int or options["min_count"] < 1:
        raise UsageError(f"{place}: min_count is {shown(options['min_count'])}; it must be a number of documents")
    if type(options["frozen"]) is not bool:
        raise UsageError(f"{place}: frozen is {shown(options['frozen'])}; it must be true or false")
    if type(options["free_tokens"]) is not int or not 0 <= options["free_tokens"] < 2**63:
        raise UsageError(f"{place}: free_tokens is {shown(options['free_tokens'])}; it must be a number of tokens")
    _check_bounds(options, grouped, place)
    bounds = options["bounds"]
    if options["frozen"] and not bounds:
        raise UsageError(f"{place}: frozen needs the bounds that `refinery calibrate` writes")
    return {**options, "by": grouped, "bounds": {name: bounds[name] for name in sorted(bounds)}}


def _check_bounds(options: Mapping[str, Any], by: list[str], place: str) -> None:
    """UsageError for bounds or a price that no run could have found, and for groups that `by` does not make."""
    bounds, price = options["bounds"], options["price"]
    values: list[Any] = [price, *bounds.values()] if isinstance(bounds, Mapping) else [None]
    if not all(type(value) in (int, float) for value in values):
        raise UsageError(f"{place}: bounds must be {{ GROUP = NUMBER }}, and price a number")
    if not 0 <= price <= 1:
        raise UsageError(f"{place}: price is {shown(price)}; it must be a probability, 0 to 1")
    for group, value in bounds.items():
        if not _LEAST_BOUND <= value <= _MOST_BOUND:
            cause = f"; {_EARLIER}" if value > _MOST_BOUND else ""
            raise UsageError(f"{place}: the bound of {shown(group)} is {shown(value)}; it must be a probability{cause}")
        _check_group(str(group), by, place)


def _check_group(group: str, by: list[str], place: str) -> None:
    """A group has the parts that `by` names, or the first ones of them: en, en/IQ, en/IQ/mathematics."""
    parts = dict(zip(by or ["all"], group.split("/"), strict=False))
    if "" in parts.values() or group.count("/") >= len(by or ["all"]) or (not by and group != "all"):
        form = "/".join(name.upper() for name in by) or "all"
        raise UsageError(f"{place}: no group of bounds can be {group!r}: the form is {form}")
    axis, domain = parts.get("axis", Axis.GENERAL.value), parts.get("domain", "")
    if axis not in (axes := [each.value for each in Axis]):
        raise UsageError(f"{place}: bounds name the axis {axis!r}, {not_one_of(axis, axes)}")
    if "axis" in by and domain in AXIS_OF and axis != AXIS_OF[domain].value:
        raise UsageError(f"{place}: bounds name {group!r}, but the axis of {domain} is {AXIS_OF[domain].value}")
