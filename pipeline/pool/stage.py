"""Rules that look at the whole pool: a signal against a percentile of all documents, and clusters of meaning.

Both count over the pool in thin intermediate tables (datasets below `OUT/.work`, with receipts of their own), decide
once, and apply in an aligned pass over the documents. What was found (thresholds, clusters) is the manifest's `pool`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.dataset.build import Extras, already_made
from infra.dataset.manifest import FileRef, Kind
from infra.dataset.reader import Dataset, Source
from infra.dataset.receipts import Totals
from infra.errors import UsageError
from infra.hashing import sha256_json
from pipeline.job.rows import carried_signals
from pipeline.job.tables import Tables
from pipeline.pool.apply import ApplyPool, PoolJudge, Verdict
from pipeline.pool.clusters import check_cluster_options, decide_clusters
from pipeline.pool.quantile import Side, find_quantiles, values_table
from pipeline.pool.values import check_signal
from pipeline.recipes.recipe import Pool, Stage
from pipeline.steps.interpreter import Reject

if TYPE_CHECKING:
    from pipeline.job.context import Context

# Which options `quantile` takes, with their defaults; the first three must be given.
QUANTILE: dict[str, Any] = {"signal": None, "keep": None, "side": None, "by": "language", "min_count": 100}


@dataclass(frozen=True)
class QuantileJudge:
    """A value on the kept side of its group's threshold, or at it, passes; so do values that were not measured, and
    groups without a threshold. The value stays in `signals`."""

    step: str
    signal: str
    side: Side
    thresholds: tuple[tuple[str, float | None], ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["quantile", self.step, self.signal, self.side, self.thresholds])

    @property
    def names(self) -> tuple[str, ...]:
        """None for the score of the language, which has a column of its own."""
        return () if self.signal == "language_score" else (self.signal,)

    def __call__(self, known: dict[str, Any]) -> Verdict:
        value, threshold = known["value"], dict(self.thresholds)[known["group"]]
        signals = dict.fromkeys(self.names, value)
        if value is None or threshold is None:
            return Verdict(signals, None)
        kept = value <= threshold if self.side == "low" else value >= threshold
        bound = "max" if self.side == "low" else "min"
        return Verdict(signals, None if kept else Reject(self.step, f"{bound}_{self.signal}", value, threshold))


def pool_stage(context: "Context", stage: Stage, source: Source, out: Path) -> Dataset:
    """Judge documents by the stage's one pool step. UsageError for options that the method does not know."""
    if len(stage.steps) != 1 or not isinstance(stage.steps[0], Pool):
        raise UsageError(f"stage {stage.name!r}: a pool step must be alone in its stage")
    step = stage.steps[0]
    options = check_pool(step)
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    if done := already_made(out, header):
        return done
    tables = Tables.of(context, stage.name, out)
    decide = decide_clusters if step.method == "clusters" else decide_quantile
    judge, known, found = decide(tables, step.name, options, source)
    task = ApplyPool(judge, context.recipe.sha256, carried_signals(source))
    about = {"step": step.name, "method": step.method, **options, **found}
    return context.engine.map_shards(task, [source, known], out, header, in_manifest(about))


def decide_quantile(
    tables: Tables, step: str, options: Mapping[str, Any], source: Source
) -> tuple[PoolJudge, Dataset, dict[str, Any]]:
    """The judge by thresholds, the table that it reads, and the thresholds for the manifest."""
    signal, side = options["signal"], options["side"]
    check_signal(signal, source, f"stage {tables.stage!r}")
    values = values_table(tables, source, signal, options["by"])
    found = find_quantiles(tables, values, options["keep"], side, options["min_count"])
    judge = QuantileJudge(step, signal, side, tuple((each.group, each.threshold) for each in found))
    return judge, values, {"groups": [each.as_dict() for each in found]}


def in_manifest(about: Mapping[str, Any]) -> Extras:
    """What was found over the pool, as the manifest's `pool`."""

    def extras(folder: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        del folder, totals
        return {"pool": dict(about)}, []

    return extras


def check_pool(step: Pool) -> dict[str, Any]:
    """The step's options with their defaults. UsageError for one that is unknown or of the wrong kind."""
    if step.method == "clusters":
        return check_cluster_options(step)
    place = f"pool {step.name!r}"
    for name in step.options:
        if name not in QUANTILE:
            raise UsageError(f"{place}: no option {name!r}; quantile takes {', '.join(sorted(QUANTILE))}")
    options = {**QUANTILE, **step.options}
    if not isinstance(options["signal"], str):
        raise UsageError(f"{place}: quantile needs a signal by its name, not {options['signal']!r}")
    keep = options["keep"]
    if type(keep) not in (int, float) or not 0 < keep <= 1:
        raise UsageError(f"{place}: keep is {keep!r}; it must be the share to keep, above 0 and at most 1")
    for name, allowed in (("side", ("low", "high")), ("by", ("language", "all"))):
        if options[name] not in allowed:
            raise UsageError(f"{place}: {name} is {options[name]!r}, not one of {', '.join(allowed)}")
    if type(options["min_count"]) is not int or options["min_count"] < 1:
        raise UsageError(f"{place}: min_count is {options['min_count']!r}; it must be a number of documents")
    return options


def pool_signals(step: Pool) -> set[str]:
    """The signals that a pool step reads."""
    options = check_pool(step)
    if step.method == "clusters":
        return {options["score"], *(mark["signal"] for mark in options["marks"])}
    return {options["signal"]}
