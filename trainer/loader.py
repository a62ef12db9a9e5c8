"""The order of the training data: a pure function of (manifest sha256, seed, epoch), and a cursor into it.

Order: an epoch has each document exactly `repeats` times. Within a source, the copies of a document fall into equal
parts of the epoch, at positions drawn from the hash of (manifest, seed, epoch, source). Sources are interleaved so that
each advances evenly through the epoch, measured in tokens. The loader's state is a `Cursor`: the epoch, and the tokens
consumed of each source. There is no iterator, buffer or worker to restore.

Packing: the documents of the order are concatenated into one endless stream, which is cut into sequences. Each token
is a target exactly once. The input of a document's first token is the end-of-document token; that of any other token
is the token before it, even when a cut falls between the two. `segments` numbers the documents of a sequence, so that
attention stays within a document.

Ranks: the global batch does not depend on the number of ranks; rank r takes its r-th slice.

Shapes: B sequences, L positions.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from infra.errors import UsageError
from trainer.tokens import DocumentTable, Ints, TokenDataset

PADDING = -1  # the document of a padding position


@dataclass(frozen=True)
class Cursor:
    """A position in the stream."""

    epoch: int

    sources: Mapping[str, int]
    """Tokens consumed of each source in this epoch; a source that is missing has 0."""

    @property
    def position(self) -> int:
        """Tokens consumed in this epoch."""
        return sum(self.sources.values())

    def as_dict(self) -> dict[str, object]:
        return {"epoch": self.epoch, "sources": dict(sorted(self.sources.items()))}


START = Cursor(0, {})


class Batch(NamedTuple):
    """Sequences of packed documents: int64 arrays [B, L]."""

    inputs: Ints
    targets: Ints

    segments: Ints
    """Number of the document within its sequence, from 0; padding has a number of its own."""

    documents: Ints
    """The document of each target, a row of the table; `PADDING` where there is no target."""


class DocumentSpan(NamedTuple):
    """`length` tokens of a document from its token `start` on: targets of one sequence."""

    document: int
    start: int
    length: int


class EpochOrder:
    """One epoch's stream: `documents[i]` is the i-th document, and its last token is at position `ends[i]` - 1."""

    def __init__(self, table: DocumentTable, manifest_sha256: str, seed: int, epoch: int) -> None:
        self.documents = epoch_order(table, manifest_sha256, seed, epoch)
        self.ends = np.cumsum(table.lengths[self.documents])
        self.length = int(self.ends[-1])

    def spans(self, position: int, count: int) -> Iterator[DocumentSpan]:
        """The spans that make up `count` tokens of the stream from `position` on."""
        assert position >= 0 and position + count <= self.length
        i = int(np.searchsorted(self.ends, position, side="right"))
        while count:
            document, begin = int(self.documents[i]), int(self.ends[i - 1]) if i else 0
            taken = min(count, int(self.ends[i]) - position)
            yield DocumentSpan(document, position - begin, taken)
            position, count, i = position + taken, count - taken, i + 1


def epoch_order(table: DocumentTable, manifest_sha256: str, seed: int, epoch: int) -> Ints:
    """The documents of an epoch in order, each `repeats` times. UsageError when all repeats are 0."""
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
    # Ties go to the first source; within a source the sort is stable and places ascend.
    merged = np.lexsort((np.concatenate(sources), np.concatenate(places)))
    return np.concatenate(documents)[merged]


def _source_order(members: Ints, repeats: Ints, key: str) -> Ints:
    """Each member `repeats` times: copy c of r at a drawn position in the c-th of r equal parts of the epoch."""
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
    """Reads batches of a dataset at a cursor. Holds no position: `batch` returns the next cursor."""

    def __init__(self, dataset: TokenDataset, seed: int, length: int) -> None:
        """`length`: tokens per sequence."""
        self.dataset, self.seed, self.length = dataset, seed, length
        self._order: tuple[int, EpochOrder] | None = None

    def order(self, epoch: int) -> EpochOrder:
        if self._order is None or self._order[0] != epoch:
            ref = self.dataset.ref
            self._order = (epoch, EpochOrder(self.dataset.documents, ref.manifest_sha256, self.seed, epoch))
        return self._order[1]

    def batch(self, cursor: Cursor, sequences: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, Cursor]:
        """This rank's slice of the next `sequences` sequences, and the cursor after all of them.

        `sequences` is a multiple of `world_size`. A sequence may contain the end of an epoch and the start of the next.
        """
        assert sequences % world_size == 0 and 0 <= rank < world_size
        share = sequences // world_size
        rows = []
        for i in range(sequences):
            spans, cursor = self._next_spans(cursor, self.length)
            if i // share == rank:
                rows.append(spans)
        return pack(self.dataset, rows, self.length), cursor

    def _next_spans(self, cursor: Cursor, count: int) -> tuple[list[DocumentSpan], Cursor]:
        spans: list[DocumentSpan] = []
        epoch, consumed = cursor.epoch, dict(cursor.sources)
        while count:
            order, position = self.order(epoch), sum(consumed.values())
            taken = min(count, order.length - position)
            for span in order.spans(position, taken):
                source = self.dataset.documents.sources[span.document]
                consumed[source] = consumed.get(source, 0) + span.length
                spans.append(span)
            count -= taken
            if count:
                epoch, consumed = epoch + 1, {}
        return spans, Cursor(epoch, consumed)


def pack(dataset: TokenDataset, rows: list[list[DocumentSpan]], length: int) -> Batch:
    """A batch with one sequence of `length` tokens per row of spans. A row that is not full is padded at its end.

    UsageError for a token outside the vocabulary.
    """
    inputs, targets, segments, documents = (np.zeros((len(rows), length), np.int64) for _ in range(4))
    for row, spans in enumerate(rows):
        at = 0
        for segment, span in enumerate(spans):
            place = slice(at, at + span.length)
            before = min(span.start, 1)
            tokens = dataset.tokens(span.document, span.start - before, span.length + before)
            targets[row, place] = tokens[before:]
            inputs[row, place] = tokens[: span.length] if before else [dataset.ref.eod_id, *tokens[: span.length - 1]]
            segments[row, place], documents[row, place] = segment, span.document
            at += span.length
        segments[row, at:], documents[row, at:] = len(spans), PADDING
    vocab_size = dataset.ref.vocab_size
    if targets.size and not 0 <= targets.min() <= targets.max() < vocab_size:
        raise UsageError(f"{dataset.folder} has a token outside its vocabulary of {vocab_size}: it is damaged")
    return Batch(inputs, targets, segments, documents)


def evaluation_batches(dataset: TokenDataset, length: int, sequences: int) -> Iterator[Batch]:
    """Every document once, in the order of the table, whatever its repeats. At most `sequences` sequences of `length`
    tokens per batch; the last sequence is padded."""
    row: list[DocumentSpan] = []
    rows: list[list[DocumentSpan]] = []
    room = length
    for document, total in enumerate(dataset.documents.lengths.tolist()):
        start = 0
        while start < total:
            count = min(room, total - start)
            row.append(DocumentSpan(document, start, count))
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
