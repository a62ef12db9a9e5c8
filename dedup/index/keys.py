"""Keys of contents: 128 bits, as sixteen bytes in the order of the number, so that bytes and numbers sort alike.

In numpy they are `S16`, which sorts, compares and searches bytewise; in Arrow fixed-size binaries. A range of keys, or
of band hashes, is told by its first bits: part p of 2^bits has those whose first bits are p.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dedup.tables import Hashes

KEY = pa.binary(16)
Keys = npt.NDArray[np.bytes_]
WIDTH = 16


def content_keys(sets: Sequence[Hashes], digests: Sequence[bytes]) -> Keys:
    """The key of each document, shape (documents,): of its shingle set, or, where that is empty, of its text's digest
    (16 bytes)."""
    found = (
        xxhash.xxh3_128_digest(shingles.tobytes()) if shingles.size else xxhash.xxh3_128_digest(b"text" + digest)
        for shingles, digest in zip(sets, digests, strict=True)
    )
    return np.frombuffer(b"".join(found), f"S{WIDTH}")


def to_numpy(column: pa.Array | pa.ChunkedArray) -> Keys:
    """A column of keys without nulls."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # an Arrow that keeps one chunk
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], KEY)
    if not len(column):
        return np.empty(0, f"S{WIDTH}")
    assert not column.null_count, "every row has a key"
    return np.frombuffer(column.buffers()[1], f"S{WIDTH}", len(column), column.offset * WIDTH)


def to_arrow(keys: Keys) -> pa.Array:
    """Keys as a column."""
    data = pa.py_buffer(np.ascontiguousarray(keys).tobytes())
    return pa.Array.from_buffers(KEY, keys.size, [None, data])


def prefixes(keys: Keys) -> Hashes:
    """The first 64 bits of each key."""
    halves = np.frombuffer(np.ascontiguousarray(keys).tobytes(), ">u8").reshape(-1, 2)
    found: Hashes = halves[:, 0].astype(np.uint64)
    return found


def parts_of(numbers: Hashes, bits: int) -> npt.NDArray[np.int32]:
    """The part of each number of 64 bits: its first `bits` bits."""
    return (numbers >> np.uint64(64 - bits)).astype(np.int32) if bits else np.zeros(numbers.size, np.int32)


def part_range(part: int, bits: int) -> tuple[int, int]:
    """The first and the last number of 64 bits of a part."""
    width = 64 - bits
    return part << width, ((part + 1) << width) - 1


def bits_for(rows: int, rows_of_part: int) -> int:
    """The least number of bits by which so many rows are cut into parts of at most `rows_of_part`, in the mean."""
    parts = max(1, -(-rows // rows_of_part))
    return (parts - 1).bit_length()


def among(some: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Whether each of `some` is in `ordered` (sorted), and at which place (of those that are)."""
    place = np.searchsorted(ordered, some)
    if not ordered.size:
        return np.zeros(some.size, np.bool_), place
    there = ordered[np.minimum(place, ordered.size - 1)] == some
    return there, place
