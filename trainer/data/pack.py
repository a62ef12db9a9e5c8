"""Batches of packed documents.

Each token is a target exactly once. The input of a document's first token is the end-of-document token; that of any
other token is the token before it, even when a cut falls between the two. `segments` numbers the documents of a
sequence, so that attention stays within a document.

Shapes: B sequences, L positions.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from trainer.data.documents import Ints
from trainer.data.order import DocumentSpans
from trainer.data.tokens import TokenDataset, Tokens

Ints32 = npt.NDArray[np.int32]

Array = npt.NDArray[Any]

PADDING = -1  # the document, and the domain, of a padding position


class Batch(NamedTuple):
    """Sequences of packed documents: arrays [B, L]."""

    inputs: Ints32

    targets: Ints
    """int64, as torch's losses take them."""

    segments: Ints32
    """Number of the document within its sequence, from 0; padding has a number of its own."""

    documents: Ints32
    """The document of each target, a row of the table; `PADDING` where there is no target."""

    domains: npt.NDArray[np.int16]
    """The domain of each target, an index into the table's `domain_names`; `PADDING` where there is no target."""

    def rows(self, first: int, end: int) -> "Batch":
        """Some of the sequences."""
        part = slice(first, end)
        return Batch(
            self.inputs[part], self.targets[part], self.segments[part], self.documents[part], self.domains[part]
        )


def plain_batch(inputs: Array, targets: Array, segments: Array | None = None) -> Batch:
    """A batch of no dataset, for measurements: all of one document and domain. [B, L] of integers each; without
    `segments` each sequence is one document."""
    zeros = np.zeros(inputs.shape, np.int32)
    return Batch(
        inputs.astype(np.int32),
        targets.astype(np.int64),
        zeros if segments is None else segments.astype(np.int32),
        zeros,
        zeros.astype(np.int16),
    )


def pack(dataset: TokenDataset, spans: DocumentSpans, sequences: int, length: int) -> Batch:
    """The spans one after the other as `sequences` sequences of `length` tokens, padded at the end.

    No span may go over the end of a sequence (`order.cut`). UsageError for a token outside the vocabulary.
    """
    total = int(spans.lengths.sum())
    assert total <= sequences * length
    batch, room = empty_batch(sequences, length)
    inputs, targets, segments, documents, domains = (array.reshape(-1) for array in batch)
    shifted = room[1:]
    places = np.cumsum(spans.lengths) - spans.lengths
    numbers = np.arange(len(places)) - np.searchsorted(places, places // length * length)
    before, sources = _tokens_of(dataset, spans)
    # Tokens are written where they are inputs, one place after the one where they are targets; the room behind takes
    # the last. One slice assignment for a span: far cheaper than anything that is done for a token.
    ends = places + spans.lengths
    for source, first, last in zip(sources, places.tolist(), ends.tolist(), strict=True):
        shifted[first:last] = source
    codes = dataset.documents.domain_codes[spans.documents]
    for array, of_span in ((segments, numbers), (documents, spans.documents), (domains, codes)):
        array[:total] = np.repeat(of_span.astype(array.dtype), spans.lengths)
    targets[:total] = shifted[:total]
    inputs[places] = before
    rest = slice(total, None)
    inputs[rest], targets[rest], documents[rest], domains[rest] = 0, 0, PADDING, PADDING
    segments[rest] = numbers[-1] + 1 if total % length else 0
    vocab_size = dataset.ref.vocab_size
    # As unsigned, so that one pass finds negative tokens too.
    if targets.size and int(targets.view(np.uint64).max()) >= vocab_size:
        raise UsageError(f"{dataset.folder} has a token outside its vocabulary of {vocab_size}: it is damaged")
    return batch


def empty_batch(sequences: int, length: int) -> tuple[Batch, Ints32]:
    """A batch of arrays that are one allocation, and its inputs flat with one place more.

    numpy asks for huge pages for what is large, and most of the time of a batch would be spent on faults of small ones.
    """
    size = sequences * length
    kinds = (np.int64, np.int32, np.int32, np.int32, np.int16)  # by size, so that each is aligned
    sizes = [size, size, size, size + 1, size]
    ends = np.cumsum([count * np.dtype(kind).itemsize for count, kind in zip(sizes, kinds, strict=True)]).tolist()
    block = np.empty(ends[-1], np.uint8)
    targets, segments, documents, room, domains = (
        block[begin:end].view(kind) for begin, end, kind in zip([0, *ends[:-1]], ends, kinds, strict=True)
    )
    parts = (room[:size], targets, segments, documents, domains)
    return Batch(*(part.reshape(sequences, length) for part in parts)), room


def _tokens_of(dataset: TokenDataset, spans: DocumentSpans) -> tuple[Ints, list[Tokens]]:
    """The token before each span, and the tokens of each, as views of the shards."""
    table = dataset.documents
    shards = table.shards[spans.documents].astype(np.int64)
    first = table.offsets[spans.documents].astype(np.int64) + spans.starts
    last = first + spans.lengths
    if len(shards) and (shards.max() >= len(dataset.shard_tokens) or (last > dataset.shard_tokens[shards]).any()):
        raise table.damaged()
    numbers = shards.tolist()
    dataset.fetch(set(numbers))
    maps = {number: dataset.shard(number) for number in set(numbers)}
    before = np.full(len(shards), dataset.ref.eod_id, np.int64)
    for i in np.flatnonzero(spans.starts).tolist():
        before[i] = maps[numbers[i]][int(first[i]) - 1]
    places = zip(numbers, first.tolist(), last.tolist(), strict=True)
    return before, [maps[shard][begin:end] for shard, begin, end in places]
