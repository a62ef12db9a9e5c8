"""Equal pieces of one text, found by 64-bit hashes.

A `Rolling` hash gives the hash of any span from two prefix sums: sum(value[j] * B**(j - start)) modulo 2**64, with B
odd, so that it has an inverse. Two spans that differ by a swap never collide; a text built to collide (Thue-Morse
words of a thousand characters) only counts as repetitive. The hashes never leave the process.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BASE = 0x9E3779B97F4A7C15  # odd, and 5 modulo 8, so that its powers have the longest possible period
_BLOCK_BITS = 16
_BLOCK = 1 << _BLOCK_BITS
_BLOCKS = 1 << 15  # together: spans of up to 2**31 values


class Groups(NamedTuple):
    """Equal items: `ids[i]` is the group of item i, `firsts[g]` its first item and `counts[g]` its size."""

    ids: Indices
    firsts: Indices
    counts: Indices


class Rolling:
    """Hashes of spans of `values` (uint64[n]) in constant time each, after one pass."""

    def __init__(self, values: Hashes) -> None:
        self._sums = np.zeros(values.size + 1, np.uint64)
        (values * _first_powers(values.size)).cumsum(out=self._sums[1:])

    def hashes(self, start: Indices, end: Indices) -> Hashes:
        """The hash of each span values[start[i]:end[i]]; it depends on the values alone, not on the offset."""
        spans: Hashes = (self._sums.take(end) - self._sums.take(start)) * _inverse_powers(start, self._sums.size)
        return spans


def hash_words(words: list[str]) -> Hashes:
    """The hash of each word, uint64[words]; the same for equal words of any text."""
    codes = [np.frombuffer(word.encode("utf-32-le", "surrogatepass"), dtype="<u4") for word in words]
    return np.array([int(_hash_one(each)) for each in codes], np.uint64)


def character_values(codes: npt.NDArray[np.uint32]) -> Hashes:
    """Code points as values to hash; never zero, so that a NUL changes the hash."""
    return codes.astype(np.uint64) + np.uint64(1)


def group(hashes: Hashes) -> Groups | None:
    """Groups equal hashes; None when all differ, which is common and cheap."""
    if hashes.size < 2:
        return None
    order = hashes.argsort(kind="stable")
    ordered = hashes.take(order)
    new = np.empty(hashes.size, bool)
    new[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    starts = new.nonzero()[0]
    if starts.size == hashes.size:
        return None
    ids = np.empty(hashes.size, np.int64)
    ids[order] = new.cumsum() - 1
    counts = np.empty(starts.size, np.int64)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1] = hashes.size - starts[-1]
    return Groups(ids, order.take(starts), counts)


def extra_copies(hashes: Hashes) -> Mask:
    """Which items repeat an earlier one."""
    found = group(hashes)
    if found is None:
        return np.zeros(hashes.size, bool)
    extra = np.ones(hashes.size, bool)
    extra[found.firsts] = False
    return extra


def all_copies(hashes: Hashes) -> Mask:
    """Which items occur more than once, the first copy included."""
    found = group(hashes)
    if found is None:
        return np.zeros(hashes.size, bool)
    copies: Mask = (found.counts > 1)[found.ids]
    return copies


def distinct_fraction(hashes: Hashes) -> float | None:
    """Share of distinct ones among the items; None without items."""
    if not hashes.size:
        return None
    found = group(hashes)
    return 1.0 if found is None else found.firsts.size / hashes.size


def entropy(hashes: Hashes) -> float | None:
    """-sum(p log p) over the items, in nats; None without items."""
    if not hashes.size:
        return None
    found = group(hashes)
    if found is None:
        return float(np.log(hashes.size))
    shares = found.counts / hashes.size
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def _hash_one(codes: npt.NDArray[np.uint32]) -> np.uint64:
    whole = Rolling(character_values(codes))
    return whole.hashes(np.zeros(1, np.int64), np.full(1, codes.size, np.int64))[0]  # type: ignore[no-any-return]


def _first_powers(count: int) -> Hashes:
    """The base to the powers 0 ... count - 1."""
    low, high = _power_tables(inverse=False)
    if count <= _BLOCK:
        return low[:count]
    blocks = -(-count // _BLOCK)
    return np.multiply.outer(high[:blocks], low).ravel()[:count]


def _inverse_powers(exponents: Indices, below: int) -> Hashes:
    """The base's inverse to these powers, all of them under `below`."""
    low, high = _power_tables(inverse=True)
    if below <= _BLOCK:
        return low.take(exponents)
    product: Hashes = low.take(exponents & (_BLOCK - 1)) * high.take(exponents >> _BLOCK_BITS)
    return product


@lru_cache(maxsize=2)
def _power_tables(inverse: bool) -> tuple[Hashes, Hashes]:
    base = pow(_BASE, -1, 1 << 64) if inverse else _BASE
    step = pow(base, _BLOCK, 1 << 64)
    low = np.multiply.accumulate(np.array([1] + [base] * (_BLOCK - 1), np.uint64))
    high = np.multiply.accumulate(np.array([1] + [step] * (_BLOCKS - 1), np.uint64))
    return low, high
