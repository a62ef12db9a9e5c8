"""Building one dataset: which partitions are still to be made, and the commit, where the manifest is written last.

The folder is claimed first (`claim.py`). Each partition leaves a receipt (`receipts.py`); `commit` sums them, checks
the manifest's invariant and writes `manifest.json`. How a partition is made is not known here: see
`infra/engines/job.py`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.dataset.batches import ReceiptIndex, batches_in, changed_meanwhile, keep_receipts
from infra.dataset.claim import claim, no_change
from infra.dataset.files import TABLE_NAME, FileKind, FileRef, FileTable, FileTableWriter
from infra.dataset.growth import any_inputs
from infra.dataset.manifest import MANIFEST, RUN, Header, Manifest, check_invariant
from infra.dataset.placing import find_made
from infra.dataset.reader import Dataset
from infra.dataset.receipts import NUMBER, RECEIPTS, SPILL, STEP, SUM, WORK, Receipt, Totals, files_of, is_whole
from infra.dataset.schema import describe
from infra.hashing import readable_json
from infra.storage import (
    check_locked,
    disk_errors,
    read_json,
    remove_folder,
    sizes_in,
    sync_files,
    sync_folder,
    write_last,
)

# What a stage adds at the commit: further fields of the manifest, and further files of the dataset.
Extras = Callable[[Path, Totals], tuple[dict[str, Any], list[FileRef]]]

# What the `run.json` of a stage keeps of each intermediate table's own.
OF_TABLES = (
    "table", "parts_made", "wall_seconds", "cpu_seconds", "spread_cpu_seconds", "rows", "first_parts", "first_rows",
    "first_cpu_seconds", "peak_memory_bytes", "bytes_read", "bytes_written", "retries",
)  # fmt: skip


class Build:
    """One dataset in the making. Use `open_build`, which holds the folder's lock.

    `fingerprints` are those of the partitions, in order: each names all that decides what its partition holds.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header
        self.made = 0
        self.found = 0

    def finished(self) -> Dataset | None:
        """The dataset, if it is complete, has this header, and all of its files are there."""
        if not (self.folder / MANIFEST).is_file():
            return None
        dataset = Dataset(self.folder)
        if dataset.manifest.header.sha256 != self.header.sha256 or not dataset.is_whole():
            (self.folder / MANIFEST).unlink()
            sync_folder(self.folder)  # before any shard is renamed or written over
            return None
        self._clear()
        return dataset

    def _clear(self) -> None:
        """Remove what only the making needed; a kill right after the manifest's rename leaves it."""
        remove_folder(self.folder / WORK)
        remove_folder(self.folder / SPILL)

    def missing(self, fingerprints: Sequence[str]) -> npt.NDArray[np.int64]:
        """The partitions that no receipt has, or whose files are gone, ascending. Those that a receipt has under
        another number, or in a folder of `header.reuse`, are put in their place."""
        todo = np.flatnonzero(~find_made(self.folder, fingerprints, self.header.reuse or ()))
        self.made, self.found = len(todo), len(fingerprints) - len(todo)
        return todo

    def count_made(self, parts: int) -> None:
        """So many of the partitions that were found are of this run: a pass over two datasets made them."""
        self.made, self.found = self.made + parts, self.found - parts

    def commit(
        self, fingerprints: Sequence[str], schema: pa.Schema, run: Mapping[str, Any], extras: Extras | None = None
    ) -> Dataset:
        """Sum the receipts, check the invariant, write the table of files, `run.json` and then the manifest."""
        totals = Totals()
        with disk_errors(self.folder):
            check_locked(self.folder)  # the table is written, and files of earlier plans go
            extra, table = self._sum(fingerprints, totals, extras)
            totals.counts["out"] = table.sums[FileKind.SHARD].rows
            manifest = Manifest(
                header=self.header,
                schema=describe(schema),
                table=table,
                counts={name: number for name, number in totals.counts.items() if not name.startswith((STEP, SUM))},
                rejected_by=totals.rejected_by,
                languages=totals.languages,
                domains=totals.domains,
                funnel=totals.funnel(),
                extra=extra,
            )
            check_invariant(manifest)
            content = manifest.to_bytes()
            run = {**run, "manifest_sha256": hashlib.sha256(content).hexdigest()}
            account = {**run, "parts_made": self.made, "parts_found": self.found, **self._cost(run, totals, table)}
            write_last(self.folder / RUN, readable_json(account))
            write_last(self.folder / MANIFEST, content)
        self._clear()
        return Dataset(self.folder)

    def _cost(self, run: Mapping[str, Any], totals: Totals, table: FileTable) -> dict[str, Any]:
        """What all parts cost, with the intermediate tables, which are about to go."""
        folders = sorted(path for path in (self.folder / WORK).glob("*") if (path / RUN).is_file())
        tables = [{"table": path.name, **(read_json(path / RUN) or {})} for path in folders]
        spread = float(run.get("spread_cpu_seconds", 0.0))
        cpu = [totals.cost.get("cpu_seconds", 0.0), spread, *(float(each.get("cpu_seconds", 0.0)) for each in tables)]
        peaks = [totals.cost.get("peak_memory_bytes", 0), *(each.get("peak_memory_bytes", 0) for each in tables)]
        written = sum(sums.bytes for sums in table.sums.values())
        # of archives, also where a server told no sizes before they were read
        read = {"bytes_read": totals.counts["bytes/file"]} if "bytes/file" in totals.counts else {}
        return {
            **totals.cost, **read, "cpu_seconds": round(sum(cpu), 3), "peak_memory_bytes": max(peaks),
            "retries": sum(each.get("retries", 0) for each in (run, *tables)),
            "code": {sha256: names for each in (run, *tables) for sha256, names in each.get("code", {}).items()},
            "bytes_written": written, "table_bytes": sum(int(each.get("bytes_written", 0)) for each in tables),
            "tables": [{name: each[name] for name in OF_TABLES if name in each} for each in tables],
        }  # fmt: skip

    def _sum(
        self, fingerprints: Sequence[str], totals: Totals, extras: Extras | None
    ) -> tuple[dict[str, Any], FileTable]:
        """Add all receipts to `totals`, and write the table of files; returns what the manifest has besides. WorkError
        where the files of a receipt are not there: no manifest stands beside others."""
        named, size_of = Named(len(fingerprints)), sizes_in(self.folder)
        with FileTableWriter(self.folder) as table:
            for receipt in ReceiptIndex(self.folder, fingerprints):
                if not is_whole(size_of, receipt):
                    raise changed_meanwhile(self.folder, receipt["index"])
                totals.add(receipt, table)
                named.add(receipt)
            extra, files = extras(self.folder, totals) if extras else ({}, [])
            for file in files:
                table.add(FileKind.FILE, None, file)
            sync_files(self.folder / file.path for file in files)
            made = table.close()
        self._remove_others(named, fingerprints, made.ref.path)
        return extra, made

    def _remove_others(self, named: "Named", fingerprints: Sequence[str], table: str) -> None:
        """Remove shards of an earlier plan, which no receipt of this one names, its further receipts, and tables of
        files but `table`."""
        for path in self.folder.glob("[fp]*"):
            shard = path.name.startswith("part-") and path.name not in named
            if shard or (TABLE_NAME.fullmatch(path.name) and path.name != table):
                path.unlink()
        for path in (self.folder / "ledger").glob("part-*"):
            if path.relative_to(self.folder).as_posix() not in named:
                path.unlink()
        count, batches = len(fingerprints), {*batches_in(self.folder)}
        keep_receipts(self.folder, lambda receipt: receipt["index"] < count)
        for path in (self.folder / RECEIPTS).glob("part-*"):
            if path not in batches:
                path.unlink()


