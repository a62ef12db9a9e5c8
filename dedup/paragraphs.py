"""CCNet's paragraph deduplication: removes every copy of a line that occurs more than once, the first included.

Source: arXiv 1911.00359 §3.2 and cc_net's code. Lines are compared by the first 64 bits of the SHA-1 of their
normalised form; the original lines are kept. Documents need 300 characters before deduplication and one line after it.
CCNet counts within blocks of 50 of a snapshot's 1,600 shards; here the block of a batch is an argument.

The code differs from the paper in two places. The paper removes accents; the code keeps them, and ASCII punctuation,
and so does this module. And the code looks up all lines of a document before it adds them to its hash set
(`flat_hash_set.py: add`), so a line that is repeated within one document alone keeps its first copy (`dedup.py:
finalize_doc`): that is `KeepUnique("first")`.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.tables import Hashes, batch_of, location_columns, owners_and_places, run_starts, values

# One row per distinct line of a batch of documents: its occurrences in the batch, the documents that have it, and its
# first place. Lines are numbered from 0, as in `text.split("\n")`.
LINES = pa.schema(
    [
        ("key", pa.uint64()),
        ("block", pa.int32()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("line", pa.int32()),
        ("count", pa.int64()),
        ("documents", pa.int64()),
    ]
)
# the lines to keep, to be grouped by shard
KEPT_LINES = pa.schema([LINES.field(name) for name in ("shard", "row", "line")])

_NEWLINE = 0x0A
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
# cc_net's UNICODE_PUNCT: typographic variants of ASCII punctuation (and "１", which is a 0 by then)
_TYPOGRAPHIC = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
_DELETED = 0xFFFFFFFF


def normalise_lines(text: str) -> str:
    """Normalise each line of `text`: strip, lower-case, digits to 0, remove control characters and typographic
    punctuation, in cc_net's order. Lines end at newlines only."""
    text = "\n".join([line.strip() for line in text.split("\n")]).lower()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    mapped = _line_codes()[points]
    normal: str = mapped[mapped != _DELETED].tobytes().decode("utf-32-le", "surrogatepass")
    return normal


def line_hashes(text: str) -> Hashes:
    """The first 8 bytes of the SHA-1 of each line's normalised UTF-8, as little-endian uint64. Shape (lines,)."""
    sha1 = hashlib.sha1
    lines = normalise_lines(text).encode("utf-8", "surrogatepass").split(b"\n")
    return np.frombuffer(b"".join([sha1(line).digest()[:8] for line in lines]), "<u8")


def line_table(documents: pa.RecordBatch, shard: int, first_row: int, block: int) -> pa.RecordBatch:
    """LINES of a batch of documents (`text`), ordered by key.

    Counts equal lines within the batch, so that a line of every page has one row per batch.
    """
    hashes = [line_hashes(text) for text in documents["text"].fill_null("").to_pylist()]
    owner, line = owners_and_places(hashes)
    keys = np.concatenate([np.empty(0, np.uint64), *hashes])
    order = np.argsort(keys, kind="stable")
    starts = run_starts(keys[order])
    first = order[starts]
    new_document = np.zeros(keys.size, np.int64)
    new_document[run_starts(keys[order], owner[order])] = 1
    locations = location_columns(documents.num_rows, shard, first_row)
    columns = {name: column[owner[first]] for name, column in locations.items()} | {
        "key": keys[first],
        "block": np.full(first.size, block, np.int32),
        "line": line[first].astype(np.int32),
        "count": np.diff(starts, append=keys.size),
        "documents": np.add.reduceat(new_document, starts) if starts.size else starts,
    }
    return batch_of(LINES, columns)


@dataclass(frozen=True)
class KeepUnique:
    """Reducer over LINES by `key` to KEPT_LINES: the lines that occur once in their block.

    Memory: one batch, and a row for each block that has the last line.
    """

    within_document: Literal["none", "first"] = "none"
    """Which copy to keep of a line that is repeated within one document alone."""

    @property
    def fingerprint(self) -> str:
        return f"dedup.paragraphs.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        counted = "count" if self.within_document == "none" else "documents"
        names = ["key", "block", *KEPT_LINES.names, counted]
        held = pa.table(
            {name: pa.array([], LINES.field(name).type) for name in names}
        )  # the last line, which may go on
        for batch in rows:
            if batch.num_rows:
                lines = _added(pa.concat_tables([held, pa.table(batch.select(names))]), counted)
                goes_on = pa.array(values(lines, "key") == values(batch, "key")[-1])
                held = lines.filter(goes_on)
                yield from _once(lines.filter(pc.invert(goes_on)), counted)
        yield from _once(held, counted)


def _added(lines: pa.Table, counted: str) -> pa.Table:
    """The first row of each line of a block, with the sum of `counted` over all of its rows."""
    key, block = values(lines, "key"), values(lines, "block")
    order = np.lexsort((block, key))
    starts = run_starts(key[order], block[order])
    first = lines.take(pa.array(order[starts]))
    return first.set_column(
        first.num_columns - 1, counted, pa.array(np.add.reduceat(values(lines, counted)[order], starts))
    )


def _once(lines: pa.Table, counted: str) -> Iterator[pa.RecordBatch]:
    """KEPT_LINES of the lines that were counted once."""
    once = lines.filter(pc.equal(lines[counted], 1)).select(KEPT_LINES.names)
    yield from once.combine_chunks().to_batches()


def surviving_text(text: str, kept: npt.NDArray[np.int32]) -> str | None:
    """The lines of `text` with the numbers `kept`, in order; None, which drops the document, if there are none."""
    lines = text.split("\n")
    return "\n".join([lines[i] for i in np.sort(kept).tolist()]) if kept.size else None


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
