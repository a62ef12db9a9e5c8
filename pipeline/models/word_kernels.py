"""Words of a text looked up in a vocabulary and counted, compiled: as bytes, with no string and no dictionary entry.

A vocabulary is the UTF-8 of its words one after the other (`blob`), where each begins and the last ends (`bounds`), and
a table of places, of which at least half are free (`slots`): the upper half of an entry is that of the word's hash, the
lower half one more than its number; 0 is free. Equal hashes do not make words equal: their bytes are compared.

Shapes: W words, S places (a power of two), N found words.
"""

import numpy as np
import numpy.typing as npt

from dedup.kernels import Bytes, Offsets
from infra.compiled import compiled_with

Slots = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_BASIS, _PRIME, _ODD = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_LOWER, _UPPER = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)
_FREE = np.uint64(0)
_SPACE, _ZERO = 0x20, 0x30
_HAN_BYTES = 3  # of a character in UTF-8


def _hashed(data: Bytes, start: int, end: int) -> np.uint64:
    value = _BASIS
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * _PRIME
    return _mixed(value)


def _mixed(value: np.uint64) -> np.uint64:
    """FNV-1a has little in its upper half of a short word."""
    value ^= value >> _HALF
    value *= _ODD
    return value ^ (value >> _HALF)


def _count(
    key: np.uint64,
    data: Bytes,
    start: int,
    end: int,
    slots: Slots,
    blob: Bytes,
    bounds: Offsets,
    times_W: Places,
    found_N: Places,
    n: int,
) -> int:
    """Counts the word data[start:end], whose hash is `key`, if it is known. Returns how many different ones have been
    found: n, or one more, which is then found_N[n]."""
    last = slots.size - 1
    place = np.int64(key & _LOWER) & last
    while slots[place] != _FREE:
        entry = slots[place]
        if entry & _UPPER == key & _UPPER:
            number = np.int64(entry & _LOWER) - 1
            first = bounds[number]
            size = bounds[number + 1] - first
            if size == end - start:
                same = 0
                while same < size and blob[first + same] == data[start + same]:
                    same += 1
                if same == size:
                    times_W[number] += 1
                    if times_W[number] == 1:
                        found_N[n] = number
                        n += 1
                    return n
        place = (place + 1) & last
    return n


@compiled_with(_mixed, _hashed)
def enter(blob: Bytes, bounds: Offsets, slots: Slots) -> None:
    """Enters all words into `slots`, which are free."""
    last = slots.size - 1
    for number in range(bounds.size - 1):
        key = _hashed(blob, bounds[number], bounds[number + 1])
        place = np.int64(key & _LOWER) & last
        while slots[place] != _FREE:
            place = (place + 1) & last
        slots[place] = (key & _UPPER) | np.uint64(number + 1)


@compiled_with(_mixed, _hashed, _count)
def count_words(
    spaced: Bytes,
    digits_last: bool,
    han: Bytes,
    by_run: bool,
    slots: Slots,
    blob: Bytes,
    bounds: Offsets,
    times_W: Places,
) -> tuple[Places, Places]:
    """The numbers of the known words, in the order of their first places, and the times of each; both int64[N].

    The text: see `filters.bag_of_words.WordBytes`. `times_W`: all zero, before and after."""
    found_N = np.empty(min(times_W.size, spaced.size // 2 + 1 + 2 * (han.size // _HAN_BYTES)), np.int64)
    n = 0
    for turn in range(2 if digits_last else 1):
        start = 0
        while start < spaced.size:
            if spaced[start] == _SPACE:
                start += 1
                continue
            end, digits, value = start, False, _BASIS
            while end < spaced.size and spaced[end] != _SPACE:
                digits |= spaced[end] == _ZERO
                value = (value ^ np.uint64(spaced[end])) * _PRIME
                end += 1
            if not digits_last or digits == (turn == 1):
                n = _count(_mixed(value), spaced, start, end, slots, blob, bounds, times_W, found_N, n)
            start = end
    start = 0
    while start < han.size:
        end = han.size
        if by_run:
            end = start
            while end < han.size and han[end] != _SPACE:
                end += 1
        for characters in range(1, 3):
            at = start
            while at < end:
                if han[at] == _SPACE:
                    at += 1
                    continue
                after = at + characters * _HAN_BYTES
                if after <= end and han[after - _HAN_BYTES] != _SPACE:
                    key = _hashed(han, at, after)
                    n = _count(key, han, at, after, slots, blob, bounds, times_W, found_N, n)
                at += _HAN_BYTES
        start = end + 1
    times_N = np.empty(n, np.int64)
    for i in range(n):
        times_N[i] = times_W[found_N[i]]
        times_W[found_N[i]] = 0
    return found_N[:n].copy(), times_N
