"""Hashes of columns of strings."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash


def hashes(strings: pa.Array) -> npt.NDArray[np.uint64]:
    """xxh3-64 of the UTF-8 of each of these large strings, of nothing for a null."""
    strings = strings.fill_null("") if strings.null_count else strings
    _, places, data = strings.buffers()
    ends = np.frombuffer(places, np.int64, len(strings) + 1, 8 * strings.offset).tolist() if len(strings) else [0]
    encoded = memoryview(data or b"")
    found = (xxhash.xxh3_64_intdigest(encoded[begin:end]) for begin, end in pairwise(ends))
    return np.fromiter(found, np.uint64, len(strings))
