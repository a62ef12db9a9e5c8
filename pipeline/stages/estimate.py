"""`estimate`: what a run over all of the input will take and keep, from a run over a sample of it.

The sample is the first pages of some files, evenly spaced among all. It is run in a temporary folder by one process,
after a few pages that load the models; so the time that a run takes once, to start, is told apart from the time that
each page takes. Sizes are those of the files: nothing else of them is read.
"""

import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.metering import worker_cpu_seconds
from infra.storage import place, read_json, readable
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import InputFile, Inputs, find_inputs
from pipeline.inputs.kinds import is_parquet
from pipeline.inputs.unpacked import open_lines
from pipeline.job.context import Context, open_context
from pipeline.job.intervals import wilson
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe, check_only_tries, models_of
from pipeline.stages.run import run, stages_for

FILES, WARM_UP = 8, 8
HEAD_BYTES = 2**22
RUN_FILE = "run.json"


@dataclass(frozen=True)
class SampleRun:
    """Of the run over one file's first pages: `share` is the part of the file's bytes that they take."""

    pages: int
    kept: int
    share: float
    wall_seconds: float
    cpu_seconds: float
    disk_bytes: int
    peak_memory_bytes: int


def estimate(
    recipe: Recipe | str,
    inputs: Sequence[str],
    workers: int,
    sample: int = 300,
    models: str | None = None,
    columns: Columns | None = None,
) -> dict[str, Any]:
    """{input, sample, pages, workers, seconds, cpu_seconds, memory_bytes, disk_bytes, kept: {docs, share, interval}}.

    `sample`: how many pages or documents to run. `kept` is an upper estimate where a stage looks at the whole pool: the
    more documents, the more copies. UsageError as for `run`.
    """
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = find_inputs(inputs, columns)
    chosen = stages_for(loaded, given)
    check_only_tries(chosen, "refinery estimate")
    singles = single_inputs(given)
    spread = singles[:: -(-len(singles) // FILES)]
    context = open_context(loaded, LocalEngine(), models, models_of(chosen))
    with tempfile.TemporaryDirectory(prefix="refinery-estimate-") as folder:
        began = time.monotonic()
        measure(context, spread[0], WARM_UP, Path(folder) / "warm-up")
        start = time.monotonic() - began
        each = -(-sample // len(spread))
        found = [measure(context, one, each, Path(folder) / str(number)) for number, one in enumerate(spread)]
    if not any(one.pages for one in found):
        raise UsageError("the sample has no page: there is nothing to estimate from")
    return extrapolated(given, spread, found, workers, start)


def single_inputs(given: Inputs) -> list[Inputs]:
    """Each file or dataset as an input of its own."""
    return [
        *(replace(given, archives=(file,), documents=(), datasets=()) for file in given.archives),
        *(replace(given, archives=(), documents=(file,), datasets=()) for file in given.documents),
        *(replace(given, archives=(), documents=(), datasets=(dataset,)) for dataset in given.datasets),
    ]


def size_of(one: Inputs) -> int:
    """Bytes of the files of these inputs."""
    files = sum(file.size or 0 for file in (*one.archives, *one.documents))
    return files + sum(dataset.manifest.shards.sums.bytes for dataset in one.datasets)


def measure(context: Context, one: Inputs, limit: int, out: Path) -> SampleRun:
    """Runs the recipe over the first `limit` pages of one file."""
    head = head_of(one, limit, out.with_suffix(".input"))
    wall, cpu = time.monotonic(), worker_cpu_seconds()
    made = run(context, head, out, limit)
    wall, cpu = time.monotonic() - wall, worker_cpu_seconds() - cpu
    pages = made.datasets[0].manifest.counts["in"]
    if one.archives:
        pages = made.datasets[0].manifest.counts["out"]
    return SampleRun(
        pages=pages,
        kept=made.last.manifest.counts["out"],
        share=1.0 if pages < limit else share_of(one, head, made.datasets[0], pages),
        wall_seconds=wall,
        cpu_seconds=cpu,
        disk_bytes=sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink()),
        peak_memory_bytes=max(
            int((read_json(each.folder / RUN_FILE) or {}).get("peak_memory_bytes", 0)) for each in made.datasets
        ),
    )


def head_of(one: Inputs, limit: int, folder: Path) -> Inputs:
    """The first lines of a file of JSON lines as a file of their own: the whole of it would be read for its columns."""
    if not one.documents or is_parquet(one.documents[0].name):
        return one
    (file,) = one.documents
    folder.mkdir()
    path = folder / Path(file.name).name.removesuffix(".gz").removesuffix(".zst")
    with open_lines(file.path) as lines, path.open("wb") as head:
        head.writelines(islice(lines, limit))
    return replace(one, documents=(InputFile(str(path), file.name, sha256_json([file.name, limit])),))


def share_of(one: Inputs, head: Inputs, first: Dataset, pages: int) -> float:
    """The part of a file's bytes that its first pages take."""
    if one.archives:
        rows = first.to_arrow(["warc_offset", "warc_length"])
        end = pc.max(pc.add(rows["warc_offset"], rows["warc_length"])).as_py() if rows.num_rows else size_of(one)
        return min(1.0, float(end) / max(1, size_of(one)))
    if one.datasets:
        return min(1.0, pages / max(1, one.datasets[0].manifest.shards.sums.rows))
    if head is one:
        return min(1.0, pages / max(1, int(pq.read_metadata(readable(place(one.documents[0].path))).num_rows)))
    unpacked = Path(head.documents[0].path).stat().st_size
    return min(1.0, unpacked / max(1.0, unpacked_size(place(one.documents[0].path), head.documents[0].path)))


def unpacked_size(path: Path, scratch: str) -> float:
    """Bytes of a file of JSON lines when unpacked: of a large one, estimated from its first bytes."""
    size = path.stat().st_size
    packed = Path(f"{scratch}.packed")
    with path.open("rb") as file:
        packed.write_bytes(file.read(HEAD_BYTES))
    unpacked = 0
    with open_lines(str(packed)) as lines, contextlib.suppress(OSError):
        while chunk := lines.read(2**16):
            unpacked += len(chunk)
    return unpacked * max(1.0, size / HEAD_BYTES)


def extrapolated(
    given: Inputs, spread: Sequence[Inputs], found: Sequence[SampleRun], workers: int, start: float
) -> dict[str, Any]:
    """The estimate for all of the input from what was measured on the first pages of some files."""
    sampled, kept = sum(one.pages for one in found), sum(one.kept for one in found)
    read = sum(one.share * size_of(file) for one, file in zip(found, spread, strict=True))
    size = size_of(given)
    pages = max(sampled, round(sampled * size / max(1.0, read)))
    more = pages / sampled
    wall = sum(one.wall_seconds for one in found) * more
    peak = max(one.peak_memory_bytes for one in found)
    low, high = wilson(kept, sampled)
    return {
        "input": {"files": len(given.archives) + len(given.documents) + len(given.datasets), "bytes": size},
        "sample": {"pages": sampled, "files": len(spread), "share": round(read / max(1, size), 6)},
        "pages": pages,
        "workers": workers,
        "seconds": round(start + wall / workers, 1),
        "cpu_seconds": round(start + sum(one.cpu_seconds for one in found) * more, 1),
        "memory_bytes": peak if workers == 1 else peak * (workers + 1),
        "disk_bytes": round(sum(one.disk_bytes for one in found) * more),
        "kept": {"docs": round(kept * more), "share": round(kept / sampled, 6), "interval": [low, high]},
    }
