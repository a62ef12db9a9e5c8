"""What the rules over a pool share: small tables that every partition sees, and a signal's value for each document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.catalog import SIGNALS
from infra.dataset import schema as schemas
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, Source
from infra.errors import UsageError
from pipeline.job.rows import carried_signals
from pipeline.recipes.recipe import STEP_SIGNALS
from pipeline.stages.filter import document_of

Values = npt.NDArray[np.float64]
How = Literal["column", "carried", "measured", "absent"]

# What a signal is measured on: all that `document_of` and a ledger row want.
MEASURED_ON = ["text", "url", "language", "language_score", "domain", "token_count", "signals"]


@dataclass(frozen=True)
class WholePart:
    """A small table as one part: every partition of a map may be given the whole of it."""

    dataset: Dataset
    sha256: str

    @property
    def fingerprint(self) -> str:
        return self.sha256

    def check(self) -> None:
        for part in self.dataset.parts():
            part.check()


@dataclass(frozen=True)
class Everywhere:
    """A small table beside each of `count` partitions; alone, it is a source of one part."""

    dataset: Dataset
    count: int = 1

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.dataset.refs

    def parts(self) -> list[WholePart]:
        return [WholePart(self.dataset, self.dataset.refs[0].sha256)] * self.count


def check_signal(name: str, source: Source, place: str) -> None:
    """UsageError for a signal that does not exist, or that only a step sets and no document of `source` carries."""
    if name not in SIGNALS and name not in STEP_SIGNALS:
        raise UsageError(f"{place}: no signal {name!r}; `refinery recipes signals` lists them")
    if name in SIGNALS or name == "language_score" or name in carried_signals(source):
        return
    raise UsageError(f"{place}: no document carries signals.{name}: label or measure it in a stage before this")


def how_known(part: Any, name: str, fresh: bool) -> How:
    """Where this part's values of a signal come from. `fresh`: measured on the text of now, as a judge step does, since
    a rewrite may have changed it after an earlier stage measured; else a measured value that is there is taken."""
    if name == "language_score":
        return "column"
    carried = name in schemas.signal_names(part.schema())
    if name in SIGNALS and (fresh or not carried):
        return "measured"
    return "carried" if carried else "absent"


def columns_for(known: Sequence[How]) -> list[str]:
    """The columns that `signal_values` needs; the text only where something is measured on it."""
    return MEASURED_ON if "measured" in known else ["language", "language_score", "signals"]


def signal_values(batch: pa.RecordBatch, name: str, known: How) -> Values:
    """A signal's value for each document of a batch; NaN where it is not measured or not finite."""
    match known:
        case "column":
            column = batch[name]
        case "carried":
            column = pc.struct_field(batch["signals"], name)
        case "measured":
            column = pa.array([document_of(row).signal(name) for row in batch.to_pylist()], pa.float64())
        case "absent":
            column = pa.nulls(batch.num_rows, pa.float64())
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    # minus zero is zero: the two are one value with one rank
    return np.where(np.isfinite(values), values, np.nan) + 0.0


def concatenated(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(list(batches), schema)
