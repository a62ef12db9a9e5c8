"""Different segments with one key, compared window by window on their texts: suffix arrays of blocks of bounded size.

As in Lee et al. 2022 (arXiv 2107.06499, section 4.1) a window is repeated where the suffix that begins at it has as
many bytes in common with one of its two neighbours in the sorted order (libdivsufsort, by `pydivsufsort`; common
prefixes by Kasai's algorithm). They sort all of a corpus at once; here a block has some keys, each with all of its
segments, so that equal windows are in one block (`segments.py` says why) and no match is lost between two.

A segment's text is its tokens, each after a space, or its bytes. It ends in a byte that no UTF-8 has, so that no match
goes beyond it. Memory: 50 bytes a byte of a block, of BLOCK_BYTES and one key (at most MOST_DIFFERENT segments).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from pydivsufsort import divsufsort, kasai

from dedup import span_kernels as kernels
from dedup.segments import BY_HASH, DIFFERENT, DIFFERENT_COPIED, RANK, RUN, Windows, bounds_of, whole_keys
from dedup.span_kernels import Bytes, Places
from dedup.tables import LOCATION, batch_of, run_starts, values

BLOCK_BYTES = 2 << 20

# A segment with its text, or, where windows are compared by their hashes, one window with its 16 bytes.
TEXTS = pa.schema([("key", pa.uint64()), *LOCATION, *RUN, RANK, ("what", pa.int8()), ("units", pa.binary())])
# Windows that follow each other and are repeated; `first`: here is the first of all copies of each.
SPANS = pa.schema([*LOCATION, *RUN, ("first", pa.bool_())])

_UNIQUE, _FIRST, _LATER = 0, 1, 2


class EncodedText(NamedTuple):
    """A text with its units, to take segments from."""

    text: Bytes
    bounds: Places | None
    windows: Windows

    @classmethod
    def of(cls, text: Bytes, windows: Windows) -> "EncodedText":
        return cls(text, bounds_of(text) if windows.unit == "tokens" else None, windows)

    def encoded(self, begin: int, count: int) -> bytes:
        """The units of `count` windows from the one at `begin`."""
        end = begin + count + self.windows.length - 1
        if self.bounds is None:
            return self.text[begin:end].tobytes()
        bounds = self.bounds[begin:end]
        sizes = np.minimum(bounds[:, 1] - bounds[:, 0], kernels.TOKEN_BYTES)
        out = np.empty(int(sizes.sum()) + bounds.shape[0] + 1, np.uint8)
        return out[: kernels.encode_tokens(self.text, bounds, out)].tobytes()


def text_table(
    documents: pa.RecordBatch, first_row: int, found: pa.Table, windows: Windows
) -> Iterator[pa.RecordBatch]:
    """TEXTS of those segments in `found` (FOUND of this shard that is to be compared, ascending rows) that are in a
    batch of documents, in batches of about `BLOCK_BYTES`."""
    low, high = np.searchsorted(values(found, "row"), [first_row, first_row + documents.num_rows])
    if low == high:
        return
    data, ends = kernels.whole(documents["text"].fill_null(""))
    last, texts = -1, None
    made: list[dict[str, Any]] = []
    size = 0
    for segment in (each for batch in found.slice(low, high - low).to_batches() for each in batch.to_pylist()):
        if texts is None or segment["row"] != last:
            last = segment["row"]
            texts = EncodedText.of(data[ends[last - first_row] : ends[last - first_row + 1]], windows)
        for row in _rows(segment, texts):
            made.append(row)
            size += len(row["units"])
        if size > BLOCK_BYTES:
            yield pa.RecordBatch.from_pylist(made, TEXTS)
            made, size = [], 0
    if made:
        yield pa.RecordBatch.from_pylist(made, TEXTS)


def _rows(segment: dict[str, Any], texts: EncodedText) -> list[dict[str, Any]]:
    if segment["what"] < DIFFERENT + BY_HASH:
        return [segment | {"units": texts.encoded(segment["begin"], segment["windows"])}]
    rows = []
    for begin in range(segment["begin"], segment["begin"] + segment["windows"]):
        hashed = xxhash.xxh3_128_digest(texts.encoded(begin, 1))
        key = int.from_bytes(hashed[:8], "little")
        rows.append(segment | {"begin": begin, "windows": 1, "key": key, "units": hashed})
    return rows


@dataclass(frozen=True)
class Compare:
    """Reducer over TEXTS by `key` to SPANS. Memory: see above, and a batch of rows."""

    windows: Windows

    @property
    def fingerprint(self) -> str:
        return f"dedup.blocks.compare:{self.windows}:{BLOCK_BYTES}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            hashed = values(table, "what") >= DIFFERENT + BY_HASH
            alone, compared = table.filter(pa.array(hashed)), table.filter(pa.array(~hashed))
            if alone.num_rows:
                yield _spans(alone, *_equal_hashes(alone))
            for block in _blocks(compared) if compared.num_rows else ():
                yield _spans(block, *_equal_windows(block, self.windows))


def _blocks(table: pa.Table) -> Iterator[pa.Table]:
    """The rows in tables of whole keys, of `BLOCK_BYTES` of text unless a key has more."""
    starts = run_starts(values(table, "key"))
    sizes = np.add.reduceat(np.array([len(text) for text in table["units"].to_pylist()]), starts)
    begin = held = 0
    for start, size in zip(starts.tolist(), sizes.tolist()):
        if start > begin and held + size > BLOCK_BYTES:
            yield table.slice(begin, start - begin)
            begin, held = start, 0
        held += size
    yield table.slice(begin)


def _equal_windows(block: pa.Table, windows: Windows) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """For each window of the segments, in their order: a number that equal ones have, and how many are equal."""
    texts: Sequence[bytes] = block["units"].to_pylist()
    data = np.frombuffer(b"\xff".join([*texts, b""]), np.uint8).copy()  # the library wants to write
    counts = values(block, "windows").astype(np.int64)
    inner = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # of each window in its segment
    if windows.unit == "tokens":
        units = np.flatnonzero(data == kernels.SPACE)
        own = counts + windows.length  # spaces of a segment
        at = np.repeat(np.cumsum(own) - own, counts) + inner
        start, size = units[at], units[at + windows.length] - units[at] + 1
    else:
        sizes = np.array([len(text) + 1 for text in texts])
        start, size = np.repeat(np.cumsum(sizes) - sizes, counts) + inner, np.full(inner.size, windows.length)
    suffixes = divsufsort(data)
    sizes, numbers, groups = (np.zeros(length, np.int32) for length in (data.size, data.size, start.size))
    sizes[start], numbers[start] = size, np.arange(start.size)
    kernels.equal_windows(suffixes, kasai(data, suffixes), sizes, numbers, groups)
    return groups, np.bincount(groups)[groups]


def _equal_hashes(table: pa.Table) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """As `_equal_windows` of rows that are one window each, by the second half of its hash; the first is the key."""
    texts = b"".join(table["units"].to_pylist())
    second = np.frombuffer(texts, "<u8").reshape(-1, 2)[:, 1]
    key = values(table, "key")
    order = np.lexsort((second, key))
    group = np.zeros(key.size, np.int64)
    group[order[run_starts(key[order], second[order])]] = 1
    group[order] = np.cumsum(group[order])
    return group, np.bincount(group)[group]


def _spans(table: pa.Table, group: npt.NDArray[Any], equal: npt.NDArray[Any]) -> pa.RecordBatch:
    """SPANS of the windows of the segments of a table, of which `equal` have the number `group`."""
    counts = values(table, "windows").astype(np.int64)
    owner = np.repeat(np.arange(counts.size), counts)
    begin = values(table, "begin")[owner] + np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
    row, shard = values(table, "row")[owner], values(table, "shard")[owner]
    in_order = np.lexsort((begin, row, shard))
    rank = values(table, "rank")
    best_first = np.lexsort((begin, row, shard, rank[owner])) if rank.any() else in_order
    place = np.empty(owner.size, np.int64)
    place[best_first] = np.arange(owner.size)
    earliest = np.full(int(group.max(initial=0)) + 1, owner.size, np.int64)
    np.minimum.at(earliest, group, place)
    copied = values(table, "what")[owner] % 2 == DIFFERENT_COPIED % 2
    state = np.where(copied | (equal > 1), np.where(earliest[group] == place, _FIRST, _LATER), _UNIQUE)
    state, shard, row, begin = state[in_order], shard[in_order], row[in_order], begin[in_order]
    breaks = np.ones(owner.size, np.bool_)
    breaks[1:] = (np.diff(begin) != 1) | (np.diff(row) != 0) | (np.diff(shard) != 0) | (np.diff(state) != 0)
    starts = np.flatnonzero(breaks)
    runs = {"shard": shard[starts], "row": row[starts], "begin": begin[starts].astype(np.int32)}
    runs["windows"] = np.diff(starts, append=owner.size).astype(np.int32)
    repeated = state[starts] != _UNIQUE
    kept = {name: column[repeated] for name, column in runs.items()}
    return batch_of(SPANS, kept | {"first": state[starts][repeated] == _FIRST})
