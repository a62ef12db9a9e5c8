"""Lines, or runs of some lines, that occur more than once: all copies go (CCNet), or all but one (C4).

CCNet (arXiv 1911.00359 §3.2 and cc_net's code): lines are compared by the first 64 bits of the SHA-1 of their
normalised form; the original lines are kept. Documents need 300 characters before deduplication and one line after it.
CCNet counts within blocks of 50 of a snapshot's 1,600 shards; the block of each document is an argument here
(`file_blocks.py`).

The code differs from the paper in two places. The paper removes accents; the code keeps them, and ASCII punctuation,
and so does this module. And the code looks up all lines of a document before it adds them to its hash set
(`flat_hash_set.py: add`), so a line that is repeated within one document alone keeps its first copy (`dedup.py:
finalize_doc`): that is `KeepUnique("first")`.

C4 (JMLR 21-140, section 2.2) "discarded all but one of any three-sentence span occurring more than once in the data
set", where a line of C4 is a sentence or a few. The program that made it (tensorflow_datasets, text/c4_utils.py:
`remove_duplicate_text`) does so with single lines, compared in lower case without white space at their ends. Both are
`KeepBest`, of spans of three lines or of one: a line goes if a span that has it occurs in a better place, by the rank
of documents and then by the number of the line. So of each line the best place in the block stays. A text of fewer
lines than a span has none, and stays as it is. The program keeps the page with the least MD5 of its address; here the
rank is a hash of what a document has of its own.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import content_hashes
from dedup.tables import LOCATION, Hashes, batch_of, location_columns, owners_and_places, run_starts, values
from infra.errors import UsageError

Keep = Literal["none", "first"]
Normal = Literal["ccnet", "c4"]
WithinDocument = Literal["none", "first"]
Blocks = npt.NDArray[np.int32]

_PLACE = [("key", pa.uint64()), ("block", pa.int32()), *LOCATION, ("line", pa.int32())]
# One row per distinct span of a block's documents in a batch: its occurrences there, the documents that have it, and
# its first place, by its first line. Lines are numbered from 0, as in `text.split("\n")`.
LINES = pa.schema([*_PLACE, ("count", pa.int64()), ("documents", pa.int64())])
# The same with its best place; `rank`: of that document, the least is the best.
RANKED_LINES = pa.schema([*_PLACE, ("rank", pa.uint64())])
# the spans to keep, to be grouped by shard
KEPT_LINES = pa.schema([LINES.field(name) for name in ("shard", "row", "line")])

_NEWLINE = 0x0A
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
# cc_net's UNICODE_PUNCT: typographic variants of ASCII punctuation (and "１", which is a 0 by then)
_TYPOGRAPHIC = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
_DELETED = 0xFFFFFFFF
# Odd, and without a pattern: keeps the lines of a span apart by their order.
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True)
class LineSpans:
    """What is compared: runs of `lines` lines in the form `normal`; `keep`: no copy, or the first by content.
    UsageError for fewer lines than 1."""

    lines: int = 1
    keep: Keep = "none"
    normal: Normal = "ccnet"

    def __post_init__(self) -> None:
        if self.lines < 1:
            raise UsageError(f"dedup paragraphs: lines is {self.lines}; give at least 1")

    @property
    def schema(self) -> pa.Schema:
        return LINES if self.keep == "none" else RANKED_LINES

    def hashes(self, text: str) -> Hashes:
        """A hash of each span of a text, uint64, shape (lines of the text - lines of a span + 1,), or (0,)."""
        hashes = line_hashes(text, self.normal)
        size = max(0, hashes.size - self.lines + 1)
        found = hashes[:size]
        for place in range(1, self.lines):
            found = found * _STEP + hashes[place : place + size]
            found = (found ^ found >> np.uint64(32)) * _MIX
        return found


def normalise_lines(text: str) -> str:
    """Normalise each line of `text`: strip, lower-case, digits to 0, remove control characters and typographic
    punctuation, in cc_net's order. Lines end at newlines only."""
    text = "\n".join([line.strip() for line in text.split("\n")]).lower()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    mapped = _line_codes()[points]
    normal: str = mapped[mapped != _DELETED].tobytes().decode("utf-32-le", "surrogatepass")
    return normal


def c4_lines(text: str) -> str:
    """Each line of `text` in lower case, without white space at its ends."""
    return "\n".join([line.strip().lower() for line in text.split("\n")])


_NORMALISE: dict[Normal, Callable[[str], str]] = {"ccnet": normalise_lines, "c4": c4_lines}


def line_hashes(text: str, normal: Normal = "ccnet") -> Hashes:
    """The first 8 bytes of the SHA-1 of each line's normalised UTF-8, as little-endian uint64. Shape (lines,)."""
    sha1 = hashlib.sha1
    lines = _NORMALISE[normal](text).encode("utf-8", "surrogatepass").split(b"\n")
    return np.frombuffer(b"".join([sha1(line).digest()[:8] for line in lines]), "<u8")


