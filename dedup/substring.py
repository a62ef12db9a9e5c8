"""Exact substrings: a run of 50 tokens or more that is twice in the pool is cut out, every copy of it.

RefinedWeb's last step but one (arXiv 2306.01116, section G.3.2), after Lee et al. 2022 (arXiv 2107.06499), who strike
all copies from the set. They sort the suffixes of the whole pool in one machine's memory. Here every run of exactly 50
tokens is a row under its hash, and those that meet another are duplicates: a longer match is the union of its windows,
so the spans found are the same, and the work is one reduction, linear in the tokens. The price is a row a token through
the shuffle. Documents with next to nothing left go.

A token is a run of characters that are neither white space nor ideographs or kana, or one of the latter; it counts as
it is written, so that a match is exact but for the white space between tokens. (RefinedWeb's are pieces of words, so
that its 50 are fewer words.) Equal hashes are equal windows: n^2 / 2^65 pairs of n are so by chance.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dedup.tables import Hashes, batch_of, run_starts, values, who, whole_groups

WINDOW_TOKENS = 50
MIN_CHARACTERS = 20

# one row per window of a document, and the same of those windows that are duplicates, to be grouped by shard
WINDOWS = pa.schema(
    [
        ("key", pa.uint64()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("token", pa.int32()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
    ]
)
DUPLICATE_WINDOWS = pa.schema([field for field in WINDOWS if field.name != "key"])

_ODD = 0x9E3779B97F4A7C15
_INVERSE = pow(_ODD, -1, 1 << 64)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)
_GAP, _PART, _ALONE = 0, 1, 2
_SPACES = re.compile(r"\s+")
_IDEOGRAPHS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]+")


class Tokens(NamedTuple):
    """Where each token of a text begins and ends (characters), and its hash."""

    start: npt.NDArray[np.intp]
    end: npt.NDArray[np.intp]
    hashes: Hashes


def tokens(text: str) -> Tokens:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kind = _kinds()[points]
    fresh = np.ones(points.size, np.bool_)
    fresh[1:] = (kind[1:] != kind[:-1]) | (kind[1:] == _ALONE)
    start = np.flatnonzero(fresh)
    end = np.append(start[1:], points.size)
    solid = kind[start] != _GAP
    start, end = start[solid], end[solid]
    return Tokens(start, end, _mix(_runs(_mix(points.astype(np.uint64) + np.uint64(1)), start, end)))


def window_hashes(text: str, size: int = WINDOW_TOKENS) -> Hashes:
    """The hash of each run of `size` tokens, by the number of its first; none for a shorter text."""
    hashes = tokens(text).hashes
    first = np.arange(max(0, hashes.size - size + 1))
    return _mix(_runs(hashes, first, first + size))


def window_table(documents: pa.RecordBatch, shard: int, first_row: int, size: int = WINDOW_TOKENS) -> pa.RecordBatch:
    """WINDOWS of a batch of documents (`text`, `file_path`, `warc_offset`)."""
    found = [window_hashes(text, size) for text in documents["text"].fill_null("").to_pylist()]
    sizes = np.array([hashes.size for hashes in found], np.int64)
    owner = np.repeat(np.arange(documents.num_rows), sizes)
    token = np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns: dict[str, Any] = {
        name: column.take(pa.array(owner)) for name, column in who(documents, shard, first_row).items()
    }
    columns["key"] = np.concatenate([np.empty(0, np.uint64), *found])
    columns["token"] = token.astype(np.int32)
    return batch_of(WINDOWS, columns)


@dataclass(frozen=True)
class KeepRepeated:
    """Reducer over WINDOWS by `key` to DUPLICATE_WINDOWS: those that are there more than once.

    Memory: one batch, and the rows of the commonest window.
    """

    fingerprint: str = "dedup.substring.repeated"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_groups(rows, "key"):
            key = values(table, "key")
            starts = run_starts(key)
            sizes = np.diff(starts, append=key.size)
            repeated = np.flatnonzero(np.repeat(sizes > 1, sizes))
            if repeated.size:
                order = np.lexsort([values(table, name)[repeated] for name in ("token", "row", "shard")])
                yield (
                    table.select(DUPLICATE_WINDOWS.names)
                    .take(pa.array(repeated[order]))
                    .combine_chunks()
                    .to_batches()[0]
                )


def left_text(text: str, first: npt.NDArray[Any], size: int = WINDOW_TOKENS, least: int = MIN_CHARACTERS) -> str | None:
    """The text without the windows that begin at these tokens; None where fewer than `least` characters that are not
    white space are left. What stood on either side of a cut is joined as it is, white space and all."""
    found = tokens(text)
    first = np.unique(np.asarray(first, np.int64))
    first = first[(first >= 0) & (first <= found.start.size - size)]
    if not first.size:
        return text
    begins = np.flatnonzero(np.append(True, first[1:] > first[:-1] + size))  # where windows neither meet nor overlap
    last = np.append(first[begins[1:] - 1], first[-1]) + size - 1
    kept, at = [], 0
    for start, end in zip(found.start[first[begins]].tolist(), found.end[last].tolist()):
        kept.append(text[at:start])
        at = end
    left = "".join([*kept, text[at:]])
    return left if len("".join(left.split())) >= least else None


def _runs(hashes: Hashes, start: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> Hashes:
    """A hash of hashes[start:end] for each pair: the polynomial in an odd number, modulo 2^64, of each run."""
    size = hashes.size
    powers, inverses = np.full(size + 1, _ODD, np.uint64), np.full(size + 1, _INVERSE, np.uint64)
    powers[0] = inverses[0] = 1
    np.multiply.accumulate(powers, out=powers)
    np.multiply.accumulate(inverses, out=inverses)
    sums = np.zeros(size + 1, np.uint64)
    np.cumsum(hashes * powers[:size], out=sums[1:])
    return (sums[end] - sums[start]) * inverses[start]


def _mix(hashes: Hashes) -> Hashes:
    """MurmurHash3's 64-bit finaliser."""
    for factor in _MIX:
        hashes = (hashes ^ (hashes >> _SHIFT)) * factor
    return hashes ^ (hashes >> _SHIFT)


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """For each code point whether it is white space, part of a token, or a token by itself."""
    kinds = np.full(0x110000, _PART, np.uint8)
    points: str = np.delete(np.arange(0x110000, dtype="<u4"), slice(0xD800, 0xE000)).tobytes().decode("utf-32-le")
    for pattern, kind in ((_SPACES, _GAP), (_IDEOGRAPHS, _ALONE)):
        for match in pattern.finditer(points):
            kinds[ord(match[0][0]) : ord(match[0][-1]) + 1] = kind
    return kinds
