"""A tiny source, task and reducer with which the tests drive the engines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.engines.task import Output

NUMBERS = pa.schema([("key", pa.uint64()), ("value", pa.int64())])
SUMS = pa.schema([("key", pa.uint64()), ("sum", pa.int64()), ("first", pa.int64())])


@dataclass(frozen=True)
class Slice:
    index: int
    rows: int = 100

    @property
    def fingerprint(self) -> str:
        return f"{self.index}:{self.rows}"


@dataclass(frozen=True)
class Slices:
    count: int = 4

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return (InputRef("slices", str(self.count)),)

    def parts(self) -> list[Slice]:
        return [Slice(index) for index in range(self.count)]


@dataclass(frozen=True)
class Count:
    """Numbers by key; leaves a file named by its process for each run, so that tests can count the work."""

    log: str | None = None
    fail_at: int | None = None

    fingerprint = "count"
    schema = NUMBERS

    def __call__(self, part: Slice) -> Iterator[Output]:
        if self.fail_at == part.index:
            raise RuntimeError("told to fail")
        if self.log:
            with (Path(self.log) / str(part.index)).open("a") as file:
                file.write("made\n")
        values = range(part.index * part.rows, (part.index + 1) * part.rows)
        keys = [value * 7919 % 13 for value in values]
        yield Output(pa.RecordBatch.from_pydict({"key": keys, "value": list(values)}, NUMBERS))


@dataclass(frozen=True)
class Sum:
    fingerprint = "sum"
    schema = SUMS

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        groups: dict[int, list[int]] = {}
        for batch in rows:
            for key, value in zip(batch["key"].to_pylist(), batch["value"].to_pylist(), strict=True):
                groups.setdefault(key, []).append(value)
        made = [{"key": key, "sum": sum(values), "first": values[0]} for key, values in groups.items()]
        yield Output(pa.RecordBatch.from_pylist(made, SUMS))


def header(stage: str = "toy", params: dict[str, Any] | None = None) -> Header:
    return Header(Kind.TABLE, stage, RecipeRef("toy", "0" * 64), params or {}, ())


def files_of(folder: Path) -> dict[str, bytes]:
    """Every shard, ledger and manifest below `folder`, by its relative path."""
    found = [path for name in ("part-*.parquet", "files-*.parquet", "manifest.json") for path in folder.rglob(name)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(found)}
