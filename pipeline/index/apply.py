"""The documents of a snapshot without those that the index removes, which go to the ledger with their survivors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.index.decide import Keeping
from infra.dataset import schema as schemas
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_of
from pipeline.index.decisions import FEW
from pipeline.job.carried import Carried
from pipeline.job.funnel import Judged, by_batch


@dataclass(frozen=True)
class Apply:
    """Documents and their REMOVALS → documents. `step`: its name in the ledger; `names`: (number, name) of the
    snapshots, of which the last is added. Survivors get the `copies` of the documents that they stand for in it, and
    `snapshots` and `dumps`, the names of those that have them."""

    step: str
    choice: Keeping
    threshold: float
    recipe: str
    carried: Carried
    names: tuple[tuple[int, str], ...]

    @property
    def fingerprint(self) -> str:
        parts = [
            self.step,
            self.choice.policy,
            self.choice.copies,
            self.threshold,
            self.recipe,
            self.carried.fingerprint,
        ]
        return sha256_json(["index:apply", *parts, self.names])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, removals: Any) -> Iterator[Output]:
        table = removals.table().combine_chunks()  # in the order of the rows
        removing = pc.is_valid(table["rule"])
        removed, inherited = table.filter(removing), table.filter(pc.invert(removing))
        lost, heirs = removed["row"].to_numpy(), inherited["row"].to_numpy()

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            low, high = np.searchsorted(lost, [first, first + batch.num_rows])
            kept = np.ones(batch.num_rows, np.bool_)
            kept[lost[low:high] - first] = False
            ledger = self._ledger(batch.filter(pa.array(~kept)), removed.slice(low, high - low))
            low, high = np.searchsorted(heirs, [first, first + batch.num_rows])
            given = inherited.slice(low, high - low) if low < high else None
            if given is None:
                return Judged(kept, ledger)
            rows = heirs[low:high] - first
            dumps = self._snapshots(batch, rows, given["seen"].to_pylist()).filter(pa.array(kept))
            return Judged(kept, ledger, {**_counted(batch, kept, rows, given), "dumps": dumps})

        yield from by_batch(part, self.schema, self.step, self.recipe, judge)

    def _snapshots(self, batch: pa.RecordBatch, heirs: np.ndarray, seen: list[list[int] | None]) -> pa.Array:
        """`dumps` of a batch; `seen`: the older snapshots that have each of `heirs`, which may repeat."""
        own, names = self.carried.schema().field("dumps"), dict(self.names)
        found = batch["dumps"].to_pylist() if "dumps" in batch.schema.names else [None] * batch.num_rows
        for row, numbers in zip(heirs.tolist(), seen, strict=True):
            older = [names[number] for number in numbers or () if number in names]
            found[row] = sorted({*(found[row] or ()), *older, self.names[-1][1]})
        return pa.array(found, own.type)

    def _ledger(self, rejected: pa.RecordBatch, removals: pa.Table) -> pa.RecordBatch | None:
        if not rejected.num_rows:
            return None
        columns = {name: removals[name].combine_chunks() for name in removals.schema.names}
        names = dict(self.names)
        snapshot = pa.array([names.get(number) for number in columns["survivor_snapshot"].to_pylist()], pa.string())
        few = pc.equal(columns["rule"], FEW)
        least = pa.scalar(float(self.choice.least))
        measured = pc.less(columns["similarity"], 1.0)
        given = {
            "measure": pc.if_else(measured, pa.scalar("jaccard"), pa.scalar(None, pa.string())),
            **{name: columns[name] for name in ("rule", "survivor", "survivor_path", "survivor_offset", "similarity")},
            "survivor_snapshot": snapshot,
            "value": pc.if_else(few, columns["snapshots"].cast(pa.float64()), columns["similarity"]),
            "threshold": pc.if_else(few, least, pa.scalar(self.threshold)),
        }
        typed = {name: column.cast(schemas.LEDGER.field(name).type) for name, column in given.items()}
        return ledger_of(rejected, Reject(self.step, "", None, None), self.recipe, **typed)


def _counted(batch: pa.RecordBatch, kept: np.ndarray, heirs: np.ndarray, given: pa.Table) -> dict[str, pa.Array]:
    """`copies` and `snapshots` of the kept rows of a batch; `heirs`: the rows of those that inherit what is `given`."""
    copies, snapshots = (_ones_where_null(batch, name) for name in ("copies", "snapshots"))
    np.add.at(copies, heirs, given["copies"].to_numpy())
    np.maximum.at(snapshots, heirs, given["snapshots"].to_numpy())
    return {"copies": pa.array(copies[kept]), "snapshots": pa.array(snapshots[kept])}


def _ones_where_null(batch: pa.RecordBatch, name: str) -> np.ndarray:
    if name not in batch.schema.names:
        return np.ones(batch.num_rows, np.int32)
    return np.array(pc.fill_null(batch[name], 1).cast(pa.int32()))
