"""Texts as segments: runs of windows that have one key, so that only texts that may share a window are compared.

A window is a run of N units (50 tokens, or 500 bytes). Its key is the least hash of its runs of N / 3 units: equal
windows have equal keys, wherever they are (winnowing: Schleimer et al. 2003, SIGMOD, where the least hash is called a
fingerprint). Windows that follow each other mostly have one key; those that do are a segment, of about N / 3 windows.
A reduction by key thus brings all equal windows of the pool together with one row for N / 3 units, and loses none.

Most keys occur once, and their segments have nothing that is repeated. Segments with equal keys and equal texts are
decided here: each of their windows is repeated. Of different segments with one key, one of each goes on to
`blocks.py`, which compares their windows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dedup import span_kernels as kernels
from dedup.policy import content_hashes
from dedup.span_kernels import Bytes, Places
from dedup.tables import LOCATION, Hashes, batch_of, run_starts, values
from infra.errors import UsageError

Unit = Literal["tokens", "bytes"]

# A segment has at most so many windows, in window lengths: a text that repeats itself is cut into pieces.
MOST_LENGTHS = 3
# Of a key with more different segments than these, windows are compared by a hash of 128 bits each, not as texts:
# a partition holds a key's rows together.
MOST_DIFFERENT = 1024
# So many units of a text are worked on at a time.
PIECE_UNITS = 1 << 20

# `begin`: the place of the first window, in units, in its text; `windows`: how many follow each other
RUN = [("begin", pa.int32()), ("windows", pa.int32())]
# of the document: the least has the first copy; 0 where all copies are treated alike
RANK = ("rank", pa.uint64())
# `again`: two of its windows may be equal
SEGMENTS = pa.schema([("key", pa.uint64()), *LOCATION, *RUN, RANK, ("check", pa.uint64()), ("again", pa.bool_())])
# what a segment is: see FIRST to DIFFERENT_COPIED
FOUND = pa.schema([*LOCATION, *RUN, RANK, ("key", pa.uint64()), ("what", pa.int8())])
# All its windows are repeated, and here is the first of all copies (by rank, shard, row, begin), or one is before it.
FIRST, LATER = 0, 1
# The first of its copies, to be compared with different segments; of the second kind there are copies.
DIFFERENT, DIFFERENT_COPIED = 2, 3
# Added to the last two where windows are compared by their hashes.
BY_HASH = 2

_MADE = (("key", "u8"), ("check", "u8"), ("begin", "i4"), ("windows", "i4"), ("again", "?"))
_SPACES = re.compile(r"\s+")
_IDEOGRAPHS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]+")


@dataclass(frozen=True)
class Windows:
    """What is compared: runs of `length` units. UsageError for fewer than 2."""

    unit: Unit = "tokens"
    length: int = 50

    def __post_init__(self) -> None:
        if self.length < 2:
            raise UsageError(f"dedup substring: {self.unit} is {self.length}; give at least 2")

    @property
    def gram(self) -> int:
        """Units in the runs whose hashes are the keys."""
        return max(1, self.length // 3)

    @property
    def most(self) -> int:
        """Windows in a segment."""
        return MOST_LENGTHS * self.length

    def hashes(self, text: Bytes) -> Iterator[tuple[int, Hashes]]:
        """The hashes of a text's units, in pieces that share `length - 1` of them, each with the place of its first.

        Memory: some 50 bytes for each of `PIECE_UNITS`.
        """
        if self.unit == "bytes":
            for at in range(0, max(1, text.size - self.length + 1), PIECE_UNITS):
                yield at, _byte_hashes()[text[at : at + PIECE_UNITS + self.length - 1]]
            return
        first, at, before = 0, 0, np.empty(0, np.uint64)
        while at < text.size:
            room = min(PIECE_UNITS, text.size - at)
            hashes = np.empty(before.size + room, np.uint64)
            hashes[: before.size] = before
            bounds = np.empty((room, 2), np.int32)
            count, at = kernels.tokens(text, at, kinds_of_points(), bounds, hashes[before.size :])
            hashes = hashes[: before.size + count]
            yield first, hashes
            before = hashes[max(0, hashes.size - self.length + 1) :]
            first += hashes.size - before.size


def segment_table(
    documents: pa.RecordBatch, shard: int, first_row: int, windows: Windows, ranked: bool = False
) -> pa.RecordBatch:
    """SEGMENTS of a batch of documents (`text`). A text of fewer units than a window has none. `ranked`: documents have
    ranks, by what `content_hashes` reads."""
    data, ends = kernels.whole(documents["text"].fill_null(""))
    found: list[tuple[Any, ...]] = []
    for row in range(documents.num_rows):
        for first, hashes in windows.hashes(data[ends[row] : ends[row + 1]]):
            size = max(0, hashes.size - windows.length + 1)
            keys, checks = np.empty(size, np.uint64), np.empty(size, np.uint64)
            begins, counts = np.empty(size, np.int32), np.empty(size, np.int32)
            again = np.empty(size, np.bool_)
            columns = keys, checks, begins, counts, again
            n = kernels.segments(hashes, windows.length, windows.gram, windows.most, *columns)
            begins[:n] += np.int32(first)
            found.append((row, n, *(column[:n].copy() for column in columns)))
    rows = np.repeat(np.array([each[0] for each in found], np.int32), [each[1] for each in found])
    made = {
        name: np.concatenate([np.empty(0, kind), *(each[place] for each in found)])
        for place, (name, kind) in enumerate(_MADE, start=2)
    }
    rank = content_hashes(documents)[rows] if ranked else np.zeros(rows.size, np.uint64)
    of_documents = {"shard": np.full(rows.size, shard, np.int32), "row": rows + first_row, "rank": rank}
    return batch_of(SEGMENTS, made | of_documents)


@dataclass(frozen=True)
class Repeated:
    """Reducer over SEGMENTS by `key` to FOUND: the segments whose key occurs more than once, or which have equal
    windows themselves.

    Memory: one batch, and the rows of one key that may go on in the next.
    """

    fingerprint: str = f"dedup.segments.repeated:{MOST_DIFFERENT}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            key = values(table, "key")
            same = np.zeros(key.size, np.bool_)
            same[1:] = key[1:] == key[:-1]
            same[:-1] |= same[1:]
            same |= values(table, "again")
            if same.any():
                yield _decided(table.filter(pa.array(same)))


def whole_keys(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of a reduction in tables that have all rows of each of their keys. Memory: a batch, and one key."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        if not batch.num_rows:
            continue
        key = values(batch, "key")
        last = int(np.searchsorted(key, key[-1]))  # where the last key begins, which may go on in the next batch
        ended = bool(last) or (bool(held) and values(held[-1], "key")[-1] != key[0])
        if ended:
            yield pa.Table.from_batches([*held, batch.slice(0, last)])
            held, batch = [], batch.slice(last)
        held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def _decided(table: pa.Table) -> pa.RecordBatch:
    """FOUND of all rows of some keys."""
    key, check = values(table, "key"), values(table, "check")
    place = [values(table, name) for name in ("begin", "row", "shard", "rank")]
    order = np.lexsort((*place, check, key))
    key, check = key[order], check[order]
    text, of_key = run_starts(key, check), run_starts(key)
    copies = np.diff(text, append=key.size)
    of_text = np.searchsorted(of_key, text, "right") - 1  # the key of each text, by its number
    different = np.bincount(of_text, minlength=of_key.size)[of_text]
    what = np.full(key.size, LATER, np.int8)
    taken = table.take(pa.array(order))
    what[text] = np.where(
        (different == 1) & ~values(taken, "again")[text],
        FIRST,
        np.where(copies > 1, DIFFERENT_COPIED, DIFFERENT) + np.where(different > MOST_DIFFERENT, BY_HASH, 0),
    )
    return batch_of(FOUND, {**{name: values(taken, name) for name in FOUND.names if name != "what"}, "what": what})


@cache
def _byte_hashes() -> Hashes:
    return kernels.byte_hashes()


@cache
def kinds_of_points() -> npt.NDArray[np.uint8]:
    """For each code point, whether it is white space, part of a token, or a token by itself (an ideograph or kana)."""
    kinds = np.full(0x110000, kernels.PART, np.uint8)
    points: str = np.delete(np.arange(0x110000, dtype="<u4"), slice(0xD800, 0xE000)).tobytes().decode("utf-32-le")
    for pattern, kind in ((_SPACES, kernels.BLANK), (_IDEOGRAPHS, kernels.SINGLE)):
        for match in pattern.finditer(points):
            kinds[ord(match[0][0]) : ord(match[0][-1]) + 1] = kind
    return kinds


def bounds_of(text: Bytes) -> Places:
    """Begin and end of each token of a text's UTF-8, int32, shape (tokens, 2). Memory: 8 bytes a token, and a piece."""
    pieces = [bounds.shape[0] for _, bounds in bounds_by_piece(text)] if text.size > PIECE_UNITS else [text.size]
    found, count = np.empty((sum(pieces), 2), np.int32), 0
    for first, bounds in bounds_by_piece(text):
        found[first : first + bounds.shape[0]] = bounds
        count = first + bounds.shape[0]
    return found[:count]


def bounds_by_piece(text: Bytes) -> Iterator[tuple[int, Places]]:
    """The same in pieces, each with the number of its first token; what is given is overwritten by the next."""
    room = min(PIECE_UNITS, text.size)
    bounds, hashes = np.empty((room, 2), np.int32), np.empty(room, np.uint64)
    first = at = 0
    while at < text.size:
        count, at = kernels.tokens(text, at, kinds_of_points(), bounds, hashes)
        yield first, bounds[:count]
        first += count


def bytes_of_tokens(text: Bytes, ranges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where ranges of tokens (begin, end; ascending, apart from each other) begin and end in a text's UTF-8. Memory: a
    piece."""
    ends = (ranges - [0, 1]).ravel()  # first and last token of each, ascending
    found = np.empty(ends.size, np.int64)
    for first, bounds in bounds_by_piece(text):
        low, high = np.searchsorted(ends, [first, first + bounds.shape[0]])
        mine = np.arange(low, high)
        found[low:high] = bounds[ends[mine] - first, mine % 2]
    return found.reshape(-1, 2)
