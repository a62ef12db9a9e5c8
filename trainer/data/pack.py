"""Batches of packed documents.

Each token is a target exactly once. The input of a document's first token is the end-of-document token; that of any
other token is the token before it, even when a cut falls between the two. `segments` numbers the documents of a
sequence, so that attention stays within a document.

Shapes: B sequences, L positions.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from infra.compiled import compiled
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
    batch = empty_batch(sequences, length)
    flat: tuple[Array, ...] = tuple(array.reshape(-1) for array in batch)
    places = np.cumsum(spans.lengths) - spans.lengths
    numbers = np.arange(len(places)) - np.searchsorted(places, places // length * length)
    shards, firsts = _places_in_shards(dataset, spans)
    eod, vocab_size = dataset.ref.eod_id, dataset.ref.vocab_size
    codes = dataset.documents.domain_codes[spans.documents]
    about = (firsts, spans.lengths, spans.starts, places, numbers, spans.documents, codes)
    for shard in np.unique(shards).tolist():
        of_shard = np.flatnonzero(shards == shard)
        if _write_spans(dataset.shard(shard), eod, of_shard, *about, *flat) >= vocab_size:
            raise UsageError(f"{dataset.folder} has a token outside its vocabulary of {vocab_size}: it is damaged")
    inputs, targets, segments, documents, domains = (array[total:] for array in flat)
    inputs[:], targets[:], documents[:], domains[:] = 0, 0, PADDING, PADDING
    segments[:] = numbers[-1] + 1 if total % length else 0
    return batch


@compiled
def _write_spans(
    tokens: Tokens,
    eod: int,
    of_shard: Ints,
    firsts: Ints,
    lengths: Ints,
    starts: Ints,
    places: Ints,
    numbers: Ints,
    of_span: Ints,
    codes: Array,
    inputs: Ints32,
    targets: Ints,
    segments: Ints32,
    documents: Ints32,
    domains: Array,
) -> int:
    """Writes the spans of one shard into the flat columns of a batch, and gives their largest token. A loop for each
    column, so that each is one over neighbours in memory: in one loop for all they are not computed in vectors."""
    largest = 0
    for i in of_shard:
        first, place, end = firsts[i], places[i], places[i] + lengths[i]
        span, target, after_first = tokens[first : first + lengths[i]], targets[place:end], inputs[place + 1 : end]
        for j in range(len(span)):
            target[j] = span[j]
        for j in range(len(span) - 1):
            after_first[j] = span[j]
        for j in range(len(span)):
            largest = max(largest, span[j])
        inputs[place] = tokens[first - 1] if starts[i] else eod
        segments[place:end] = numbers[i]
        documents[place:end] = of_span[i]
        domains[place:end] = codes[i]
    return largest


def empty_batch(sequences: int, length: int) -> Batch:
    """A batch of arrays that are one allocation.

    numpy asks for huge pages for what is large, and most of the time of a batch would be spent on faults of small ones.
    """
    size = sequences * length
    kinds = (np.int64, np.int32, np.int32, np.int32, np.int16)  # by size, so that each is aligned
    ends = np.cumsum([size * np.dtype(kind).itemsize for kind in kinds]).tolist()
    block = np.empty(ends[-1], np.uint8)
    targets, inputs, segments, documents, domains = (
        block[begin:end].view(kind).reshape(sequences, length)
        for begin, end, kind in zip([0, *ends[:-1]], ends, kinds, strict=True)
    )
    return Batch(inputs, targets, segments, documents, domains)


def _places_in_shards(dataset: TokenDataset, spans: DocumentSpans) -> tuple[Ints, Ints]:
    """The shard of each span, and the place of its first token there. Copies the shards to this machine if need be."""
    table = dataset.documents
    shards = table.shards[spans.documents].astype(np.int64)
    firsts = table.offsets[spans.documents].astype(np.int64) + spans.starts
    ends = firsts + spans.lengths
    if len(shards) and (shards.max() >= len(dataset.shard_tokens) or (ends > dataset.shard_tokens[shards]).any()):
        raise table.damaged()
    dataset.fetch(set(shards.tolist()))
    return shards, firsts
