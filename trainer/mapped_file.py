"""A file mapped into memory without an open file: a process may map thousands, and deleted ones stay readable."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def mapped(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    """The content of a file as numbers of this kind, read-only, of one dimension. It may be empty."""
    # numpy's memmap keeps a file descriptor for each map, of which a process usually may have 1,024.
    if not path.stat().st_size:
        return np.empty(0, kind)
    with pa.memory_map(str(path)) as file:
        return np.frombuffer(file.read_buffer(), kind)
