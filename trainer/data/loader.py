"""Batches at a cursor. There is no iterator, buffer or worker to restore.

The order of a source follows from its documents, the seed and the epoch. Neither the mixture, nor other sources, nor
the dataset that holds it, nor the number of ranks is in it, so each document is used `repeats` times in an epoch of its
source across any change of these.

Ranks: the global batch does not depend on their number; rank r takes its r-th slice, and reads no other tokens.

Shapes: B sequences, L positions.
"""

from collections.abc import Iterator

import numpy as np

from trainer.data.cursor import Cursor
from trainer.data.documents import DocumentTable, Ints
from trainer.data.mixture import MixtureSchedule
from trainer.data.order import DocumentSpans, cut
from trainer.data.pack import Batch, pack
from trainer.data.reader import SequenceReader
from trainer.data.tokens import TokenDataset


class Loader:
    """Reads batches of a dataset at a cursor; holds no position. One thread at a time may use it."""

    def __init__(self, dataset: TokenDataset, seed: int, length: int, mixture: MixtureSchedule | None = None) -> None:
        """`length`: tokens per sequence. `mixture`: by default each source has the weight of its tokens."""
        self.dataset, self.length = dataset, length
        table = dataset.documents
        self.sequences = SequenceReader(table, seed, length, mixture or MixtureSchedule((), table, 1))

    def batch(self, cursor: Cursor, sequences: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, Cursor]:
        """This rank's slice of the next `sequences` sequences, and the cursor after all of them.

        `sequences` is a multiple of `world_size`.
        """
        assert sequences % world_size == 0 and 0 <= rank < world_size
        share = sequences // world_size
        spans, after = self.sequences.read(cursor, sequences, rank * share, share)
        return pack(self.dataset, spans, share, self.length), after


def evaluation_batches(dataset: TokenDataset, length: int, sequences: int) -> Iterator[Batch]:
    """Every document once, in the order of the table, whatever its repeats. At most `sequences` sequences of `length`
    tokens per batch; the last sequence is padded."""
    documents = 0
    start = 0
    while documents < len(dataset.documents):
        spans, documents, start = _next_in_table(dataset.documents, documents, start, sequences * length)
        rows = -(-int(spans.lengths.sum()) // length)
        yield pack(dataset, cut(spans, length), rows, length)


def _next_in_table(table: DocumentTable, document: int, start: int, count: int) -> tuple[DocumentSpans, int, int]:
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
        return DocumentSpans(documents, starts, taken), document + len(taken), 0
    over = int(ends[last]) - count
    taken[-1] -= over
    spans = DocumentSpans(documents, starts, taken)
    if not over:
        return spans, document + last + 1, 0
    return spans, document + last, int(starts[-1]) + int(taken[-1])
