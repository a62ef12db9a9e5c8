"""Building one dataset: its folder's lock, its receipts, and the manifest that is written last.

Each partition is written under temporary names, synced, renamed, and leaves a receipt with its fingerprint (task,
inputs, code). A rerun makes only what has no matching receipt. `commit` sums the receipts, checks the law and
writes `manifest.json`. A folder that was begun with other arguments is refused, with the difference.
"""

import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.dataset import Dataset, Part
from infra.dataset.manifest import MANIFEST, RUN, FileRef, Header, Kind, Manifest, Shard, check_law
from infra.dataset.writer import ShardWriter
from infra.engines.task import Output, Sink, Task, Written
from infra.errors import UsageError
from infra.hashing import canonical_json, code_version, readable_json, sha256_json
from infra.metering import worker_cpu_seconds
from infra.refusal import undone_if_refused
from infra.storage import disk_errors, lock, read_json, remove_folder, remove_temporaries, write_bytes

RECEIPTS = ".receipts"
# What a stage makes on its way; it goes when the dataset is there.
WORK = ".work"
# Of what two sets of arguments differ in, so much is said: a value may be the whole of a dataset's sources.
SHOWN_LINES, SHOWN = 4, 100
OUR_PACKAGES = ("dedup", "filters", "infra", "mixers", "pipeline", "trainer")

Extras = Callable[[Path, "Totals"], tuple[dict[str, Any], list[FileRef]]]


@cache
def software() -> str:
    return code_version(OUR_PACKAGES)


@dataclass(frozen=True)
class PartJob:
    """One partition's work, ready to be sent to any process of any engine."""

    folder: str
    index: int
    task: Task
    parts: tuple[Any, ...]
    kind: Kind
    fingerprint: str

    def run(self) -> dict[str, Any]:
        """Make the shard and its ledger, commit both, and leave the receipt; returns the receipt."""
        for part in self.parts:
            check_part(part)
        return write_part(self, self.task(*self.parts))


def part_fingerprint(task_fingerprint: str, parts: Sequence[Part], header: Header) -> str:
    return sha256_json(
        {
            "task": task_fingerprint,
            "parts": [part.fingerprint for part in parts],
            "header": header.sha256,
            "software": software(),
        }
    )


def check_part(part: Any) -> None:
    """Check the bytes of a dataset's shard, also where other parts wrap it."""
    while part is not None:
        check = getattr(part, "check", None)
        if check:
            check()
        part = getattr(part, "part", None)


