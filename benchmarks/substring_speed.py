"""Megabytes a second of one core of exact substring deduplication, beside one suffix array of everything.

    python -m benchmarks substring_speed --texts documents.jsonl.gz [--repeats 3] [--copies 1]

CPU seconds of this process, the least of so many repeats. `stage` is a whole stage over a dataset: reading, reductions,
writing, hashes of files; `copy` reads the dataset and writes it again. Its parts in memory: `segments` of all texts,
`repeated` ones among them, `compared` ones. `one suffix array` is what Lee et al. do (sort all suffixes, common
prefixes of neighbours), in memory at once; `stage` finds the same spans of bytes. `--copies`: so many times the texts,
with the words of every other copy in another order: more text, with no more that is repeated.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydivsufsort import divsufsort, kasai

from benchmarks.shared import add, read_texts
from benchmarks.stage_speed import CopyTask, through
from dedup.blocks import TEXTS, Compare, text_table
from dedup.segments import DIFFERENT, FOUND, SEGMENTS, Repeated, Windows, segment_table
from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from infra.metering import worker_peak_memory
from mixers.pretokens import count as count_tokens

SCHEMA = schemas.documents([])
BATCH, REDUCED = 256, 65536


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", "--repeats")
    parser.add_argument("--copies", type=int, default=1)


@dataclass(frozen=True)
class GivenTexts:
    """GivenTexts as the one partition of a source."""

    texts: tuple[str, ...]
    refs: tuple[InputRef, ...] = (InputRef("made", "texts"),)
    fingerprint: str = "texts"

    def parts(self) -> list["GivenTexts"]:
        return [self]


@dataclass(frozen=True)
class MakeGiven:
    schema: pa.Schema = SCHEMA
    fingerprint: str = "make"

    def __call__(self, part: GivenTexts) -> Iterator[Output]:
        for first in range(0, len(part.texts), BATCH):
            rows = [
                {"text": text, "id": f"<{number}>", "file_path": "a.jsonl", "warc_offset": number, "copies": 1,
                 "snapshots": 1, "token_count": count_tokens(text), "signals": {}}
                for number, text in enumerate(part.texts[first : first + BATCH], first)
            ]  # fmt: skip
            yield Output(pa.RecordBatch.from_pylist(rows, SCHEMA), None, {"in": len(rows), "rejected": 0})


def many(texts: list[str], copies: int) -> tuple[str, ...]:
    made = list(texts)
    for copy in range(1, copies):
        draw = random.Random(copy)
        for text in texts:
            words = text.split(" ")
            draw.shuffle(words)
            made.append(" ".join(words))
    return tuple(made)


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = many(read_texts(args.texts, args.limit), args.copies)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    seconds: dict[str, float] = {}
    segments: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        made = work()
        seconds[name] = min(seconds.get(name, 1e9), time.process_time() - begin)
        return made

    with tempfile.TemporaryDirectory(prefix="substring-speed-") as scratch, LocalEngine() as engine:
        header = Header(Kind.DOCUMENTS, "make", RecipeRef("benchmark", ""), {}, ())
        documents = engine.map_shards(MakeGiven(), [GivenTexts(texts)], Path(scratch) / "documents", header)
        for repeat in range(args.repeats + 1):  # the first compiles
            if repeat == 1:
                seconds.clear()
            for unit in ("tokens", "bytes"):
                windows = Windows("tokens", 50) if unit == "tokens" else Windows("bytes", 500)
                segments |= parts(documents, windows, unit, megabytes, timed)
                step = {"kind": "dedup", "method": "substring", "options": {unit: windows.length}}
                stage, out = {"command": "dedup", "step": [step]}, Path(scratch) / f"{unit}-{repeat}"
                timed(f"{unit}: stage", lambda stage=stage, out=out: through(engine, stage, documents, out))
            out = Path(scratch) / f"copy-{repeat}"
            header = Header(Kind.DOCUMENTS, "copy", RecipeRef("benchmark", ""), {}, documents.refs)
            timed("copy", lambda out=out, header=header: engine.map_shards(CopyTask(), [documents], out, header))
        peak = worker_peak_memory()
        one = timed("one suffix array", lambda: repeated_bytes(texts))
    rates = {name: round(megabytes / max(spent, 1e-9), 1) for name, spent in seconds.items()}
    return {
        "texts": len(texts), "megabytes": round(megabytes, 1), "megabytes_a_second": rates, "peak_memory_bytes": peak,
        "peak_memory_bytes_one_suffix_array": worker_peak_memory(), "repeated_windows_of_bytes": one, **segments,
    }  # fmt: skip


def parts(documents: Dataset, windows: Windows, unit: str, megabytes: float, timed: Any) -> dict[str, float]:
    """The three parts of the search in memory, and how much each hands to the next."""
    texts = documents.to_arrow(["text"]).combine_chunks().to_batches(max_chunksize=BATCH)
    firsts = np.cumsum([0, *(batch.num_rows for batch in texts)]).tolist()

    def cut() -> pa.Table:
        made = [segment_table(batch, 0, first, windows) for batch, first in zip(texts, firsts)]
        return pa.Table.from_batches(made, SEGMENTS)

    def reduced(table: pa.Table) -> Iterator[pa.RecordBatch]:
        names = ("key", "shard", "row")
        rows = table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])).combine_chunks()
        return iter(rows.to_batches(max_chunksize=REDUCED))

    def of_texts() -> pa.Table:
        made = (text_table(batch, first, found, windows) for batch, first in zip(texts, firsts))
        return pa.Table.from_batches([each for some in made for each in some], TEXTS)

    table = timed(f"{unit}: segments", cut)
    found = timed(f"{unit}: repeated", lambda: pa.Table.from_batches(Repeated()(0, reduced(table)), FOUND))
    found = found.filter(pc.greater_equal(found["what"], DIFFERENT)).sort_by("row").combine_chunks()
    compared = of_texts()
    timed(f"{unit}: compared", lambda: list(Compare(windows)(0, reduced(of_texts()))))
    share = (pc.sum(pc.binary_length(compared["units"])).as_py() or 0) / 1e6 / megabytes
    return {f"{unit}: segments a MB": table.num_rows / megabytes, f"{unit}: share of bytes compared": share}


def repeated_bytes(texts: tuple[str, ...], size: int = 500) -> int:
    """How many runs of `size` bytes, of one text each, occur elsewhere too."""
    data = np.frombuffer(b"\xff".join(text.encode() for text in texts) + b"\xff", np.uint8).copy()
    suffixes = divsufsort(data)
    common = kasai(data, suffixes)[: data.size - 1]
    ends = np.flatnonzero(data == 0xFF)
    inside = ends[np.searchsorted(ends, suffixes)] - suffixes >= size
    equal = (common >= size) & inside[:-1]
    twice = np.zeros(data.size, np.bool_)
    twice[:-1] |= equal
    twice[1:] |= equal
    return int((twice & inside).sum())


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']:,} texts, {found['megabytes']} MB; megabytes a CPU second:"
    yield from (f"{name:20} {rate:9,.1f}" for name, rate in found["megabytes_a_second"].items())
    for unit in ("tokens", "bytes"):
        a_megabyte, share = found[f"{unit}: segments a MB"], found[f"{unit}: share of bytes compared"]
        yield f"{unit}: {a_megabyte:,.0f} segments a megabyte, {share:.1%} of the bytes are compared"
    peaks = [found[name] / 2**20 for name in ("peak_memory_bytes", "peak_memory_bytes_one_suffix_array")]
    yield "peak memory {:,.0f} MiB; with one suffix array {:,.0f} MiB".format(*peaks)
