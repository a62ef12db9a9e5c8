"""Cross-entropy of texts under n-gram models of bytes: how far one distribution is from another, without a tokenizer.

A model is modified Kneser-Ney of order 6 (`pipeline/fit/kneser_ney.py`) over the bytes of UTF-8, so any text in any
language has a probability: what was never seen shares the mass of the unknown byte. It is small and trained in seconds,
so its error is that of a few hundred kilobytes of text, the same for all distributions that are as large.

The cross-entropy of a distribution is its own entropy and the distance from the training text together. The entropy is
estimated by mixing in a model of the distribution itself (`distance_of`); what that saves is the distance.

Shapes: T positions (a begin and an end around each text), S symbols (those without the begins), G rows of an order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.fit.kneser_ney import BEGIN, END, UNKNOWN, estimate
from pipeline.metric.cells import Passage

ORDER = 6
WEIGHTS = tuple(n / 20 for n in range(20))
BYTES = 256

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class ByteModel:
    """An n-gram model of the bytes of some texts. UsageError without one."""

    def __init__(self, texts: Sequence[str], order: int = ORDER) -> None:
        # A byte is the character of its number: the estimate takes words, and a string is a sequence of them.
        model = estimate((text.encode().decode("latin-1") for text in texts), order, (0,) * order)
        self._order, self._width = order, len(model.words)
        self._log10_p, self._log10_backoff = model.log10_p, model.log10_backoff
        self._keys = [each.prefix_G * self._width + each.word_G for each in model.orders]
        ids = {word: number for number, word in enumerate(model.words)}
        self._begin, self._end, unknown = ids[BEGIN], ids[END], ids[UNKNOWN]
        self._id_of_byte = np.array([ids.get(chr(byte), unknown) for byte in range(BYTES)], np.int64)
        unseen = int((self._id_of_byte == unknown).sum())
        self._log10_unseen, self._unknown = np.log10(max(unseen, 1)), unknown

    def log2(self, passages: Sequence[Passage]) -> Floats:
        """The log2 probability of each byte of the passages, one after another; the end is one symbol more, where it is
        the document's. Shape (symbols,)."""
        ids = [self._id_of_byte[np.frombuffer(passage.text.encode(), np.uint8)] for passage in passages]
        ends = [np.array([self._end] if passage.whole else [], np.int64) for passage in passages]
        parts = [np.concatenate(([self._begin], each, end)) for each, end in zip(ids, ends, strict=True)]
        lengths = np.array([len(part) for part in parts], np.int64)
        tokens_T = np.concatenate([*parts, np.zeros(0, np.int64)])
        inside_T = np.arange(len(tokens_T)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found: Floats = self._log10_T(tokens_T, inside_T)[inside_T > 0] / np.log10(2.0)
        return found

    def _log10_T(self, tokens_T: Ints, inside_T: Ints) -> Floats:
        """The log10 probability of each position. `inside_T`: its place in its text, from 0."""
        found = self._log10_p[0][tokens_T]
        found = np.where(tokens_T == self._unknown, found - self._log10_unseen, found)
        # Row of the n-gram that ends at each position, -1 if the model has none.
        row_T = tokens_T
        for n in range(2, self._order + 1):
            if not len(self._keys[n - 1]):  # no text of the model is as long
                break
            context_T = np.concatenate(([-1], row_T[:-1]))
            context_T[inside_T < n - 1] = -1
            keys_T = context_T * self._width + tokens_T
            place_T = np.minimum(np.searchsorted(self._keys[n - 1], keys_T), len(self._keys[n - 1]) - 1)
            known_T = (context_T >= 0) & (self._keys[n - 1][place_T] == keys_T)
            backed_T = found + np.where(context_T >= 0, self._log10_backoff[n - 2][context_T], 0.0)
            found = np.where(known_T, self._log10_p[n - 1][place_T], backed_T)
            row_T = np.where(known_T, place_T, -1)
        return found


class Distance(NamedTuple):
    """Bits of some texts: `cross_entropy` by a model of the training text; `entropy` when a model of their own kind is
    mixed with it, None for fewer than two texts; `own_weight`: the share of that model, 0 to 1, at which it is least.
    """

    cross_entropy: float
    entropy: float | None
    own_weight: float | None


def distance_of(training: ByteModel, passages: Sequence[Passage]) -> Distance:
    """How much of the passages the training text does not tell: the bits that their own kind saves.

    Each half of them is measured by a model of the other half, whose probabilities are mixed with those of the training
    text, at the weight that is best for all. At weight 0 nothing is saved, so the entropy is never the larger one.
    """
    cross = float(-training.log2(passages).sum())
    if len(passages) < 2:
        return Distance(cross, None, None)
    ours, theirs = [], []
    for half in (0, 1):
        own = ByteModel([passage.text for passage in passages[1 - half :: 2]])
        ours.append(np.exp2(own.log2(passages[half::2])))
        theirs.append(np.exp2(training.log2(passages[half::2])))
    own_S, training_S = np.concatenate(ours), np.concatenate(theirs)
    mixed = [float(-np.log2(weight * own_S + (1 - weight) * training_S).sum()) for weight in WEIGHTS]
    best = int(np.argmin(mixed))
    return Distance(cross, min(mixed[best], cross), WEIGHTS[best])
