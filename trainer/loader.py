"""Which tokens come when: an order that is a pure function of (manifest sha256, seed, epoch), and a cursor into it.

An epoch holds each document exactly `repeats` times. Within a source the copies of a document lie in equal parts of
the epoch, at places drawn from the hash of (manifest, seed, epoch, source); the sources are then interleaved so that
each runs evenly through the epoch by tokens. The state of a loader is a `Cursor`: the epoch, and the tokens consumed
of each source. Nothing else is remembered: no iterator, no buffer, no worker.

Packing: the documents of the order, one behind the other, make one endless stream that is cut into sequences. Each
token is a target exactly once: the input before a document's first token is the end-of-document token, before any
other its predecessor, even when the cut falls between the two. `segments` numbers the pieces in a sequence, so that
attention can stay within a document; `documents` says which document each target is of.

A global batch is the same whatever the number of ranks: rank r of n gets its r-th slice.

Shapes: B sequences, L positions.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from infra.errors import UsageError
from trainer.tokens import Documents, Ints, TokenDataset

PADDING = -1


@dataclass(frozen=True)
class Cursor:
    """How far a run has come: tokens consumed of each source in this epoch (sources not begun are 0)."""

    epoch: int
    sources: Mapping[str, int]

    @property
    def position(self) -> int:
        return sum(self.sources.values())

    def as_dict(self) -> dict[str, object]:
        return {"epoch": self.epoch, "sources": dict(sorted(self.sources.items()))}


START = Cursor(0, {})


class Batch(NamedTuple):
    """int64 arrays [B, L]. Where `documents` is `PADDING` there is no target."""

    inputs: Ints
    targets: Ints
    segments: Ints
    documents: Ints


class Piece(NamedTuple):
    """`length` targets of a document, from its token `start` on."""

    document: int
    start: int
    length: int


class Order:
    """One epoch: `documents[i]` is the i-th document of the stream, which ends before token `ends[i]`."""

    def __init__(self, table: Documents, manifest_sha256: str, seed: int, epoch: int) -> None:
        self.documents = epoch_order(table, manifest_sha256, seed, epoch)
        self.ends = np.cumsum(table.lengths[self.documents])
        self.length = int(self.ends[-1])

    def pieces(self, position: int, count: int) -> Iterator[Piece]:
        """The stream's tokens from `position` on, `count` of them, document by document."""
        assert position >= 0 and position + count <= self.length
        i = int(np.searchsorted(self.ends, position, side="right"))
        while count:
            document, begin = int(self.documents[i]), int(self.ends[i - 1]) if i else 0
            taken = min(count, int(self.ends[i]) - position)
            yield Piece(document, position - begin, taken)
            position, count, i = position + taken, count - taken, i + 1


def epoch_order(table: Documents, manifest_sha256: str, seed: int, epoch: int) -> Ints:
    """The documents of an epoch in order, each `repeats` times."""
    names = sorted(set(table.sources))
    rank = {name: i for i, name in enumerate(names)}
    source_of = np.array([rank[name] for name in table.sources], np.int64)
    documents, places, sources = [], [], []
    for i, name in enumerate(names):
        members = np.flatnonzero((source_of == i) & (table.repeats > 0))
        ordered = _source_order(members, table.repeats[members], f"{manifest_sha256}/{seed}/{epoch}/{name}")
        if len(ordered):
            lengths = table.lengths[ordered]
            middle = 2 * np.cumsum(lengths) - lengths
            documents.append(ordered)
            places.append(middle / (2 * int(lengths.sum())))
            sources.append(np.full(len(ordered), i))
    if not documents:
        raise UsageError("every document of the dataset has repeats 0: the mixture drew nothing to train on")
    # Ties go to the first source; within a source the sort is stable and the places only grow.
    merged = np.lexsort((np.concatenate(sources), np.concatenate(places)))
    return np.concatenate(documents)[merged]


