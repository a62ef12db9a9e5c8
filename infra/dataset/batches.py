"""Receipts in batches: one file of JSON lines for the partitions of one job, and what reads all of a folder's.

A file of its own for each of 90,000 partitions costs two syncs and a read each. So a job writes one file, whole each
time, when it ends and every two seconds in between: a killed process loses the small partitions of the last seconds.
Readers go from line to line and keep a number and a place for each receipt, not the receipt.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from infra.dataset.receipts import RECEIPTS, Receipt, files_of, is_whole, with_number
from infra.errors import WorkError
from infra.hashing import canonical_json, sha256_json
from infra.storage import sizes_in, sync_files, sync_folder, write_bytes

# How long a finished partition may wait for its receipt while its job goes on.
FLUSH_SECONDS = 2.0
# Of what the driver writes itself.
BATCH_PARTS = 512
PATTERN = "part-*.jsonl"


class Fingerprints(Sequence[str]):
    """The fingerprints (sha256, as hexadecimal) of a dataset's partitions, in order: 32 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, fingerprint: str) -> None:
        self._bytes += bytes.fromhex(fingerprint)

    def __len__(self) -> int:
        return len(self._bytes) // 32

    def __getitem__(self, index: Any) -> Any:
        assert isinstance(index, int)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._bytes[32 * index : 32 * index + 32].hex()


def batch_name(fingerprints: Sequence[str], first: int) -> str:
    """The file of the receipts of these partitions, of which `first` is the first: the same if the job is run again,
    another one for any other partitions."""
    return f"part-{first:05d}-{sha256_json(list(fingerprints))[:16]}.jsonl"


class ReceiptBatch:
    """The receipts of one job, as a context: what was added is written at its end, however it ends."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.path = folder / RECEIPTS / name
        self._lines: list[bytes] = []
        self._waiting: list[Path] = []
        self._written = time.monotonic()

    def found(self) -> set[int]:
        """The partitions that an earlier attempt at the same job finished; their receipts are kept."""
        lines = receipts_of(self.path)
        size_of = sizes_in(self.folder) if lines else None
        receipts = [receipt for receipt in lines if size_of and is_whole(size_of, receipt)]
        self._lines = [canonical_json(receipt) for receipt in receipts]
        return {receipt["index"] for receipt in receipts}

    def add(self, receipt: Receipt) -> None:
        self._lines.append(canonical_json(receipt))
        self._waiting += [self.folder / path for path in (*files_of(receipt), *receipt.get("work", ()))]
        if time.monotonic() - self._written >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """First the files are synced, then the receipts that name them are written."""
        if self._waiting:
            sync_files(self._waiting)
            write_bytes(self.path, b"\n".join(self._lines) + b"\n")
            self._waiting = []
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.flush()


def batches_in(folder: Path) -> list[Path]:
    """The files of receipts, sorted by name."""
    return sorted((folder / RECEIPTS).glob(PATTERN))


def receipts_in(folder: Path) -> Iterator[dict[str, Any]]:
    """All receipts of a folder, in no order; there may be several of one number, of which at most one holds."""
    for path in batches_in(folder):
        yield from receipts_of(path)


def receipts_at(folder: Path, name: str) -> list[dict[str, Any]]:
    """The receipts in one file (`batch_name`)."""
    return receipts_of(folder / RECEIPTS / name)


def whole_receipts(folder: Path) -> Iterator[dict[str, Any]]:
    """Those whose files are there."""
    size_of = sizes_in(folder)
    return (receipt for receipt in receipts_in(folder) if is_whole(size_of, receipt))


def receipts_of(path: Path) -> list[dict[str, Any]]:
    """The receipts in one file; none if there is no such file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return [receipt for line in content.splitlines() if (receipt := _parsed(line))]


def _parsed(line: bytes) -> dict[str, Any] | None:
    """With the paths of its number: a receipt that was moved has those under which it was made."""
    try:
        receipt = json.loads(line)
        return with_number(receipt, receipt["index"])
    except (ValueError, KeyError, TypeError):
        return None


def changed_meanwhile(folder: Path, index: int) -> WorkError:
    """Of a partition that was made, and is not as it was: a worker that was taken for dead, say, still wrote."""
    return WorkError(
        f"{folder}: partition {index} is not as it was made: another process has written into the folder; if no other "
        "run is at work there, run the same command again"
    )


class ReceiptIndex:
    """Where the receipts of these fingerprints are: 12 bytes for each."""

    def __init__(self, folder: Path, fingerprints: Sequence[str]) -> None:
        self._folder = folder
        self._batches = batches_in(folder)
        self._batch = np.full(len(fingerprints), -1, np.int32)
        self._line = np.zeros(len(fingerprints), np.int64)
        for batch, path in enumerate(self._batches):
            for line, receipt in enumerate(receipts_of(path)):
                index = receipt["index"]
                if index < len(fingerprints) and receipt["fingerprint"] == fingerprints[index]:
                    self._batch[index], self._line[index] = batch, line
        self._read = lru_cache(maxsize=4)(receipts_of)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The receipts in the order of their numbers. WorkError where one is missing."""
        for index in range(len(self._batch)):
            if self._batch[index] < 0:
                raise changed_meanwhile(self._folder, index)
            yield self._read(self._batches[self._batch[index]])[self._line[index]]


def write_batches(into: Path, receipts: Iterable[Receipt]) -> None:
    """Write receipts, of files that are on the disk already, into the folder `into`."""
    waiting: list[Receipt] = []
    for receipt in receipts:
        waiting.append(receipt)
        if len(waiting) == BATCH_PARTS:
            _write_batch(into, waiting)
            waiting = []
    if waiting:
        _write_batch(into, waiting)


def _write_batch(into: Path, receipts: Sequence[Receipt]) -> None:
    name = batch_name([receipt["fingerprint"] for receipt in receipts], receipts[0]["index"])
    write_bytes(into / name, b"".join(canonical_json(receipt) + b"\n" for receipt in receipts))


def keep_receipts(folder: Path, wanted: Callable[[Receipt], bool]) -> None:
    """Remove all receipts for which `wanted` is false, and have that on the disk."""
    for path in batches_in(folder):
        receipts = receipts_of(path)
        kept = [receipt for receipt in receipts if wanted(receipt)]
        if not kept:
            path.unlink()
        elif len(kept) < len(receipts):
            write_bytes(path, b"".join(canonical_json(receipt) + b"\n" for receipt in kept))
    sync_folder(folder / RECEIPTS)
