"""Rules over the whole pool: a signal against a percentile of all documents, and clusters of meaning.

Both count over the pool in narrow intermediate tables (datasets below `OUT/.work`, with receipts of their own), decide
once, and apply in an aligned pass over the documents. The thresholds or clusters found are the manifest's `pool`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from infra.dataset.build import Extras, already_made
from infra.dataset.files import FileRef
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, Source
from infra.dataset.receipts import Totals
from infra.hashing import sha256_json
from infra.ledger import Reject
from pipeline.job.carried import carried
from pipeline.job.context import Context
from pipeline.job.tables import Tables
from pipeline.pool.apply import ApplyPool, PoolJudge, Verdict
from pipeline.pool.clusters import decide_clusters
from pipeline.pool.quantile import Side, find_quantiles, values_table
from pipeline.pool.values import check_signal
from pipeline.recipes.recipe import Stage
from pipeline.steps.pool import PoolRule


@dataclass(frozen=True)
class QuantileJudge:
    """Passes values on the kept side of their group's threshold or equal to it, values that were not measured, and
    groups without a threshold. The value is stored in `signals`."""

    step: str
    signal: str
    side: Side
    thresholds: tuple[tuple[str, float | None], ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["quantile", self.step, self.signal, self.side, self.thresholds])

    @property
    def names(self) -> tuple[str, ...]:
        """Empty for the language score, which has a column of its own."""
        return () if self.signal == "language_score" else (self.signal,)

    def __call__(self, known: dict[str, Any]) -> Verdict:
        value, threshold = known["value"], dict(self.thresholds)[known["group"]]
        signals = dict.fromkeys(self.names, value)
        if value is None or threshold is None:
            return Verdict(signals, None)
        kept = value <= threshold if self.side == "low" else value >= threshold
        bound = "max" if self.side == "low" else "min"
        return Verdict(signals, None if kept else Reject(self.step, f"{bound}_{self.signal}", value, threshold))


def pool_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Runs the stage's one pool step. Raises UsageError for options that the method does not have."""
    step = cast("PoolRule", stage.steps[0])  # a step that is alone in a filter stage is of this kind
    options = step.checked_options()
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    if done := already_made(out, header):
        return done
    tables = Tables.of(context, stage.name, out)
    decide = decide_clusters if step.method == "clusters" else decide_quantile
    judge, known, found = decide(tables, step.name, options, source)
    task = ApplyPool(judge, context.recipe.sha256, carried(source))
    about = {"step": step.name, "method": step.method, **options, **found}
    return context.engine.map_shards(task, [source, known], out, header, in_manifest(about))


def decide_quantile(
    tables: Tables, step: str, options: Mapping[str, Any], source: Source
) -> tuple[PoolJudge, Dataset, dict[str, Any]]:
    """Returns the judge by thresholds, the table that it reads, and the thresholds for the manifest."""
    signal, side = options["signal"], options["side"]
    check_signal(signal, source, f"stage {tables.stage!r}")
    values = values_table(tables, source, signal, options["by"])
    found = find_quantiles(tables, values, options["keep"], side, options["min_count"])
    judge = QuantileJudge(step, signal, side, tuple((each.group, each.threshold) for each in found))
    return judge, values, {"groups": [asdict(each) for each in found]}


def in_manifest(about: Mapping[str, Any]) -> Extras:
    """The result over the pool, as the manifest's `pool`."""

    def extras(folder: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        del folder, totals
        return {"pool": dict(about)}, []

    return extras
