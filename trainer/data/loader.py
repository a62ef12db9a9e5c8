"""Batches at a cursor: which tokens the next sequences have.

Each sequence is of one source (`mixture.py`), and takes the next tokens of that source's order (`order.py`). A source
at its end goes on with its next epoch. The loader holds no position: `batch` gives the next cursor, so there is no
iterator, buffer or worker to restore.

The order of a source follows from its documents, the seed and the epoch. Neither the mixture, nor other sources, nor
the dataset that holds it, nor the number of ranks is in it, so each document is used `repeats` times in an epoch of its
source across any change of these. Under another seed the documents that were not yet begun in this epoch are put in a
new order, and the epochs after it are wholly the new seed's.

Ranks: the global batch does not depend on their number; rank r takes its r-th slice, and reads no other tokens.

Shapes: B sequences, L positions.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from trainer.data.cursor import Cursor, SourceCursor, Turn
from trainer.data.documents import DocumentSource, DocumentTable, Ints
from trainer.data.mixture import Mixture
from trainer.data.order import SourceStream, Spans, joined
from trainer.data.pack import Batch, pack
from trainer.data.tokens import TokenDataset

STREAMS_PER_SOURCE = 2


class SourceReader:
    """Reads sources at cursors. Keeps the streams that it made last."""

    def __init__(self, table: DocumentTable, seed: int) -> None:
        self.table, self.seed = table, seed
        self._streams: OrderedDict[tuple[str, int, tuple[Turn, ...]], SourceStream] = OrderedDict()

    def begin(self, source: DocumentSource, cursor: Cursor) -> SourceCursor:
        """Where the source goes on under this seed."""
        at = cursor.sources.get(source.sha256)
        if at is None or at.tokens == 0:
            return SourceCursor(source.name, at.epoch if at else 0, 0, (Turn(0, 0, self.seed),))
        if at.turns[-1].seed == self.seed:
            return at
        return replace(at, turns=(*at.turns, self.stream(source, at).turn_after(at.tokens, self.seed)))

    def after(self, source: DocumentSource, at: SourceCursor, tokens: int) -> SourceCursor:
        """The cursor when `tokens` more are consumed."""
        if at.tokens + tokens < source.tokens:
            return replace(at, tokens=at.tokens + tokens)
        epochs, left = divmod(at.tokens + tokens, source.tokens)
        return SourceCursor(at.name, at.epoch + epochs, left, (Turn(0, 0, self.seed),))

    def spans(self, source: DocumentSource, at: SourceCursor, tokens: int) -> list[Spans]:
        """The next `tokens` tokens."""
        found = []
        while tokens:
            taken = min(tokens, source.tokens - at.tokens)
            found.append(self.stream(source, at).spans(at.tokens, taken))
            at, tokens = self.after(source, at, taken), tokens - taken
        return found

    def stream(self, source: DocumentSource, at: SourceCursor) -> SourceStream:
        """The epoch that the cursor is in."""
        key = source.sha256, at.epoch, at.turns
        if key not in self._streams:
            if len(self._streams) >= STREAMS_PER_SOURCE * len(self.table.sources):
                self._streams.popitem(last=False)
            self._streams[key] = SourceStream(self.table, source, at)
        self._streams.move_to_end(key)
        return self._streams[key]


class Loader:
    """Reads batches of a dataset at a cursor. One thread at a time may use it."""

    def __init__(self, dataset: TokenDataset, seed: int, length: int, mixture: Mixture | None = None) -> None:
        """`length`: tokens per sequence. `mixture`: by default each source has the weight of its tokens."""
        self.dataset, self.seed, self.length = dataset, seed, length
        self.mixture = mixture or Mixture((), dataset.documents, 1)
        self._reader = SourceReader(dataset.documents, seed)

    def batch(self, cursor: Cursor, sequences: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, Cursor]:
        """This rank's slice of the next `sequences` sequences, and the cursor after all of them.

        `sequences` is a multiple of `world_size`.
        """
        assert sequences % world_size == 0 and 0 <= rank < world_size
        share = sequences // world_size
        spans, after = self.read(cursor, sequences, rank * share, share)
        self.dataset.fetch(np.unique(self.dataset.documents.shards[spans.documents]).tolist())
        return pack(self.dataset, spans, share, self.length), after

    def read(self, cursor: Cursor, sequences: int, first: int = 0, count: int | None = None) -> tuple[Spans, Cursor]:
        """The spans of `count` of the next `sequences` sequences, from the `first` of them on, in their order, and the
        cursor after all of them. `count` defaults to all."""
        drawn = self.mixture.sources(cursor.sequences, sequences)
        mine = np.arange(first, first + (sequences if count is None else count))
        rows: dict[int, list[Spans]] = {}
        sources = dict(cursor.sources)
        for number in np.unique(drawn).tolist():
            source = self.dataset.documents.sources[number]
            at = self._reader.begin(source, cursor)
            before = np.concatenate(([0], np.cumsum(drawn == number)))
            for row in mine[drawn[mine] == number].tolist():
                here = self._reader.after(source, at, int(before[row]) * self.length)
                rows[row] = self._reader.spans(source, here, self.length)
            sources[source.sha256] = self._reader.after(source, at, int(before[-1]) * self.length)
        parts = [part for row in mine.tolist() for part in rows[row]]
        return joined(parts), Cursor(cursor.sequences + sequences, sources)


def evaluation_batches(dataset: TokenDataset, length: int, sequences: int) -> Iterator[Batch]:
    """Every document once, in the order of the table, whatever its repeats. At most `sequences` sequences of `length`
    tokens per batch; the last sequence is padded."""
    documents = 0
    start = 0
    while documents < len(dataset.documents):
        spans, documents, start = _next_in_table(dataset.documents, documents, start, sequences * length)
        rows = -(-int(spans.lengths.sum()) // length)
        yield pack(dataset, spans, rows, length)


def _next_in_table(table: DocumentTable, document: int, start: int, count: int) -> tuple[Spans, int, int]:
    """At most `count` tokens from token `start` of a document on, and where they end: document and token of it."""
    lengths: Ints = table.lengths[document : document + count].astype(np.int64)
    lengths[0] -= start
    ends = np.cumsum(lengths)
    last = int(np.searchsorted(ends, count, side="left"))
    taken = lengths[: last + 1].copy()
    starts = np.zeros(len(taken), np.int64)
    starts[0] = start
    documents = np.arange(document, document + len(taken))
    if last == len(lengths):
        return Spans(documents, starts, taken), document + len(taken), 0
    over = int(ends[last]) - count
    taken[-1] -= over
    spans = Spans(documents, starts, taken)
    if not over:
        return spans, document + last + 1, 0
    return spans, document + last, int(starts[-1]) + int(taken[-1])