def line_table(
    documents: pa.RecordBatch, shard: int, first_row: int, block: int | Blocks, spans: LineSpans
) -> pa.RecordBatch:
    """`spans.schema` of a batch of documents, ordered by key. `block`: of all, or of each, shape (documents,).

    Equal spans of a block are one row, so that a line of every page has one row per batch. Reads `text`, and with
    `keep` of "first" also what `content_hashes` does.
    """
    hashes = [spans.hashes(text) for text in documents["text"].fill_null("").to_pylist()]
    owner, line = owners_and_places(hashes)
    keys = np.concatenate([np.empty(0, np.uint64), *hashes])
    blocks = np.broadcast_to(np.asarray(block, np.int32), documents.num_rows)[owner]
    ranked = spans.keep == "first"
    rank = content_hashes(documents) if ranked else np.zeros(documents.num_rows, np.uint64)
    # a stable sort: equal ones stay in the order of documents and lines
    order = np.lexsort((*([rank[owner]] if ranked else []), *([] if np.ndim(block) == 0 else [blocks]), keys))
    starts = run_starts(keys[order], blocks[order])
    first = order[starts]
    locations = location_columns(documents.num_rows, shard, first_row)
    columns = {name: column[owner[first]] for name, column in locations.items()} | {
        "key": keys[first],
        "block": blocks[first],
        "line": line[first].astype(np.int32),
    }
    if ranked:
        return batch_of(RANKED_LINES, columns | {"rank": rank[owner[first]]})
    new_document = np.zeros(keys.size, np.int64)
    new_document[run_starts(keys[order], blocks[order], owner[order])] = 1
    documents_of = np.add.reduceat(new_document, starts) if starts.size else starts
    return batch_of(LINES, columns | {"count": np.diff(starts, append=keys.size), "documents": documents_of})


@dataclass(frozen=True)
class KeepUnique:
    """Reducer over LINES by `key` to KEPT_LINES: the spans that occur once in their block.

    Memory: one batch, and a row for each block that has the last span.
    """

    within_document: WithinDocument = "none"
    """Which copy to keep of a span that is repeated within one document alone."""

    @property
    def fingerprint(self) -> str:
        return f"dedup.paragraphs.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        counted = "count" if self.within_document == "none" else "documents"
        names = ["key", "block", *KEPT_LINES.names, counted]
        for lines in _by_block(rows, names, LINES, lambda held: _added(held, counted)):
            yield from _places(lines.filter(pc.equal(lines[counted], 1)))


@dataclass(frozen=True)
class KeepBest:
    """Reducer over RANKED_LINES by `key` to KEPT_LINES: the best place of each span in its block, by rank, shard, row
    and line.

    Memory: one batch, and a row for each block that has the last span.
    """

    fingerprint: str = "dedup.paragraphs.KeepBest()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for lines in _by_block(rows, RANKED_LINES.names, RANKED_LINES, _best):
            yield from _places(lines)


def _by_block(
    rows: Iterator[pa.RecordBatch], names: list[str], schema: pa.Schema, merged: Callable[[pa.Table], pa.Table]
) -> Iterator[pa.Table]:
    """Tables with a row for each span of a block, which `merged` makes of rows of several."""
    held = pa.table({name: pa.array([], schema.field(name).type) for name in names})  # the last span, which may go on
    for batch in rows:
        if batch.num_rows:
            lines = merged(pa.concat_tables([held, pa.table(batch.select(names))]))
            goes_on = pa.array(values(lines, "key") == values(batch, "key")[-1])
            held = lines.filter(goes_on)
            yield lines.filter(pc.invert(goes_on))
    yield held


def _added(lines: pa.Table, counted: str) -> pa.Table:
    """The first row of each span of a block, with the sum of `counted` over all of its rows."""
    key, block = values(lines, "key"), values(lines, "block")
    order = np.lexsort((block, key))
    starts = run_starts(key[order], block[order])
    first = lines.take(pa.array(order[starts]))
    return first.set_column(
        first.num_columns - 1, counted, pa.array(np.add.reduceat(values(lines, counted)[order], starts))
    )


def _best(lines: pa.Table) -> pa.Table:
    """The best row of each span of a block."""
    key, block = values(lines, "key"), values(lines, "block")
    order = np.lexsort((*(values(lines, name) for name in ("line", "row", "shard", "rank")), block, key))
    return lines.take(pa.array(order[run_starts(key[order], block[order])]))


def _places(lines: pa.Table) -> Iterator[pa.RecordBatch]:
    yield from lines.select(KEPT_LINES.names).combine_chunks().to_batches()


def surviving_text(text: str, kept: npt.NDArray[np.int32], span: int = 1) -> str | None:
    """The lines of `text` that are in kept spans alone, in order; None, which drops the document, if there are none.

    `kept`: the numbers of the first lines of kept spans of `span` lines. A text without a span stays as it is.
    """
    lines = text.split("\n")
    spans = len(lines) - span + 1
    if spans < 1:
        return text
    gone = np.ones(spans, np.int64)
    gone[kept] = 0
    # how many spans that go begin before each line, and up to it
    before = np.concatenate([[0], np.cumsum(gone)])
    number = np.arange(len(lines))
    stays = before[np.minimum(number, spans - 1) + 1] == before[np.maximum(number - span + 1, 0)]
    return "\n".join([lines[i] for i in np.flatnonzero(stays).tolist()]) if stays.any() else None


@cache
def _line_codes() -> npt.NDArray[np.uint32]:
    """The normalised form of each code point, or `_DELETED`. Newlines are kept, as they separate lines."""
    codes = np.arange(0x110000, dtype=np.uint32)
    points: str = np.delete(codes, slice(0xD800, 0xE000)).tobytes().decode("utf-32-le")
    for match in re.finditer(r"\d", points):
        codes[ord(match[0])] = ord("0")
    codes[list(_CONTROLS)] = _DELETED
    codes[[ord(character) for character in _TYPOGRAPHIC]] = _DELETED
    codes[_NEWLINE] = _NEWLINE
    return codes
