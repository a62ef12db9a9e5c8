"""The loops that numpy cannot run fast, compiled by numba at their first call.

Importing this module imports numba (about a second), so others import it inside functions. The compiled code is kept
on disk where that is possible (`__pycache__`, else the user's cache); in a read-only installation each process
compiles again (about three seconds). numba notices a change of this file alone, so no kernel may call one elsewhere.

All arithmetic is modulo 2^64 on unsigned integers: the same bytes on every machine.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Function = TypeVar("Function", bound=Callable[..., Any])
Hashes = npt.NDArray[np.uint64]

# kinds of a character, in the top byte of its entry in the table of `shingles.character_codes`
SEPARATOR, WORD, IGNORED, IDEOGRAPH, LETTER = 0, 1, 2, 3, 4
# a LETTER of a script without spaces weighs 1, a word or an ideograph as much as WORD_WEIGHT of them
WORD_WEIGHT = 3

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_CHARACTER = np.uint32(0xFFFFFF)
_LARGEST = np.uint64(0xFFFFFFFFFFFFFFFF)
_TILE = 512


def _compiled(function: Function) -> Function:
    try:
        return cast(Function, numba.njit(cache=True)(function))
    except RuntimeError:  # no folder that the compiled code could be kept in
        return cast(Function, numba.njit(function))


@_compiled
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser: every bit of the input reaches every bit of the output."""
    value ^= value >> _SHIFT
    value *= _MIX_A
    value ^= value >> _SHIFT
    value *= _MIX_B
    return value ^ (value >> _SHIFT)


@_compiled
def shingle_hashes(points: npt.NDArray[np.uint32], codes: npt.NDArray[np.uint32], ngram: int) -> Hashes:
    """The hash of each run of `ngram` words in a text of code points (see `shingles`): one per place, unsorted.

    A text with fewer words has one hash, of all it has; a text without any has none.
    """
    tokens = np.empty(points.size + 1, np.uint64)
    weights = np.empty(points.size + 1, np.uint8)
    count = 0
    word = _ODD
    inside = False
    for i in range(points.size + 1):
        code = codes[points[i]] if i < points.size else np.uint32(0)
        kind = code >> np.uint32(24)
        if kind == IGNORED:
            continue
        character = np.uint64(code & _CHARACTER)
        if kind == WORD:
            word = (word ^ character) * _MIX_A
            inside = True
            continue
        if inside:
            tokens[count], weights[count] = _mix(word), WORD_WEIGHT
            count += 1
            word, inside = _ODD, False
        if kind != SEPARATOR:
            tokens[count], weights[count] = _mix(_ODD ^ character), WORD_WEIGHT if kind == IDEOGRAPH else 1
            count += 1

    hashes = np.empty(count, np.uint64)
    found = end = weight = 0
    for start in range(count):
        while weight < ngram * WORD_WEIGHT and end < count:
            weight += weights[end]
            end += 1
        if weight < ngram * WORD_WEIGHT and start > 0:
            break
        run = _ODD
        for i in range(start, end):
            run = (run ^ tokens[i]) * _MIX_B
        hashes[found] = _mix(run)
        found += 1
        weight -= weights[start]
    return hashes[:found]


@_compiled
def minima(shingles: Hashes, factors: Hashes, terms: Hashes) -> Hashes:
    """For each permutation x → factor·x + term (mod 2^64) the smallest image of all shingles."""
    smallest = np.full(factors.size, _LARGEST)
    # in tiles that stay in the nearest cache, however many permutations there are
    for begin in range(0, factors.size, _TILE):
        end = min(begin + _TILE, factors.size)
        tile, factor, term = smallest[begin:end], factors[begin:end], terms[begin:end]
        for x in shingles:
            for k in range(tile.size):
                tile[k] = min(tile[k], factor[k] * x + term[k])
    return smallest


@_compiled
def band_hashes(signature: Hashes, rows: int) -> Hashes:
    """One hash per band of `rows` values of a signature; the band's number is hashed with it."""
    bands = signature.size // rows
    hashes = np.empty(bands, np.uint64)
    for band in range(bands):
        value = _mix(np.uint64(band) + _ODD)
        for k in range(band * rows, (band + 1) * rows):
            value = _mix((value ^ signature[k]) * _ODD)
        hashes[band] = value
    return hashes


@_compiled
def shared_count(a: Hashes, b: Hashes) -> int:
    """The number of values that two sorted arrays without repetitions share."""
    i = j = shared = 0
    while i < a.size and j < b.size:
        if a[i] == b[j]:
            shared += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return shared


@_compiled
def greedy_survivors(starts: npt.NDArray[np.int64], neighbours: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each node the neighbour that removes it, or itself if it stays.

    Nodes 0 … n-1 come best first; `neighbours[starts[i]:starts[i + 1]]` are those of node i. A node that no better
    one has removed stays, and removes its neighbours.
    """
    survivor = np.full(starts.size - 1, -1)
    for node in range(survivor.size):
        if survivor[node] >= 0:
            continue
        survivor[node] = node
        for k in range(starts[node], starts[node + 1]):
            if survivor[neighbours[k]] < 0:
                survivor[neighbours[k]] = node
    return survivor
