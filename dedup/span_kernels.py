"""Inner loops of substring deduplication over UTF-8, compiled (`compiled.py` says what to keep in mind).

A text is read where Arrow has it: no Python strings, no copies. Bytes that are no UTF-8 are taken as they come.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dedup.tables import Hashes
from infra.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]

# kinds of a code point: white space, part of a token, a token by itself
BLANK, PART, SINGLE = 0, 1, 2
# The two bytes that no UTF-8 has: before the hash that stands for a long token, and between two segments.
LONG_TOKEN, SEPARATOR = 0xFE, 0xFF
SPACE = 0x20
# Longer tokens are compared by a hash of 128 bits: a segment has a bounded size, however long its tokens are.
TOKEN_BYTES, HASH_BYTES = 64, 33

_SEED = np.uint64(0x9E3779B97F4A7C15)
_OTHER_SEED = np.uint64(0xD1B54A32D192ED03)
_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)
_NIBBLE, _FOUR = np.uint64(15), np.uint64(4)
_LAST_POINT = np.int64(0x10FFFF)


@compiled
def tokens(data: Bytes, at: int, kinds: Bytes, bounds: Places, hashes: Hashes) -> tuple[int, int]:
    """Fills `bounds`, shape (tokens, 2), with where each token of data[at:] begins and ends in `data`, and `hashes`
    with a hash of each: those of equal tokens are equal.

    Returns how many there are, and where to go on if there are more than fit.
    """
    count = 0
    inside = False
    value = _SEED
    end = data.size
    while at < end:
        byte = np.int64(data[at])
        point, size = byte, 1
        if byte >= 0x80:
            if byte >= 0xF0 and at + 3 < end:
                point = (byte & 7) << 18 | (data[at + 1] & 63) << 12 | (data[at + 2] & 63) << 6 | (data[at + 3] & 63)
                point, size = min(point, _LAST_POINT), 4
            elif 0xE0 <= byte < 0xF0 and at + 2 < end:
                point, size = (byte & 15) << 12 | (data[at + 1] & 63) << 6 | (data[at + 2] & 63), 3
            elif 0xC0 <= byte < 0xE0 and at + 1 < end:
                point, size = (byte & 31) << 6 | (data[at + 1] & 63), 2
        kind = kinds[point]
        if inside and kind != PART:
            bounds[count, 1], hashes[count] = at, value
            count += 1
            inside = False
        if kind != BLANK:
            if not inside:
                if count == hashes.size:
                    return count, at
                bounds[count, 0] = at
                value = _SEED
            for k in range(at, at + size):
                value = (value ^ np.uint64(data[k])) * _MIX_A
                value ^= value >> _HALF
            inside = True
            if kind == SINGLE:
                bounds[count, 1], hashes[count] = at + size, value
                count += 1
                inside = False
        at += size
    if inside:
        bounds[count, 1], hashes[count] = end, value
        count += 1
    return count, end


@compiled
def segments(
    hashes: Hashes,
    length: int,
    gram: int,
    most: int,
    keys: Hashes,
    checks: Hashes,
    begins: Places,
    windows: Places,
    again: npt.NDArray[np.bool_],
) -> int:
    """Cuts the windows of `length` units into segments; returns how many, and fills their columns.

    A window's key is the least hash of its runs of `gram` units; windows that follow each other and have one key are a
    segment, of at most `most` of them. `checks`: a hash of the units of the segment's windows, made of those of runs.
    `again`: whether the least run is in the segment at several places; else no two of its windows are equal.
    """
    grams = hashes.size - gram + 1
    span = length - gram + 1  # runs in a window
    if grams < span:
        return 0
    power = np.uint64(1)
    for _ in range(gram):
        power *= _SEED
    line = np.empty(grams, np.int32)  # places of runs, their values ascending
    values = np.empty(grams, np.uint64)
    head = tail = count = place = 0
    rolling = np.uint64(0)
    for i in range(hashes.size):
        rolling = rolling * _SEED + hashes[i]
        if i >= gram:
            rolling -= power * hashes[i - gram]
        run = i - gram + 1
        if run < 0:
            continue
        value = (rolling ^ (rolling >> _HALF)) * _MIX_B
        value ^= value >> _HALF
        values[run] = value
        while tail > head and values[line[tail - 1]] >= value:
            tail -= 1
        line[tail] = run
        tail += 1
        window = run - span + 1
        if window < 0:
            continue
        if line[head] < window:
            head += 1
        key = values[line[head]]
        if count and keys[count - 1] == key and windows[count - 1] < most:
            windows[count - 1] += 1
            again[count - 1] |= line[head] != place
        else:
            keys[count], begins[count], windows[count], again[count] = key, window, 1, False
            count += 1
        place = line[head]  # the last of equal ones, so that equal windows have it at the same distance
    for k in range(count):
        check, last = _OTHER_SEED ^ np.uint64(windows[k]), begins[k] + windows[k] + span - 2
        # runs side by side, and the one at the end
        for run in range(begins[k], last + gram, gram):
            check = (check ^ values[min(run, last)]) * _MIX_B
            check ^= check >> _HALF
        checks[k] = check
    return count


@compiled
def encode_tokens(data: Bytes, bounds: Places, out: Bytes) -> int:
    """Writes the tokens at `bounds` to `out`, each after a space, and one at the end; returns the number of bytes.

    Room: a token takes its bytes and one more, or 34.
    """
    size = 0
    for i in range(bounds.shape[0]):
        out[size] = SPACE
        size += 1
        if bounds[i, 1] - bounds[i, 0] <= TOKEN_BYTES:
            for at in range(bounds[i, 0], bounds[i, 1]):
                out[size] = data[at]
                size += 1
            continue
        first, second = _SEED, _OTHER_SEED
        for at in range(bounds[i, 0], bounds[i, 1]):
            first = (first ^ np.uint64(data[at])) * _MIX_A
            first ^= first >> _HALF
            second = (second ^ np.uint64(data[at])) * _MIX_B
            second ^= second >> _HALF
        out[size] = LONG_TOKEN
        size += 1
        for _ in range(16):
            out[size] = 0x41 + np.uint8(first & _NIBBLE)
            out[size + 1] = 0x41 + np.uint8(second & _NIBBLE)
            first >>= _FOUR
            second >>= _FOUR
            size += 2
    out[size] = SPACE
    return size + 1


@compiled
def equal_windows(suffixes: Places, common: Places, sizes: Places, numbers: Places, groups: Places) -> None:
    """Fills `groups` with a number for each window, the same for equal ones.

    `suffixes`: sorted; `common`: how many bytes each has in common with the next; `sizes`: the bytes of the window that
    begins at each place, 0 where none does; `numbers`: of the windows, by place.
    """
    group = -1
    same = False
    for i in range(suffixes.size):
        size = sizes[suffixes[i]]
        if size == 0:
            same = False
            continue
        if not same:
            group += 1
        groups[numbers[suffixes[i]]] = group
        same = common[i] >= size


def byte_hashes() -> Hashes:
    """A hash for each byte."""
    values = np.arange(1, 257, dtype=np.uint64)
    for _ in range(2):
        values = (values ^ (values >> _HALF)) * _MIX_A
    found: Hashes = values ^ (values >> _HALF)
    return found


def whole(array: Any) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """The UTF-8 of an Arrow array of strings without nulls, and where each string begins and the last one ends."""
    wide = array.cast("large_binary")
    _, offsets, data = wide.buffers()
    ends = np.frombuffer(offsets, np.int64)[wide.offset : wide.offset + len(wide) + 1]
    return np.frombuffer(data or b"", np.uint8), ends
