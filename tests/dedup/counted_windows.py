"""Repeated spans by counting: every run of `size` tokens of every text is a row under its hash, and equal hashes are
duplicates. Another way to the spans of `dedup/substring.py`, with a row for each token: what that is compared with.

A token is one ideograph or kana, or a run of other characters that are not white space.
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

from dedup.tables import Hashes, batch_of, location_columns, owners_and_places, values

WINDOW_TOKENS = 50
MIN_CHARACTERS = 20

# one row per window of a document, `token` being its first; and the duplicate ones of these, to be grouped by shard
WINDOWS = pa.schema(
    [
        ("key", pa.uint64()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("token", pa.int32()),
    ]
)
DUPLICATE_WINDOWS = pa.schema([field for field in WINDOWS if field.name != "key"])

_ODD = 0x9E3779B97F4A7C15
_INVERSE = pow(_ODD, -1, 1 << 64)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)
_BLANK, _PART, _SINGLE = 0, 1, 2
_SPACES = re.compile(r"\s+")
_IDEOGRAPHS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]+")


class TokenSpans(NamedTuple):
    """Start and end of each token of a text, in characters, and its hash. Shape (tokens,)."""

    start: npt.NDArray[np.intp]
    end: npt.NDArray[np.intp]
    hashes: Hashes


def token_spans(text: str) -> TokenSpans:
    """The tokens of a text, in order."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kind = _kinds()[points]
    fresh = np.ones(points.size, np.bool_)
    fresh[1:] = (kind[1:] != kind[:-1]) | (kind[1:] == _SINGLE)
    start = np.flatnonzero(fresh)
    end = np.append(start[1:], points.size)
    solid = kind[start] != _BLANK
    start, end = start[solid], end[solid]
    return TokenSpans(start, end, _mix(_runs(_mix(points.astype(np.uint64) + np.uint64(1)), start, end)))


def window_hashes(text: str, size: int = WINDOW_TOKENS) -> Hashes:
    """The hash of each run of `size` tokens, in order of its first token. Empty for a shorter text."""
    hashes = token_spans(text).hashes
    first = np.arange(max(0, hashes.size - size + 1))
    return _mix(_runs(hashes, first, first + size))


def window_table(documents: pa.RecordBatch, shard: int, first_row: int, size: int = WINDOW_TOKENS) -> pa.RecordBatch:
    """WINDOWS of a batch of documents (`text`)."""
    found = [window_hashes(text, size) for text in documents["text"].fill_null("").to_pylist()]
    owner, token = owners_and_places(found)
    locations = location_columns(documents.num_rows, shard, first_row)
    columns: dict[str, Any] = {name: column[owner] for name, column in locations.items()}
    columns["key"] = np.concatenate([np.empty(0, np.uint64), *found])
    columns["token"] = token.astype(np.int32)
    return batch_of(WINDOWS, columns)


@dataclass(frozen=True)
class KeepRepeated:
    """Reducer over WINDOWS by `key` to DUPLICATE_WINDOWS: the windows that occur more than once.

    Memory: one batch. A window that may go on in the next batch waits there.
    """

    fingerprint: str = "dedup.substring.repeated"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        last = pa.table({name: pa.array([], WINDOWS.field(name).type) for name in WINDOWS.names})
        written = False  # whether the last window has been
        for batch in rows:
            if not batch.num_rows:
                continue
            windows = pa.concat_tables([last, pa.table(batch.select(WINDOWS.names))])
            key = values(windows, "key")
            repeated = np.zeros(key.size, np.bool_)
            repeated[1:] = key[1:] == key[:-1]
            repeated[:-1] |= repeated[1:]
            last = windows.slice(key.size - 1)
            found = windows.slice(int(written)).filter(pa.array(repeated[int(written) :]))
            written = bool(repeated[-1])
            yield from found.select(DUPLICATE_WINDOWS.names).combine_chunks().to_batches()


def remaining_text(
    text: str, first: npt.NDArray[Any], size: int = WINDOW_TOKENS, min_characters: int = MIN_CHARACTERS
) -> str | None:
    """`text` without the windows of `size` tokens that begin at the tokens `first`.

    None, which drops the document, when fewer than `min_characters` other than white space remain. The text on both
    sides of a cut is joined as it is, white space included.
    """
    if not first.size:
        return text
    found = token_spans(text)
    first = np.unique(np.asarray(first, np.int64))
    first = first[(first >= 0) & (first <= found.start.size - size)]
    if not first.size:
        return text
    # a span begins at each window that neither touches nor overlaps the one before
    begins = np.flatnonzero(np.append(True, first[1:] > first[:-1] + size))
    last = np.append(first[begins[1:] - 1], first[-1]) + size - 1
    kept, at = [], 0
    for start, end in zip(found.start[first[begins]].tolist(), found.end[last].tolist()):
        kept.append(text[at:start])
        at = end
    remaining = "".join([*kept, text[at:]])
    return remaining if len("".join(remaining.split())) >= min_characters else None


def _runs(hashes: Hashes, start: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> Hashes:
    """A polynomial hash, modulo 2^64 and in an odd base, of hashes[start[i]:end[i]] for each i."""
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
    """For each code point, whether it is white space, part of a token, or a token by itself."""
    kinds = np.full(0x110000, _PART, np.uint8)
    points: str = np.delete(np.arange(0x110000, dtype="<u4"), slice(0xD800, 0xE000)).tobytes().decode("utf-32-le")
    for pattern, kind in ((_SPACES, _BLANK), (_IDEOGRAPHS, _SINGLE)):
        for match in pattern.finditer(points):
            kinds[ord(match[0][0]) : ord(match[0][-1]) + 1] = kind
    return kinds
