"""Jobs in files, for runners whose pipeline should not hold a hundred thousand of them.

Each file has a list of jobs, pickled; they are beside the receipts, and temporary.
"""

import pickle
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from infra.dataset.receipts import RECEIPTS
from infra.storage import TEMPORARY, place, write_bytes

JOBS_IN_CHUNK = 1000


@dataclass
class Chunks:
    """`paths`: of the files, in order; `count`: of the partitions that their jobs make."""

    paths: list[str] = field(default_factory=list)
    count: int = 0


@contextmanager
def chunked(folder: Path, jobs: Iterable[Any], size: int = JOBS_IN_CHUNK) -> Iterator[Chunks]:
    """The jobs in files of `size` jobs below the dataset's `folder`, removed when the block ends."""
    chunks, rest, name = Chunks(), iter(jobs), f"{TEMPORARY}jobs-{uuid.uuid4().hex}"
    try:
        while chunk := list(islice(rest, size)):
            path = folder / RECEIPTS / f"{name}-{len(chunks.paths):05d}"
            write_bytes(path, pickle.dumps(chunk))
            chunks.paths.append(str(path))
            chunks.count += sum(getattr(job, "count", 0) for job in chunk)
        yield chunks
    finally:
        for written in chunks.paths:
            place(written).unlink(missing_ok=True)


def read_chunk(path: str) -> list[Any]:
    """The jobs of one file."""
    jobs: list[Any] = pickle.loads(place(path).read_bytes())
    return jobs