class ParquetSink:
    """The ordinary sink: one Parquet shard for a partition."""

    def __init__(self, folder: Path, index: int, schema: pa.Schema) -> None:
        self.writer = ShardWriter(folder, f"part-{index:05d}.parquet", schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self.writer.write(batch)

    def close(self) -> Written:
        return Written([self.writer.close()], [], self.writer.languages, self.writer.domains)

    def abandon(self) -> None:
        self.writer.abandon()


def write_part(job: PartJob, outputs: Iterator[Output]) -> dict[str, Any]:
    folder = Path(job.folder)
    started, cpu_started = time.monotonic(), worker_cpu_seconds()
    open_sink = getattr(job.task, "open_sink", None)
    with disk_errors(folder):
        sink: Sink = open_sink(folder, job.index) if open_sink else ParquetSink(folder, job.index, job.task.schema)
        ledger = ShardWriter(folder, f"ledger/part-{job.index:05d}.parquet", schemas.LEDGER)
        tally = _Tally()
        try:
            for output in outputs:
                if output.main is not None:
                    sink.write(output.main)
                if output.ledger is not None:
                    tally.reject(output.ledger)
                    ledger.write(output.ledger)
                tally.add(output.counts or {})
            written = sink.close()
            ledger_shard = ledger.close()
        except BaseException:
            sink.abandon()
            ledger.abandon()
            raise
        receipt = {
            "fingerprint": job.fingerprint,
            "shards": [asdict(shard) for shard in written.shards],
            "files": [asdict(file) for file in written.files],
            "ledger": asdict(ledger_shard),
            "counts": dict(sorted(tally.counts.items())) | {"ledger_documents": tally.ledger_documents},
            "rejected_by": tally.rejected_by,
            "languages": written.languages,
            "domains": written.domains,
            "schema": schemas.describe(job.task.schema),
            "cost": {
                "seconds": round(time.monotonic() - started, 3),
                "cpu_seconds": round(worker_cpu_seconds() - cpu_started, 3),
                "peak_memory_bytes": _peak_memory(),
            },
        }
        write_bytes(receipt_path(folder, job.index), canonical_json(receipt))
    return receipt


@dataclass
class _Tally:
    """Counters of one partition, and an independent count of the documents in its ledger."""

    counts: dict[str, int] = field(default_factory=dict)
    rejected_by: dict[str, int] = field(default_factory=dict)
    ledger_documents: int = 0
    _last: tuple[Any, ...] | None = None
    _rules_of_last: set[str] = field(default_factory=set)

    def add(self, counts: Mapping[str, int]) -> None:
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + int(number)

    def reject(self, batch: pa.RecordBatch) -> None:
        columns = [batch[name].to_pylist() for name in ("file_path", "warc_offset", "step", "rule")]
        for file_path, offset, step, rule in zip(*columns, strict=True):
            if (file_path, offset) != self._last:
                self._last = (file_path, offset)
                self._rules_of_last = set()
                self.ledger_documents += 1
            name = f"{step}/{rule}"
            if name not in self._rules_of_last:
                self._rules_of_last.add(name)
                self.rejected_by[name] = self.rejected_by.get(name, 0) + 1


@dataclass
class Totals:
    """The sums over all receipts of a dataset."""

    shards: list[Shard] = field(default_factory=list)
    ledger: list[Shard] = field(default_factory=list)
    files: list[FileRef] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rejected_by: dict[str, int] = field(default_factory=dict)
    languages: dict[str, dict[str, int]] = field(default_factory=dict)
    domains: dict[str, dict[str, int]] = field(default_factory=dict)
    schema: tuple[tuple[str, str], ...] = ()
    cost: dict[str, float] = field(default_factory=dict)

    def add(self, receipt: Mapping[str, Any]) -> None:
        self.shards += [Shard(**shard) for shard in receipt["shards"]]
        self.ledger.append(Shard(**receipt["ledger"]))
        self.files += [FileRef(**file) for file in receipt["files"]]
        self.schema = tuple((name, kind) for name, kind in receipt["schema"])
        for mine, theirs in ((self.counts, receipt["counts"]), (self.rejected_by, receipt["rejected_by"])):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number
        for groups, others in ((self.languages, receipt["languages"]), (self.domains, receipt["domains"])):
            for name, numbers in others.items():
                total = groups.setdefault(name, {})
                for unit, number in numbers.items():
                    total[unit] = total.get(unit, 0) + number
        cost = receipt["cost"]
        for unit in ("seconds", "cpu_seconds"):
            self.cost[unit] = round(self.cost.get(unit, 0.0) + cost[unit], 3)
        self.cost["peak_memory_bytes"] = max(self.cost.get("peak_memory_bytes", 0), cost["peak_memory_bytes"])


class Build:
    """One dataset in the making. Use `open_build`, which holds the folder's lock."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header
        self.made = 0
        self.found = 0

    def finished(self) -> Dataset | None:
        """The dataset, if it is complete and all of its files are there."""
        if not (self.folder / MANIFEST).is_file():
            return None
        dataset = Dataset(self.folder)
        for file in dataset.manifest.all_files():
            path = self.folder / file.path
            if not path.is_file() or path.stat().st_size != file.bytes:
                (self.folder / MANIFEST).unlink()
                return None
        self._clear()
        return dataset

    def _clear(self) -> None:
        """What only the making needed; a kill right after the manifest's rename leaves it."""
        remove_folder(self.folder / WORK)
        remove_folder(self.folder / ".spill")

    def missing(self, jobs: Sequence[PartJob]) -> list[PartJob]:
        """The jobs without a receipt that matches, or whose files are gone."""
        todo = [job for job in jobs if not self._done(job)]
        self.made, self.found = len(todo), len(jobs) - len(todo)
        return todo

    def _done(self, job: PartJob) -> bool:
        receipt = read_json(receipt_path(self.folder, job.index))
        if not receipt or receipt.get("fingerprint") != job.fingerprint:
            return False
        files = [*receipt["shards"], *receipt["files"], receipt["ledger"]]
        paths = [(self.folder / file["path"], file["bytes"]) for file in files]
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    def totals(self, jobs: Sequence[PartJob]) -> Totals:
        totals = Totals()
        for job in jobs:
            receipt = read_json(receipt_path(self.folder, job.index))
            assert receipt and receipt["fingerprint"] == job.fingerprint, f"no receipt for partition {job.index}"
            totals.add(receipt)
        return totals

    def commit(self, jobs: Sequence[PartJob], run: Mapping[str, Any], extras: Extras | None = None) -> Dataset:
        """Sum the receipts, check the law, write `run.json` and then the manifest."""
        totals = self.totals(jobs)
        self._drop_strangers(totals)
        extra, files = extras(self.folder, totals) if extras else ({}, [])
        totals.counts["out"] = sum(shard.rows for shard in totals.shards)
        manifest = Manifest(
            header=self.header,
            schema=totals.schema,
            shards=tuple(totals.shards),
            ledger=tuple(totals.ledger),
            files=(*totals.files, *files),
            counts={name: number for name, number in totals.counts.items() if not name.startswith("step/")},
            rejected_by=totals.rejected_by,
            languages=totals.languages,
            domains=totals.domains,
            funnel=funnel_of(totals.counts),
            extra=extra,
        )
        check_law(manifest)
        content = manifest.to_bytes()
        run = {**run, "manifest_sha256": hashlib.sha256(content).hexdigest()}
        account = {**run, "parts_made": self.made, "parts_found": self.found, **totals.cost}
        with disk_errors(self.folder):
            write_bytes(self.folder / RUN, readable_json(account))
            write_bytes(self.folder / MANIFEST, content)
        self._clear()
        return Dataset(self.folder)

    def _drop_strangers(self, totals: Totals) -> None:
        """Remove shards of an earlier plan with more partitions, which no receipt of this one names."""
        made: list[Shard | FileRef] = [*totals.shards, *totals.ledger, *totals.files]
        ours = {file.path for file in made}
        for path in [*self.folder.glob("part-*"), *self.folder.glob("ledger/part-*")]:
            if path.relative_to(self.folder).as_posix() not in ours:
                path.unlink()


def funnel_of(counts: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
    """Counters named `step/ORDER/NAME/UNIT` as rows {step, docs, chars, tokens}: what remained after each step."""
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for name, number in counts.items():
        if name.startswith("step/"):
            _, order, step, unit = name.split("/")
            row = rows.setdefault((int(order), step), {"step": step, "docs": 0, "chars": 0, "tokens": 0})
            row[unit] = number
    return tuple(rows[key] for key in sorted(rows))


def receipt_path(folder: Path, index: int) -> Path:
    return folder / RECEIPTS / f"part-{index:05d}.json"


@contextmanager
def claim(folder: Path, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder, refuse one that was made with other arguments, and clear what a crash left half written. What is
    refused before there is a shard leaves the folder as it was."""
    with disk_errors(folder), undone_if_refused(folder), lock(folder):
        (folder / RECEIPTS).mkdir(exist_ok=True)
        _check_arguments(folder, json.loads(canonical_json(dict(arguments))))
        for place in (folder, folder / "ledger", folder / RECEIPTS):
            remove_temporaries(place)
        yield


@contextmanager
def open_build(folder: Path, header: Header) -> Iterator[Build]:
    with claim(folder, header.as_dict()):
        (folder / "ledger").mkdir(exist_ok=True)
        yield Build(folder, header)


def already_made(folder: Path, header: Header) -> Dataset | None:
    """The finished dataset, for a stage that would do much before its last pass. UsageError as `open_build`."""
    with open_build(folder, header) as build:
        return build.finished()


def check_place(folder: Path, arguments: Mapping[str, Any]) -> None:
    """UsageError for a folder that was made with other arguments, of which `arguments` may be a part. Nothing is
    written: for a verb that makes folders inside its own before it can claim that."""
    now = json.loads(canonical_json(dict(arguments)))
    before = _arguments_of(folder, now)
    if before is not None:
        _same_arguments(folder, {key: before.get(key) for key in now}, now)


def _check_arguments(folder: Path, now: dict[str, Any]) -> None:
    before = _arguments_of(folder, now)
    if before is None:
        write_bytes(folder / RECEIPTS / "header.json", canonical_json(now))
    else:
        _same_arguments(folder, before, now)


def _arguments_of(folder: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """What a folder was begun with; of a dataset whose receipts are gone, what its manifest says of `keys`."""
    before = read_json(folder / RECEIPTS / "header.json")
    if before is None and (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST) or {}
        before = {key: manifest.get(key) for key in keys}
    return before


def _same_arguments(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before != now:
        found = [line if len(line) <= SHOWN else f"{line[:SHOWN]}…" for line in differences(before, now)]
        lines = "; ".join(found[:SHOWN_LINES]) + ("; …" if len(found) > SHOWN_LINES else "")
        raise UsageError(
            f"{folder} was made with other arguments ({lines}): choose another --out, or delete that folder"
        )


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, as `path: was A, now B`."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted({*before, *now})
            for line in differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    if before == now:
        return []
    return [f"{path}: was {_short(before)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _peak_memory() -> int:
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return largest * unit
