"""The trainer's loader: tokens a second beside a plain memory map, and memory with a table of many documents.

Speed: batches of packed documents from a synthetic dataset, in the loader's own order, beside what a plain loader does
with the same file: sequences at random places of the memory map, copied as int64 inputs and targets (nanoGPT, train.py,
`get_batch`). Both in one thread, in turn, the best of `--repeats`; the file is in the page cache.
Seconds are of CPU time, so that other work on the machine does not count.

Memory: a table of `--documents` documents of five sources is written as a stream, and opened by `--processes` processes
at once, as the ranks of a machine would. Each makes the order of the first epoch of every source and reads batches.
Of each: seconds, and memory by /proc/self/smaps_rollup. Anonymous memory is each process's own; what is mapped from the
file is shared, and the kernel may drop it (PSS has a process's share of it). Then a run of one and a
half epochs is audited.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.shared import add, markdown
from infra.dataset.files import FileRef, Shard, write_files
from infra.dataset.manifest import Header, Kind, Manifest, RecipeRef
from infra.hashing import sha256_file
from mixers.document_table import DOCUMENT_TABLE, DocumentTableWriter
from trainer.data.audit import PartAudit, audit_sources
from trainer.data.cursor import START
from trainer.data.loader import Loader
from trainer.data.mixture import MixtureSchedule
from trainer.data.parts import RunPart
from trainer.data.reader import SequenceReader
from trainer.data.tokens import TokenDataset

SOURCES: Final = ("web", "books", "code", "papers", "dialogue")
DOMAINS: Final = ("general", "literature", "code", "science", "dialogue", "society")
CHUNK: Final = 2**20
VOCABULARY, EOD = 50_000, 2
LENGTH = 4096


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--repeats", "--out")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the table for memory")
    parser.add_argument("--processes", type=int, default=2, help="that open the table at once")
    parser.add_argument("--sequences", type=int, default=64, help=f"of {LENGTH} tokens, of each batch")
    parser.add_argument("--tokens", type=int, default=50_000_000, help="of the dataset for speed")


def run(args: argparse.Namespace) -> dict[str, Any]:
    with TemporaryDirectory(dir=args.out) as folder:
        speed = measure_speed(Path(folder) / "tokens", args)
    with TemporaryDirectory(dir=args.out) as folder:
        memory = measure_memory(Path(folder) / "table", args.documents, args.processes)
    whole = memory["anonymous_bytes"] < 4 * 2**30 and not memory["audit"]["faults"]
    return {"speed": speed, "memory": memory, "passed": speed["loader"] >= speed["plain"] / 2 and whole}


def rows_of(documents: int, mean: int = 800) -> Iterator[pa.RecordBatch]:
    """The rows of a table, of which one in twenty is repeated: lengths are log-normal, as those of pages are."""
    offset = 0
    for first in range(0, documents, CHUNK):
        count = min(CHUNK, documents - first)
        random = np.random.Generator(np.random.Philox(first))
        lengths = np.clip(random.lognormal(np.log(mean) - 0.5, 1.0, count), 8, 60_000).astype(np.int64)
        source = random.choice(len(SOURCES), count, p=[0.7, 0.1, 0.1, 0.06, 0.04])
        repeats = np.where(random.random(count) < 0.05, 1 + source, 1)
        yield pa.RecordBatch.from_pydict(
            {
                "id": pc.cast(pa.array(np.arange(first, first + count)), pa.string()),
                "domain": pa.array(DOMAINS).take(pa.array((source + lengths) % len(DOMAINS))),
                "source": pa.array(SOURCES).take(pa.array(source)),
                "offset": pa.array(offset + np.cumsum(lengths) - lengths),
                "length": pa.array(lengths),
                "bytes": pa.array(4 * lengths),
                "repeats": pa.array(repeats),
            }
        )
        offset += int(lengths.sum())


def write_dataset(folder: Path, documents: int, with_tokens: bool) -> Path:
    """A dataset of one shard, of random tokens, or without its shard: then its table alone can be read."""
    folder.mkdir()
    random = np.random.Generator(np.random.Philox(1))
    total = 0
    with DocumentTableWriter() as table, (folder / "part-00000.bin").open("wb") as shard:
        for rows in rows_of(documents):
            table.add(rows, 0)
            lengths = rows["length"].to_numpy()
            total += int(lengths.sum())
            if with_tokens:
                words = random.integers(3, VOCABULARY, int(lengths.sum()), np.uint16)
                words[np.cumsum(lengths) - 1] = EOD
                shard.write(words.tobytes())
        numbers = table.write(folder / DOCUMENT_TABLE)
    sha256 = sha256_file(folder / "part-00000.bin")
    shards = [Shard("part-00000.bin", documents, 2 * total, 0, total, sha256)]
    about = {"name": "none", "sha256": "0" * 64, "vocab_size": VOCABULARY, "eod": EOD}
    header = Header(Kind.TOKENS, "tokenize", RecipeRef("synthetic", "0" * 64), {"tokenizer": about}, ())
    counts = {"in": documents, "out": documents, "tokens": total}
    files = write_files(folder, shards, files=[FileRef(numbers.path, numbers.bytes, numbers.sha256)])
    (folder / "manifest.json").write_bytes(Manifest(header, (), files, counts).to_bytes())
    return folder


def measure_speed(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second of both loaders."""
    tokens, sequences = args.tokens, args.sequences
    dataset = TokenDataset(write_dataset(folder, tokens // 800, with_tokens=True))
    loader = Loader(dataset, 0, LENGTH)
    batches = max(1, tokens // (sequences * LENGTH) // 2)
    whole = dataset.shard(0)
    random = np.random.Generator(np.random.Philox(2))

    def plain() -> None:
        for _ in range(batches):
            places = random.integers(0, len(whole) - LENGTH - 1, sequences).tolist()
            inputs = np.stack([whole[i : i + LENGTH].astype(np.int64) for i in places])
            targets = np.stack([whole[i + 1 : i + 1 + LENGTH].astype(np.int64) for i in places])
            assert inputs.shape == targets.shape

    def packed() -> None:
        cursor = START
        for _ in range(batches):
            _, cursor = loader.batch(cursor, sequences)

    loader.batch(START, sequences)  # makes the orders
    size = batches * sequences * LENGTH
    found = {"plain": 0.0, "loader": 0.0}
    for _ in range(args.repeats):
        for name, work in (("plain", plain), ("loader", packed)):
            found[name] = max(found[name], size / seconds(work, time.process_time))
    return {**found, "tokens": size, "sequences": sequences}


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begin = clock()
    work()
    return clock() - begin


def measure_memory(folder: Path, documents: int, processes: int) -> dict[str, Any]:
    """What the table costs to write, to open and to audit."""
    written = seconds(lambda: write_dataset(folder, documents, with_tokens=False), time.process_time)
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _share, (context.Barrier(processes),)) as pool:
        readers = pool.map(_open, [str(folder)] * processes, chunksize=1)
    with context.Pool(1) as pool:
        audited = pool.apply(_audit, (str(folder),))
    return {
        "documents": documents, "file_bytes": (folder / DOCUMENT_TABLE).stat().st_size, "write_cpu_seconds": written,
        "readers": readers, "audit": audited,
        "anonymous_bytes": sum(each["after"]["Anonymous"] for each in readers),
        "pss_bytes": sum(each["after"]["Pss"] for each in readers),
    }  # fmt: skip


_ready: Any = None


def _share(ready: Any) -> None:
    global _ready
    _ready = ready


def _open(folder: str) -> dict[str, Any]:
    """One reader: its seconds and its memory, which is taken while all readers have theirs."""
    before, began = memory(), time.perf_counter()
    table = TokenDataset(Path(folder)).documents
    opened, cpu = time.perf_counter(), time.process_time()
    reader = SequenceReader(table, 0, LENGTH, MixtureSchedule((), table, 1))
    _, cursor = reader.read(START, 1024)
    ordered, cpu = time.perf_counter(), time.process_time() - cpu
    for _ in range(20):
        _, cursor = reader.read(cursor, 1024)
    _ready.wait()
    after = memory()
    _ready.wait()
    return {
        "open_seconds": opened - began, "order_seconds": ordered - opened, "order_cpu_seconds": cpu, "before": before,
        "after": after,
    }  # fmt: skip


def _audit(folder: str) -> dict[str, Any]:
    """The audit of a run of one and a half epochs."""
    dataset = TokenDataset(Path(folder))
    table = dataset.documents
    reader = SequenceReader(table, 0, LENGTH, MixtureSchedule((), table, 1))
    steps = -(-3 * sum(source.tokens for source in table.sources) // (2 * LENGTH * CHUNK))
    cursor = START
    for _ in range(steps):
        _, cursor = reader.read(cursor, CHUNK, 0, 1)
    part = RunPart(dataset.ref.manifest_sha256, 0, (), LENGTH, CHUNK, 0, START, steps, cursor)
    audited = PartAudit(part, dataset)
    cpu = time.process_time()
    sources = audit_sources([audited])
    faults = [*audited.faults(), *(fault for source in sources for fault in source["faults"])]
    return {
        "cpu_seconds": time.process_time() - cpu, "faults": faults, "after": memory(),
        "peak_rss_bytes": peak_resident(),
    }  # fmt: skip


def memory() -> dict[str, int]:
    """Bytes of this process, by the kernel's names."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if line.endswith("kB"))
    return {name: 1024 * int(found[name].split()[0]) for name in ("Rss", "Pss", "Anonymous")}


def peak_resident() -> int:
    """Bytes. Not `getrusage`, which has that of the process before its `exec` in it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def show(found: dict[str, Any]) -> Iterator[str]:
    speed, table, mib = found["speed"], found["memory"], 2**20
    yield f"{speed['tokens']:,} tokens, batches of {speed['sequences']} x {LENGTH}"
    yield from markdown(
        ("loader", "million tokens a CPU second", "of the plain map"),
        [(name, f"{speed[name] / 1e6:.0f}", f"{speed[name] / speed['plain']:.2f}") for name in ("plain", "loader")],
    )
    size, written = f"{table['file_bytes'] / mib:,.0f} MiB", f"{table['write_cpu_seconds']:.0f} CPU seconds"
    yield ""
    yield f"{table['documents']:,} documents: a table of {size}, written in {written}; opened by each process:"
    columns = [("after", "Anonymous"), ("before", "Anonymous"), ("after", "Pss"), ("after", "Rss")]
    yield from markdown(
        (
            "process",
            "open, s",
            "order, s",
            "of CPU",
            "anonymous, MiB",
            "before opening, MiB",
            "PSS, MiB",
            "RSS, MiB",
        ),
        [
            (
                i,
                f"{each['open_seconds']:.2f}",
                f"{each['order_seconds']:.1f}",
                f"{each['order_cpu_seconds']:.1f}",
                *(f"{each[when][name] / mib:,.0f}" for when, name in columns),
            )
            for i, each in enumerate(table["readers"])
        ],
    )
    anonymous, pss = (f"{table[name] / mib:,.0f} MiB" for name in ("anonymous_bytes", "pss_bytes"))
    yield f"all: {anonymous} anonymous, {pss} with what is mapped"
    audit = table["audit"]
    peak = f"{audit['peak_rss_bytes'] / mib:,.0f} MiB resident at most"
    yield f"audit of 1.5 epochs: {audit['cpu_seconds']:.0f} CPU seconds, {peak}, {len(audit['faults'])} faults"
