"""Shared by the pool rules: small tables that every partition reads, and the values of a signal for all documents."""

from collections.abc import Sequence
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
from infra.names import meant
from pipeline.job.carried import carried_signals
from pipeline.steps.batch import READ, working_documents
from pipeline.steps.option import SIGNAL_LIST
from pipeline.steps.signals import STEP_SIGNALS

Values = npt.NDArray[np.float64]
ValueSource = Literal["column", "carried", "measured", "absent"]


@dataclass(frozen=True)
class WholePart:
    """A small table as one part, for a map in which every partition reads all of it."""

    dataset: Dataset
    sha256: str

    @property
    def fingerprint(self) -> str:
        return self.sha256

    def check(self) -> None:
        for part in self.dataset.parts():
            part.check()


@dataclass(frozen=True)
class Broadcast:
    """A source with a small table beside each of `count` partitions; alone, a source of one part."""

    dataset: Dataset
    count: int = 1

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.dataset.refs

    def parts(self) -> list[WholePart]:
        return [WholePart(self.dataset, self.dataset.refs[0].sha256)] * self.count


def check_signal(name: str, source: Source, place: str) -> None:
    """Raises UsageError for an unknown signal, or one that only a step sets and no document of `source` has."""
    if name not in SIGNALS and name not in STEP_SIGNALS:
        raise UsageError(f"{place}: no signal {name!r}; {meant(name, (*SIGNALS, *STEP_SIGNALS), SIGNAL_LIST)}")
    if name in SIGNALS or name == "language_score" or name in carried_signals(source):
        return
    raise UsageError(f"{place}: no document carries signals.{name}: label or measure it in a stage before this")


def value_source(part: Any, name: str, fresh: bool) -> ValueSource:
    """Where the values of a signal in this part come from. `fresh`: measure on the current text, as a judge step does,
    since a rewrite may have changed it after an earlier measurement; otherwise use a measured value if there is one."""
    if name == "language_score":
        return "column"
    carried = name in schemas.signal_names(part.schema())
    if name in SIGNALS and (fresh or not carried):
        return "measured"
    return "carried" if carried else "absent"


def columns_for(known: Sequence[ValueSource]) -> list[str]:
    """The columns that `signal_values` needs; the text only if something is measured on it."""
    return list(READ) if "measured" in known else ["language", "language_score", "signals"]


def signal_values(batch: pa.RecordBatch, name: str, known: ValueSource) -> Values:
    """The value of a signal for each document of a batch, float64[rows]; NaN if not measured or not finite."""
    match known:
        case "column":
            column = batch[name]
        case "carried":
            column = pc.struct_field(batch["signals"], name)
        case "measured":
            column = pa.array([document.signal(name) for document in working_documents(batch)], pa.float64())
        case "absent":
            column = pa.nulls(batch.num_rows, pa.float64())
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    # Minus zero becomes zero: both are one value with one rank.
    return np.where(np.isfinite(values), values, np.nan) + 0.0
