"""Batches of packed documents.

Each token is a target exactly once. The input of a document's first token is the end-of-document token; that of any
other token is the token before it, even when a cut falls between the two. `segments` numbers the documents of a
sequence, so that attention stays within a document.

Shapes: B sequences, L positions.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from trainer.data.documents import Ints
from trainer.data.order import Spans
from trainer.data.tokens import TokenDataset

PADDING = -1  # the document, and the domain, of a padding position


class Batch(NamedTuple):
    """Sequences of packed documents: arrays [B, L]."""

    inputs: Ints
    targets: Ints

    segments: npt.NDArray[np.int32]
    """Number of the document within its sequence, from 0; padding has a number of its own."""

    documents: Ints
    """The document of each target, a row of the table; `PADDING` where there is no target."""

    domains: npt.NDArray[np.int16]
    """The domain of each target, an index into the table's `domain_names`; `PADDING` where there is no target."""

    def rows(self, first: int, end: int) -> "Batch":
        """Some of the sequences."""
        part = slice(first, end)
        return Batch(
            self.inputs[part], self.targets[part], self.segments[part], self.documents[part], self.domains[part]
        )


def pack(dataset: TokenDataset, spans: Spans, sequences: int, length: int) -> Batch:
    """The spans one after the other as `sequences` sequences of `length` tokens, cut where a sequence ends.

    What they do not fill is padded, at the end. UsageError for a token outside the vocabulary.
    """
    spans = cut(spans, length)
    ends = np.cumsum(spans.lengths)
    total = int(ends[-1]) if len(ends) else 0
    assert total <= sequences * length
    inputs, targets = np.zeros(sequences * length, np.int64), np.zeros(sequences * length, np.int64)
    places = ends - spans.lengths
    before = _copy_tokens(dataset, spans, places, targets)
    inputs[1:total] = targets[: max(0, total - 1)]
    inputs[places] = before
    segments, documents, domains = _labels(dataset, spans, places, sequences, length)
    vocab_size = dataset.ref.vocab_size
    if targets.size and not 0 <= targets.min() <= targets.max() < vocab_size:
        raise UsageError(f"{dataset.folder} has a token outside its vocabulary of {vocab_size}: it is damaged")
    shape = sequences, length
    return Batch(
        inputs.reshape(shape),
        targets.reshape(shape),
        segments.reshape(shape),
        documents.reshape(shape),
        domains.reshape(shape),
    )


def cut(spans: Spans, length: int) -> Spans:
    """The same tokens, with no span in two sequences of `length`."""
    ends = np.cumsum(spans.lengths)
    if not len(ends):
        return spans
    cuts = np.union1d(ends, np.arange(length, int(ends[-1]), length))
    begins = np.concatenate(([0], cuts[:-1]))
    of = np.searchsorted(ends, begins, side="right")
    starts = spans.starts[of] + begins - (ends - spans.lengths)[of]
    return Spans(spans.documents[of], starts, cuts - begins)


def _copy_tokens(dataset: TokenDataset, spans: Spans, places: Ints, targets: Ints) -> Ints:
    """Write the tokens of the spans to `targets`; returns the token before each span."""
    table = dataset.documents
    shards = table.shards[spans.documents].astype(np.int64)
    first = table.offsets[spans.documents].astype(np.int64) + spans.starts
    if len(shards) and (shards.max() >= len(dataset.shard_tokens)
                        or (first + spans.lengths > dataset.shard_tokens[shards]).any()):  # fmt: skip
        raise table.damaged()
    maps = {number: dataset.shard(number) for number in np.unique(shards).tolist()}
    before = np.full(len(places), dataset.ref.eod_id, np.int64)
    for shard, begin, count, at in zip(*(x.tolist() for x in (shards, first, spans.lengths, places)), strict=True):
        targets[at : at + count] = maps[shard][begin : begin + count]
    for i in np.flatnonzero(spans.starts).tolist():
        before[i] = maps[int(shards[i])][int(first[i]) - 1]
    return before


def _labels(
    dataset: TokenDataset, spans: Spans, places: Ints, sequences: int, length: int
) -> tuple[npt.NDArray[np.int32], Ints, npt.NDArray[np.int16]]:
    """Segments, documents and domains of a batch, flat."""
    size, total = sequences * length, int(spans.lengths.sum())
    segments = np.zeros(size, np.int32)
    documents, domains = np.full(size, PADDING, np.int64), np.full(size, PADDING, np.int16)
    if not total:
        return segments, documents, domains
    first_of_sequence = np.searchsorted(places, places // length * length)
    numbers = (np.arange(len(places)) - first_of_sequence).astype(np.int32)
    segments[:total] = np.repeat(numbers, spans.lengths)
    documents[:total] = np.repeat(spans.documents, spans.lengths)
    domains[:total] = np.repeat(dataset.documents.domain_codes[spans.documents].astype(np.int16), spans.lengths)
    rest = -total % length
    segments[total : total + rest] = numbers[-1] + 1
    return segments, documents, domains
