"""Receipts: what was made of each partition of a dataset, under which fingerprint, and the sums of all of them.

A receipt is one line of JSON: {index, fingerprint, shards, files, ledger, counts, …}. It is written last, after the
partition's files are on the disk under their final names; many share a file (`batches.py`). A rerun makes only the
partitions without a receipt of the same fingerprint, or whose files are gone (`placing.py`).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from infra.dataset.files import FileKind, FileRef, FileTableWriter, Shard

RECEIPTS = ".receipts"
# What a stage makes on its way to its dataset: removed when the manifest is written.
WORK, SPILL = ".work", ".spill"
# Counters of these names are for what a stage adds at the commit: the manifest's `counts` does not hold them.
STEP, SUM = "step/", "sum/"
# The number of a partition in the name of a file.
NUMBER = re.compile(r"part-\d{5,}")

Receipt = Mapping[str, Any]


def renumbered(path: str, index: int) -> str:
    """The path of a partition's file, with the number `index` in its name."""
    return NUMBER.sub(f"part-{index:05d}", path)


def with_number(receipt: Receipt, index: int) -> dict[str, Any]:
    """The receipt of the same files under another number."""
    named = {name: [_renamed(file, index) for file in receipt[name]] for name in ("shards", "files")}
    ledger = _renamed(receipt["ledger"], index) if receipt["ledger"] else None
    return {**receipt, "index": index, **named, "ledger": ledger}


def _renamed(file: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {**file, "path": renumbered(file["path"], index)}


def files_of(receipt: Receipt) -> dict[str, int]:
    """The files of a partition: their sizes by path."""
    ledger = [receipt["ledger"]] if receipt["ledger"] else []
    return {file["path"]: file["bytes"] for file in (*receipt["shards"], *receipt["files"], *ledger)}


def is_whole(size_of: Callable[[str], int | None], receipt: Receipt) -> bool:
    """Whether all files are there, of the size that the receipt names, and what the commit needs of them besides.
    `size_of`: see `sizes_in`."""
    sound = all(size_of(path) == size for path, size in files_of(receipt).items())
    return sound and all(size_of(path) is not None for path in receipt.get("work", ()))


@dataclass
class Tally:
    """Counters of one partition, and an independent count of the documents in its ledger."""

    counts: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    ledger_documents: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    _last: tuple[Any, ...] | None = None
    _rules_of_last: set[str] = field(default_factory=set)

    def add(self, counts: Mapping[str, int]) -> None:
        self.counts.update({name: int(number) for name, number in counts.items()})

    def reject(self, batch: pa.RecordBatch) -> None:
        """Count a batch of the ledger: rows of one document follow each other."""
        columns = [batch[name].to_pylist() for name in ("file_path", "warc_offset", "step", "rule")]
        for file_path, offset, step, rule in zip(*columns, strict=True):
            if (file_path, offset) != self._last:
                self._last = (file_path, offset)
                self._rules_of_last = set()
                self.ledger_documents += 1
            name = f"{step}/{rule}"
            if name not in self._rules_of_last:
                self._rules_of_last.add(name)
                self.rejected_by[name] += 1


@dataclass
class Totals:
    """The sums over all receipts of a dataset."""

    parts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    languages: dict[str, Counter[str]] = field(default_factory=dict)
    domains: dict[str, Counter[str]] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, receipt: Receipt, table: FileTableWriter) -> None:
        """Add the partition's counts to the sums, and its files to the table."""
        self.parts = table.parts = self.parts + 1
        number = receipt["index"]
        for shard in receipt["shards"]:
            table.add(FileKind.SHARD, number, Shard(**shard))
        if receipt["ledger"]:
            table.add(FileKind.LEDGER, number, Shard(**receipt["ledger"]))
        for file in receipt["files"]:
            table.add(FileKind.FILE, number, FileRef(**file))
        self.notes += receipt.get("notes", ())
        self.counts.update(receipt["counts"])
        self.rejected_by.update(receipt["rejected_by"])
        for groups, others in ((self.languages, receipt["languages"]), (self.domains, receipt["domains"])):
            for name, numbers in others.items():
                groups.setdefault(name, Counter()).update(numbers)
        self._add_cost(receipt["cost"])

    def _add_cost(self, cost: Mapping[str, Any]) -> None:
        """`first_…`: of the parts that were the first of their process."""
        sums = {"seconds": cost["seconds"], "cpu_seconds": cost["cpu_seconds"], "rows": cost.get("rows", 0)}
        if cost.get("first"):
            sums |= {"first_parts": 1, "first_rows": cost["rows"], "first_cpu_seconds": cost["cpu_seconds"]}
        for name, number in sums.items():
            self.cost[name] = round(self.cost.get(name, 0) + number, 3)
        self.cost["peak_memory_bytes"] = max(self.cost.get("peak_memory_bytes", 0), cost["peak_memory_bytes"])

    def funnel(self) -> tuple[dict[str, Any], ...]:
        """Counters named `step/ORDER/NAME/UNIT` as rows {step, docs, chars, tokens}: what remained after each step."""
        rows: dict[tuple[int, str], dict[str, Any]] = {}
        for name, number in self.counts.items():
            if name.startswith(STEP):
                _, order, step, unit = name.split("/")
                row = rows.setdefault((int(order), step), {"step": step, "docs": 0, "chars": 0, "tokens": 0})
                row[unit] = number
        return tuple(rows[key] for key in sorted(rows))