def _source_order(members: Ints, repeats: Ints, key: str) -> Ints:
    """Each member `repeats` times: copy c of r at a drawn place in the c-th of r equal parts of the epoch."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    stream = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    drawn = stream.random_raw(len(members)) / 2.0**64
    copies = np.repeat(members, repeats)
    first = np.cumsum(repeats) - repeats
    copy = np.arange(len(copies)) - np.repeat(first, repeats)
    places = (copy + np.repeat(drawn, repeats)) / np.repeat(repeats, repeats)
    ordered: Ints = copies[np.lexsort((copy, copies, places))]
    return ordered


class Loader:
    """Batches of a dataset from a cursor on. Reading leaves the loader as it was: `batch` returns the next cursor."""

    def __init__(self, dataset: TokenDataset, seed: int, length: int) -> None:
        self.dataset, self.seed, self.length = dataset, seed, length
        self._order: tuple[int, Order] | None = None

    def order(self, epoch: int) -> Order:
        if self._order is None or self._order[0] != epoch:
            ref = self.dataset.ref
            self._order = (epoch, Order(self.dataset.documents, ref.manifest_sha256, self.seed, epoch))
        return self._order[1]

    def batch(self, cursor: Cursor, sequences: int, rank: int = 0, world: int = 1) -> tuple[Batch, Cursor]:
        """This rank's share of the next `sequences` sequences, and the cursor behind all of them.

        A sequence may straddle two epochs.
        """
        assert sequences % world == 0 and 0 <= rank < world
        share = sequences // world
        rows = []
        for i in range(sequences):
            pieces, cursor = self._take(cursor, self.length)
            if i // share == rank:
                rows.append(pieces)
        return pack(self.dataset, rows, self.length), cursor

    def _take(self, cursor: Cursor, count: int) -> tuple[list[Piece], Cursor]:
        pieces: list[Piece] = []
        epoch, consumed = cursor.epoch, dict(cursor.sources)
        while count:
            order, position = self.order(epoch), sum(consumed.values())
            taken = min(count, order.length - position)
            for piece in order.pieces(position, taken):
                source = self.dataset.documents.sources[piece.document]
                consumed[source] = consumed.get(source, 0) + piece.length
                pieces.append(piece)
            count -= taken
            if count:
                epoch, consumed = epoch + 1, {}
        return pieces, Cursor(epoch, consumed)


def pack(dataset: TokenDataset, rows: list[list[Piece]], length: int) -> Batch:
    """Rows of pieces as arrays. A row that is not full is padded; its padding is a segment of its own."""
    inputs, targets, segments, documents = (np.zeros((len(rows), length), np.int64) for _ in range(4))
    for row, pieces in enumerate(rows):
        at = 0
        for segment, piece in enumerate(pieces):
            span = slice(at, at + piece.length)
            before = min(piece.start, 1)
            tokens = dataset.tokens(piece.document, piece.start - before, piece.length + before)
            targets[row, span] = tokens[before:]
            inputs[row, span] = tokens[: piece.length] if before else [dataset.ref.eod, *tokens[: piece.length - 1]]
            segments[row, span], documents[row, span] = segment, piece.document
            at += piece.length
        segments[row, at:], documents[row, at:] = len(pieces), PADDING
    if targets.size and not 0 <= targets.min() <= targets.max() < dataset.ref.vocabulary:
        raise UsageError(
            f"{dataset.folder} has a token outside its vocabulary of {dataset.ref.vocabulary}: it is damaged"
        )
    return Batch(inputs, targets, segments, documents)


def once_through(dataset: TokenDataset, length: int, sequences: int) -> Iterator[Batch]:
    """Every document once, in the order of the table, whatever its repeats: for evaluation. The last row is padded."""
    row: list[Piece] = []
    rows: list[list[Piece]] = []
    room = length
    for document, total in enumerate(dataset.documents.lengths.tolist()):
        start = 0
        while start < total:
            count = min(room, total - start)
            row.append(Piece(document, start, count))
            start, room = start + count, room - count
            if room == 0:
                rows.append(row)
                row, room = [], length
            if len(rows) == sequences:
                yield pack(dataset, rows, length)
                rows = []
    if row:
        rows.append(row)
    if rows:
        yield pack(dataset, rows, length)
