"""The last pass of a deduplication: joins documents with their decisions, partition by partition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.snapshots import MOST_NAMES, named_lists
from dedup.snapshots import NAMES as SNAPSHOT_NAMES
from infra.dataset import schema as schemas
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import LOCATOR, Reject, ledger_of
from mixers.pretokens import count as count_tokens
from pipeline.job.carried import Carried
from pipeline.job.funnel import Judged, by_batch
from pipeline.stages.dedup_parts import WholeTable


@dataclass(frozen=True)
class ApplyDecisions:
    """Removes the copies, with survivor and evidence in the ledger; survivors get `copies`, `snapshots` and `dumps`.

    `threshold`: the least similarity by `measure`; both None for exact copies, and where nothing was measured.
    `carried`: None if records are deduplicated.
    """

    step: str
    method: str
    threshold: float | None
    measure: str | None
    recipe: str
    carried: Carried | None

    @property
    def fingerprint(self) -> str:
        carried = None if self.carried is None else self.carried.fingerprint
        return sha256_json(["apply", self.step, self.method, self.threshold, self.measure, self.recipe, carried])

    @property
    def schema(self) -> pa.Schema:
        return schemas.RECORDS if self.carried is None else self.carried.schema()

    def __call__(self, part: Any, decisions: Any, snapshots: WholeTable | None = None) -> Iterator[Output]:
        """`snapshots`: the names of all, where there is a survivor."""
        decided = decisions.table().combine_chunks()  # in the order of the rows
        names = snapshots.table(MOST_NAMES) if snapshots else SNAPSHOT_NAMES.empty_table()
        rows, kept_of = decided["row"].to_numpy(), decided["kept"].to_numpy()

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            low, high = np.searchsorted(rows, [first, first + batch.num_rows])
            if low == high:
                return Judged(np.ones(batch.num_rows, np.bool_), None)
            mine, place = decided.slice(low, high - low), rows[low:high] - first
            stays = kept_of[low:high]
            kept = np.ones(batch.num_rows, np.bool_)
            kept[place[~stays]] = False
            located = batch.select([name for name in LOCATOR if name in batch.schema.names])
            ledger = self._removals(located.filter(pa.array(~kept)), mine.filter(pa.array(~stays)))
            number = np.cumsum(kept) - 1  # of each kept row among these
            survivors = mine.filter(pa.array(stays))
            given = {name: survivors[name].combine_chunks() for name in ("copies", "snapshots", "dumps")}
            given["dumps"] = named_lists(given["dumps"], names)
            left = batch.filter(pa.array(kept))
            changed = {name: _replaced(left, name, number[place[stays]], column) for name, column in given.items()}
            return Judged(kept, ledger, changed)

        yield from by_batch(part, self.schema, self.step, self.recipe, judge)

    def _removals(self, rows: pa.RecordBatch, decisions: pa.Table) -> pa.RecordBatch | None:
        reject = Reject(self.step, f"copy_{self.method}", None, self.threshold)
        similarity = decisions["similarity"].combine_chunks()
        names = ("survivor", "survivor_path", "survivor_offset", "via", "bands")
        named = {name: decisions[name].combine_chunks().cast(schemas.LEDGER.field(name).type) for name in names}
        named["measure"] = pa.array([self.measure] * rows.num_rows, pa.string())
        return ledger_of(rows, reject, self.recipe, value=similarity, similarity=similarity, **named)


def _replaced(batch: pa.RecordBatch, name: str, rows: npt.NDArray[np.intp], values: pa.Array) -> pa.Array:
    """A column of a batch, or nulls where it has none, with other values at some rows."""
    column = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, values.type)
    place = np.arange(batch.num_rows)
    place[rows] = batch.num_rows + np.arange(rows.size)
    return pa.concat_arrays([column.cast(values.type), values]).take(pa.array(place))


@dataclass(frozen=True)
class ApplyCuts:
    """Cuts the decided parts out of each document; a document with nothing left is rejected by `rule`.

    `column`: the column of part numbers in the decisions (lines); `left(text, numbers)`: the text that remains,
    or None.
    """

    step: str
    recipe: str
    carried: Carried
    column: str
    rule: str
    left: Callable[[str, Any], str | None]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["cuts", self.step, self.recipe, self.carried.fingerprint, self.rule])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, found: Any) -> Iterator[Output]:
        table = found.table(["row", self.column])
        owners, numbers = table["row"].to_numpy(), table[self.column].to_numpy()
        order = np.lexsort((numbers, owners))
        owners, numbers = owners[order], numbers[order]

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            ends = np.searchsorted(owners, np.arange(first, first + batch.num_rows + 1))
            texts = zip(batch.column("text").to_pylist(), pairwise(ends.tolist()), strict=True)
            left = [self.left(text, numbers[low:high]) for text, (low, high) in texts]
            kept = np.array([text is not None for text in left], np.bool_)
            ledger = ledger_of(batch.filter(pa.array(~kept)), Reject(self.step, self.rule, 0.0, 1.0), self.recipe)
            remaining = [text for text in left if text is not None]
            tokens = pa.array([count_tokens(text) for text in remaining], pa.int64())
            return Judged(kept, ledger, {"text": pa.array(remaining, pa.string()), "token_count": tokens})

        yield from by_batch(part, self.schema, self.step, self.recipe, judge)
