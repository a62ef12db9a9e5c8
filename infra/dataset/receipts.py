"""Receipts: what was made of each partition of a dataset, under which fingerprint, and the sums of all of them.

A receipt is written last, after the partition's shard and ledger have their final names. A rerun makes only the
partitions without a receipt of the same fingerprint, or whose files are gone (`placing.py`).
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset.manifest import FileRef, Shard
from infra.hashing import canonical_json
from infra.storage import read_json, write_bytes

RECEIPTS = ".receipts"
# What a stage makes on its way to its dataset: removed when the manifest is written.
WORK, SPILL = ".work", ".spill"
# The number of a partition in the name of a file.
NUMBER = re.compile(r"part-\d{5,}")


def receipt_path(folder: Path, index: int) -> Path:
    return folder / RECEIPTS / f"part-{index:05d}.json"


def write_receipt(folder: Path, index: int, receipt: Mapping[str, Any]) -> None:
    write_bytes(receipt_path(folder, index), canonical_json(receipt))


def read_receipt(folder: Path, index: int, fingerprint: str | None = None) -> dict[str, Any] | None:
    """The receipt of partition `index`; None if there is none, or it has another fingerprint than the one given.

    Its paths are those of its number now: a receipt that was renamed has those of the number under which it was made.
    """
    receipt = read_json(receipt_path(folder, index))
    if not receipt or fingerprint not in (None, receipt.get("fingerprint")):
        return None
    numbered = {name: [_renumbered(file, index) for file in receipt[name]] for name in ("shards", "files")}
    return {**receipt, **numbered, "ledger": _renumbered(receipt["ledger"], index)}


def _renumbered(file: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {**file, "path": renumbered(file["path"], index)}


def renumbered(path: str, index: int) -> str:
    """The path of a partition's file, with the number `index` in its name."""
    return NUMBER.sub(f"part-{index:05d}", path)


def files_of(receipt: Mapping[str, Any]) -> dict[str, int]:
    """The files of a partition: their sizes by path."""
    return {file["path"]: file["bytes"] for file in (*receipt["shards"], *receipt["files"], receipt["ledger"])}


def is_whole(folder: Path, receipt: Mapping[str, Any]) -> bool:
    """Whether all files are there, of the size that the receipt names, and what the commit needs of them besides."""
    paths = [(folder / path, size) for path, size in files_of(receipt).items()]
    sound = all(path.is_file() and path.stat().st_size == size for path, size in paths)
    return sound and all((folder / path).is_file() for path in receipt.get("work", ()))


def is_made(folder: Path, index: int, fingerprint: str) -> bool:
    """Whether there is a receipt of this fingerprint, and all files that it names."""
    receipt = read_receipt(folder, index, fingerprint)
    return receipt is not None and is_whole(folder, receipt)


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

    shards: list[Shard] = field(default_factory=list)
    ledger: list[Shard] = field(default_factory=list)
    files: list[FileRef] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    languages: dict[str, Counter[str]] = field(default_factory=dict)
    domains: dict[str, Counter[str]] = field(default_factory=dict)
    schema: tuple[tuple[str, str], ...] = ()
    cost: dict[str, float] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, receipt: Mapping[str, Any]) -> None:
        self.shards += [Shard(**shard) for shard in receipt["shards"]]
        self.ledger.append(Shard(**receipt["ledger"]))
        self.files += [FileRef(**file) for file in receipt["files"]]
        self.notes += receipt.get("notes", ())
        self.schema = tuple((name, kind) for name, kind in receipt["schema"])
        self.counts.update(receipt["counts"])
        self.rejected_by.update(receipt["rejected_by"])
        for groups, others in ((self.languages, receipt["languages"]), (self.domains, receipt["domains"])):
            for name, numbers in others.items():
                groups.setdefault(name, Counter()).update(numbers)
        cost = receipt["cost"]
        for unit in ("seconds", "cpu_seconds"):
            self.cost[unit] = round(self.cost.get(unit, 0.0) + cost[unit], 3)
        self.cost["peak_memory_bytes"] = max(self.cost.get("peak_memory_bytes", 0), cost["peak_memory_bytes"])

    def funnel(self) -> tuple[dict[str, Any], ...]:
        """Counters named `step/ORDER/NAME/UNIT` as rows {step, docs, chars, tokens}: what remained after each step."""
        rows: dict[tuple[int, str], dict[str, Any]] = {}
        for name, number in self.counts.items():
            if name.startswith("step/"):
                _, order, step, unit = name.split("/")
                row = rows.setdefault((int(order), step), {"step": step, "docs": 0, "chars": 0, "tokens": 0})
                row[unit] = number
        return tuple(rows[key] for key in sorted(rows))
