"""A shuffle through files, for one machine: each part's rows are written by partition, and read by the reducers.

One Arrow file for each part, with one batch for each partition, mapped into memory when it is read. A file that is
finished is not made again: its fingerprint is in a file beside it.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from infra.dataset.receipts import SPILL
from infra.engines.shuffle import Spread
from infra.hashing import canonical_json, sha256_json
from infra.storage import ObjectPath, commit_file, read_json, scratch_folder, sync_folder, temporary_name, write_bytes


@dataclass(frozen=True)
class SpillJob:
    """Writes one part's rows into `folder`. `code` is the code version of what makes them."""

    folder: str
    spread: Spread
    code: str

    @property
    def index(self) -> int:
        return self.spread.order

    @property
    def count(self) -> int:
        """None of the result's."""
        return 0

    @property
    def label(self) -> str:
        return f"the rows of part {self.index} for a reduction"

    @property
    def path(self) -> Path:
        return spill_path(self.folder, self.index)

    @property
    def fingerprint(self) -> str:
        spread = self.spread
        return sha256_json([spread.part.fingerprint, spread.source, spread.key, spread.partitions, self.code])

    def done(self) -> bool:
        return read_json(self.path.with_suffix(".json")) == self.fingerprint

    def run(self) -> int:
        tables = self.spread.tables()
        # one of another run may be there: its fingerprint must not stand beside the new rows after a crash
        if (stale := self.path.with_suffix(".json")).exists():
            stale.unlink()
            sync_folder(self.path.parent)
        temporary = temporary_name(self.path)
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, tables[0].schema) as writer:
            for table in tables:
                writer.write_batch(one_batch(table))
        commit_file(temporary, self.path)
        write_bytes(self.path.with_suffix(".json"), canonical_json(self.fingerprint))
        return self.count


@dataclass(frozen=True)
class Spilled:
    """The spilled rows of all parts: given to a reducer in place of the tables themselves."""

    folder: str
    count: int

    def tables(self, partition: int) -> list[pa.Table]:
        tables = []
        for index in range(self.count):
            with pa.memory_map(str(spill_path(self.folder, index))) as file:
                tables.append(pa.Table.from_batches([pa.ipc.open_file(file).get_batch(partition)]))
        return tables


def spill_folder(dataset: Path) -> Path:
    """In the dataset's folder, where a killed run finds its files again; on this machine's disk for one of objects."""
    if isinstance(dataset, ObjectPath):
        return scratch_folder() / f"spill-{sha256_json(str(dataset))[:16]}"
    return dataset / SPILL


def spill_path(folder: str, index: int) -> Path:
    return Path(folder) / f"in-{index:05d}.arrow"


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The whole table as exactly one batch, also when it is empty."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