class Named:
    """The files that receipts name: for each kind of file one byte a partition, and no names."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._kinds: dict[str, bytearray] = {}

    def add(self, receipt: Receipt) -> None:
        for path in files_of(receipt):
            kind, number = _numbered(path)
            self._kinds.setdefault(kind, bytearray(self.parts))[number] = 1

    def __contains__(self, path: str) -> bool:
        kind, number = _numbered(path)
        return 0 <= number < self.parts and bool(self._kinds.get(kind, b"")[number : number + 1].strip(b"\0"))


def _numbered(path: str) -> tuple[str, int]:
    """The path without its number, and the number; -1 where it has none."""
    found = NUMBER.search(path)
    return (NUMBER.sub("", path), int(found[0].removeprefix("part-"))) if found else (path, -1)


@contextmanager
def open_build(folder: Path, header: Header) -> Iterator[Build]:
    """Claim the folder for `header`. UsageError if another process holds it, or it was made with other arguments; of
    these the inputs and the limit may differ if the header allows reuse."""
    with claim(folder, header.as_dict(), no_change if header.reuse is None else any_inputs):
        (folder / "ledger").mkdir(exist_ok=True)
        yield Build(folder, header)


def already_made(folder: Path, header: Header) -> Dataset | None:
    """The finished dataset, for a stage that would do much before its last pass. UsageError as `open_build`."""
    with open_build(folder, header) as build:
        return build.finished()
