"""One document of each set of exact copies, chosen while the rows stream by: a page that was crawled a million times
takes no more memory than one that was crawled twice.

Rows come sorted by (key, shard, row). Until a set has ended only the best of it so far is held; what lost to it is
written at once. So the rows of a set name it by its first document, the leader, which is known from the start. Under
the policy "first" that is the survivor. Under another the survivor is known at the end, and a row at (-1, -1) says it;
`KeyBySurvivor`, after one more reduction by `key`, names the rows by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import Policy, preference_order
from dedup.snapshots import distinct_lists
from dedup.tables import DECISIONS, DocumentNumbers, Hashes, decision_rows, numbers_of, run_starts, stretched, values

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CopySets:
    """Sets of copies, or what is known of them so far: one in each row of every field but the last two."""

    best: pa.Table
    """The row of its best document."""

    leader: DocumentNumbers
    """The number of its first document."""

    size: Ints
    copies: Ints
    snapshots: Ints
    """Documents; the copies that these stand for; the largest number of snapshots that one of them has."""

    dump_of: Ints
    dump: Hashes
    """The snapshots of its documents: the row of the set, and a hash of the name."""

    @classmethod
    def of(cls, keys: pa.RecordBatch) -> "CopySets":
        """Each document as a set of its own."""
        copies, snapshots = (values(keys, name).astype(np.int64) for name in ("copies", "snapshots"))
        ones, rows = np.ones(keys.num_rows, np.int64), np.arange(keys.num_rows)
        table = pa.Table.from_batches([keys]).drop_columns(["dumps"])
        dump_of = np.repeat(rows, pc.list_value_length(keys["dumps"]).to_numpy())
        dump = keys["dumps"].flatten().to_numpy()
        return cls(table, numbers_of(keys), ones, copies, snapshots, dump_of, dump)

    def and_also(self, other: "CopySets") -> "CopySets":
        """The sets of both, one after the other."""
        names = ("leader", "size", "copies", "snapshots", "dump")
        arrays = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        dump_of = np.concatenate([self.dump_of, other.dump_of + self.leader.size])
        return CopySets(pa.concat_tables([self.best, other.best]), dump_of=dump_of, **arrays)

    def only(self, chosen: Mask) -> "CopySets":
        place = np.cumsum(chosen) - 1
        with_dump = chosen[self.dump_of]
        arrays = {name: getattr(self, name)[chosen] for name in ("leader", "size", "copies", "snapshots")}
        best, dump_of = self.best.filter(pa.array(chosen)), place[self.dump_of[with_dump]]
        return CopySets(best, dump_of=dump_of, dump=self.dump[with_dump], **arrays)

    def merged(self, policy: Policy) -> tuple["CopySets", pa.RecordBatch]:
        """Sets of equal (key, check) as one, and DECISIONS against the documents that are not the best of theirs."""
        by_key: list[tuple[str, str]] = [("key", "ascending"), ("check", "ascending")]
        order = pc.sort_indices(self.best, sort_keys=by_key + preference_order(policy)).to_numpy()
        starts = run_starts(values(self.best, "key")[order], values(self.best, "check")[order])
        group = np.repeat(np.arange(starts.size), np.diff(starts, append=order.size))
        group_of = np.empty(order.size, np.int64)
        group_of[order] = group
        dumps = np.lexsort((self.dump, group_of[self.dump_of]))
        dump_of, dump = group_of[self.dump_of][dumps], self.dump[dumps]
        first = run_starts(dump_of, dump)
        sums = {name: np.add.reduceat(getattr(self, name)[order], starts) for name in ("size", "copies")}
        leader = np.minimum.reduceat(self.leader[order], starts)
        snapshots = np.maximum.reduceat(self.snapshots[order], starts)
        best = self.best.take(pa.array(order[starts]))
        made = CopySets(best, leader, snapshots=snapshots, dump_of=dump_of[first], dump=dump[first], **sums)
        lost = np.ones(order.size, np.bool_)
        lost[starts] = False
        return made, removed(leader[group[lost]], numbers_of(self.best)[order][lost])

    def survivors(self) -> pa.RecordBatch:
        """DECISIONS for the documents that are kept of several."""
        several = self.only(self.size > 1)
        dumps = np.bincount(several.dump_of, minlength=several.size.size)
        counts = {"copies": several.copies, "snapshots": np.maximum(several.snapshots, dumps)}
        lists = distinct_lists(several.dump_of, several.dump, several.size.size)
        kept = np.ones(several.size.size, np.bool_)
        return decision_rows(several.leader, numbers_of(several.best), kept=kept, dumps=lists, **counts)

    def named(self) -> pa.RecordBatch:
        """For each set of several a row at (-1, -1): its leader, and its survivor as the evidence."""
        several = self.only(self.size > 1)
        return decision_rows(several.leader, np.full(several.size.size, -1), evidence=numbers_of(several.best))


def removed(leader: DocumentNumbers, numbers: DocumentNumbers) -> pa.RecordBatch:
    """DECISIONS against exact copies."""
    return decision_rows(leader, numbers, kept=np.zeros(leader.size, np.bool_), similarity=np.ones(leader.size))


@dataclass(frozen=True)
class KeepOne:
    """Reducer over `keys_schema` by `key` to DECISIONS whose `key` is the set's leader.

    Keys of one document have no rows. Memory: one batch, and the best document and the snapshots of each set that may
    go on in the next.
    """

    policy: Policy = "first"

    @property
    def fingerprint(self) -> str:
        return f"dedup.keep.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        held: CopySets | None = None  # the sets of the last key; several where documents agree in half of their keys
        for batch in rows:
            if not batch.num_rows:
                continue
            sets = CopySets.of(_candidates(batch))
            sets, lost = (held.and_also(sets) if held else sets).merged(self.policy)
            goes_on = values(sets.best, "key") == values(batch, "key")[-1]
            held = sets.only(goes_on)
            yield from self._written(lost, sets.only(~goes_on))
        if held:
            yield from self._written(None, held)

    def _written(self, lost: pa.RecordBatch | None, ended: CopySets) -> Iterator[pa.RecordBatch]:
        named = ended.named() if self.policy != "first" else None
        yield from (batch for batch in (lost, ended.survivors(), named) if batch is not None and batch.num_rows)


@dataclass(frozen=True)
class KeyBySurvivor:
    """Reducer over the DECISIONS of `KeepOne` by `key`, to the same with the survivor as their `key`.

    Memory: one batch.
    """

    fingerprint: str = "dedup.keep.KeyBySurvivor()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        survivor = np.full(1, -1)  # of the last set, which may go on in the next batch
        for batch in rows:
            naming = values(batch, "row") < 0
            known = np.concatenate([survivor, batch["evidence"].fill_null(-1).to_numpy()])
            key = known[stretched(naming)]
            survivor = key[-1:] if key.size else survivor
            made = batch.select(DECISIONS.names).set_column(0, DECISIONS.field("key"), pa.array(key))
            yield made.filter(pa.array(~naming))


def _candidates(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that share their (key, check) with another, or whose key may have rows in the batch before or after."""
    key, check = values(batch, "key"), values(batch, "check")
    order = np.lexsort((check, key))
    starts = run_starts(key[order], check[order])
    sizes = np.diff(starts, append=key.size)
    chosen = (key == key[0]) | (key == key[-1])
    chosen[order] |= np.repeat(sizes > 1, sizes)
    return batch.filter(pa.array(chosen))
