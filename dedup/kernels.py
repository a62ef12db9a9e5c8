"""Inner loops that numpy cannot run fast, compiled by numba.

Each public function is compiled at its first call, so that importing this module does not import numba (about a
second). Compiled code is cached on disk where possible (`__pycache__`, else the user's cache); in a read-only
installation each process compiles again (about three seconds). numba invalidates the cache when this file changes and
not when others do, so no kernel may call a function of another module.

All arithmetic is on unsigned integers modulo 2^64: the same bytes on every machine.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from dedup.tables import Hashes

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# kinds of a character, in the top byte of its entry in the table of `shingles.character_codes`
SEPARATOR, WORD, IGNORED, IDEOGRAPH, LETTER = 0, 1, 2, 3, 4
# weight of a word or an ideograph; a LETTER of a script without spaces weighs 1
WORD_WEIGHT = 3

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_CHARACTER = np.uint32(0xFFFFFF)
_LARGEST = np.uint64(0xFFFFFFFFFFFFFFFF)
_TILE = 512


def _compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`function`, compiled at its first call."""

    @wraps(function)
    def call(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        result: Result = _dispatcher(function)(*arguments, **named)
        return result

    return call


@cache
def _dispatcher(function: Callable[..., Any]) -> Callable[..., Any]:
    numba = _numba()
    try:
        dispatcher: Callable[..., Any] = numba.njit(cache=True)(function)
    except RuntimeError:  # no folder to cache compiled code in
        dispatcher = numba.njit(function)
    return dispatcher


@cache
def _numba() -> Any:
    import numba
    from numba.extending import register_jitable

    register_jitable(_mix)
    return numba


def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser: every bit of the output depends on every bit of the input."""
    value ^= value >> _SHIFT
    value *= _MIX_A
    value ^= value >> _SHIFT
    value *= _MIX_B
    return value ^ (value >> _SHIFT)


@_compiled
def shingle_hashes(points: npt.NDArray[np.uint32], codes: npt.NDArray[np.uint32], ngram: int) -> Hashes:
    """The hash of each run of `ngram` words of a text, in order, with repetitions (words as `shingles` defines them).

    `points`: the text's code points; `codes`: the table of `shingles.character_codes`. A text with fewer words gives
    one hash, of the whole; a text without words gives none.
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
    """The smallest image of all shingles under each permutation x → factor·x + term (mod 2^64)."""
    smallest = np.full(factors.size, _LARGEST)
    # in tiles that fit the first-level cache, whatever the number of permutations
    for begin in range(0, factors.size, _TILE):
        end = min(begin + _TILE, factors.size)
        tile, factor, term = smallest[begin:end], factors[begin:end], terms[begin:end]
        for x in shingles:
            for k in range(tile.size):
                tile[k] = min(tile[k], factor[k] * x + term[k])
    return smallest


@_compiled
def band_hashes(signature: Hashes, rows: int) -> Hashes:
    """One hash per band of `rows` values of a signature, over the band's number and its values."""
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
    """The number of common values of two sorted arrays of distinct values."""
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
    """For each node, the neighbour that removes it, or itself if it survives. int64, shape (nodes,).

    Nodes 0 … n-1 are ordered best first; `neighbours[starts[i]:starts[i + 1]]` are those of node i. A node that no
    better node has removed survives and removes its neighbours.
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
