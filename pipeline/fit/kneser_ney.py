"""Modified Kneser-Ney language models, interpolated, written as ARPA: like `lmplz`, for texts that fit in memory.

Chen & Goodman 1998 (section 3, with three discounts an order) as Heafield et al. 2013 estimate it (section 3 there):
counts of the highest order are raw, lower orders count distinct left extensions; n-grams that begin with <s> have
none and keep raw counts. Everything is a sort or a sum over numpy arrays: an n-gram is the pair (row of its prefix in
the order below, last word), so one 64-bit key an occurrence is enough at any order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
_UNK, _BOS, _EOS = 0, 1, 2
# The defaults of lmplz --discount_fallback, for orders whose counts of counts give no discount in range.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
_LINES_AT_ONCE = 100_000


@dataclass(frozen=True)
class Order:
    """The n-grams of one order, G rows, sorted by (words). Rows of the order below are named by index.

    prefix_G: row of the first n-1 words; suffix_G: row of the last n-1 words; word_G: id of the last word;
    raw_G: occurrences; count_G: Kneser-Ney's adjusted count; kept_G: not pruned.
    """

    prefix_G: Ints
    suffix_G: Ints
    word_G: Ints
    raw_G: Ints
    count_G: Ints
    kept_G: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Model:
    """`log10_p[n-1]` and `log10_backoff[n-1]` are aligned with the rows of `orders[n-1]`; `discounts`: D1, D2, D3+."""

    words: tuple[str, ...]
    orders: tuple[Order, ...]
    log10_p: tuple[Floats, ...]
    log10_backoff: tuple[Floats, ...]
    discounts: tuple[tuple[float, float, float], ...]


def estimate(sentences: Iterable[Sequence[str]], order: int = 5, prune: Sequence[int] = (0, 0, 0, 0, 0)) -> Model:
    """Fits a model of this order (at least 2) to tokenised sentences; their order does not affect the result.

    `prune[n-1]`: n-grams that occur at most this often get no row (their mass goes to the backoff); it must start with
    0 and never decrease, so that the parts of a kept n-gram are kept. A token spelled like <s>, </s> or <unk> counts as
    unknown. Raises UsageError if there is no sentence, or for an invalid `prune`.
    """
    if order < 2 or len(prune) != order or prune[0] != 0 or list(prune) != sorted(prune):
        raise UsageError(f"order {order} needs a prune list of {order} numbers that begins with 0 and never decreases")
    words, tokens_T, left_T = _index(sentences)
    orders = _count(tokens_T, left_T, len(words), order, prune)
    discounts = tuple(discounts_of(counts.count_G) for counts in orders)
    log10_p, log10_backoff = _probabilities(orders, discounts, len(words))
    return Model(words, orders, log10_p, log10_backoff, discounts)


def _index(sentences: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], Ints, Ints]:
    """The vocabulary (sorted after the three special tokens), all sentences as one array of ids with <s> and </s>
    around each, and for each position the number of tokens left in its sentence, itself included."""
    kept = [sentence for sentence in sentences if sentence]
    if not kept:
        raise UsageError("there is no text to fit a language model on: give --positive files with sentences in them")
    marks = (UNKNOWN, BEGIN, END)
    vocabulary = (*marks, *sorted(set(chain.from_iterable(kept)) - set(marks)))
    ids = {word: i for i, word in enumerate(vocabulary)} | dict.fromkeys(marks, _UNK)
    lengths = np.fromiter((len(sentence) + 2 for sentence in kept), np.int64, len(kept))
    ends = np.cumsum(lengths)
    tokens_T = np.empty(ends[-1], np.int64)
    inner = np.ones(ends[-1], np.bool_)
    inner[ends - 1] = inner[ends - lengths] = False
    tokens_T[ends - lengths], tokens_T[ends - 1] = _BOS, _EOS
    tokens_T[inner] = np.fromiter((ids[word] for word in chain.from_iterable(kept)), np.int64, int(inner.sum()))
    left_T = np.repeat(ends, lengths) - np.arange(ends[-1])
    return vocabulary, tokens_T, left_T


def _count(tokens_T: Ints, left_T: Ints, vocabulary: int, order: int, prune: Sequence[int]) -> tuple[Order, ...]:
    # Row of the n-gram that begins at each position, -1 if the sentence has too few words left.
    row_T = tokens_T.copy()
    begins_G = np.arange(vocabulary) == _BOS
    none_G = np.zeros(vocabulary, np.int64)
    rows = [(none_G, none_G, np.arange(vocabulary), np.bincount(tokens_T, minlength=vocabulary), begins_G)]
    for n in range(2, order + 1):
        where = np.flatnonzero(left_T >= n)
        keys = row_T[where] * vocabulary + tokens_T[where + n - 1]
        unique, first, inverse, raw_G = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        prefix_G, word_G = np.divmod(unique, vocabulary)
        suffix_G = row_T[where[first] + 1]
        begins_G = begins_G[prefix_G]
        row_T = np.full_like(row_T, -1)
        row_T[where] = inverse
        rows.append((prefix_G, suffix_G, word_G, raw_G, begins_G))
    orders = []
    for n, (prefix_G, suffix_G, word_G, raw_G, begins_G) in enumerate(rows, 1):
        if n == order:
            count_G = raw_G
        else:
            extensions = np.bincount(rows[n][1], minlength=len(raw_G))
            count_G = np.where(begins_G, raw_G, extensions)
        if n == 1:
            count_G = np.where(begins_G, 0, count_G)  # nothing predicts <s>
        orders.append(Order(prefix_G, suffix_G, word_G, raw_G, count_G, (raw_G > prune[n - 1]) | (n == 1)))
    return tuple(orders)


def discounts_of(count_G: Ints) -> tuple[float, float, float]:
    """D1, D2, D3+ from the counts of counts (Chen & Goodman 1998, section 3); the fallback if they are
    degenerate."""
    t1, t2, t3, t4 = (int((count_G == k).sum()) for k in (1, 2, 3, 4))
    if not (t1 and t2 and t3):
        return FALLBACK_DISCOUNTS
    y = t1 / (t1 + 2 * t2)
    discounts = (1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3)
    in_range = all(0 < discount <= k for k, discount in enumerate(discounts, 1))
    return discounts if in_range else FALLBACK_DISCOUNTS


def _probabilities(
    orders: Sequence[Order], discounts: Sequence[tuple[float, float, float]], vocabulary: int
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Interpolated probabilities and backoffs (Heafield et al. 2013, equations 1 to 4), order by order."""
    log10_p: list[Floats] = []
    log10_backoff: list[Floats] = []
    # The order below unigrams is uniform over all words but <s>, which is never predicted.
    lower_G = np.full(1, 1 / (vocabulary - 1))
    contexts = 1
    for counts, (d1, d2, d3) in zip(orders, discounts):
        discount_G = np.array([0.0, d1, d2, d3])[np.minimum(counts.count_G, 3)]
        total_C = np.bincount(counts.prefix_G, weights=counts.count_G, minlength=contexts)
        freed_G = np.where(counts.kept_G, discount_G, counts.count_G)
        freed_C = np.bincount(counts.prefix_G, weights=freed_G, minlength=contexts)
        # A context without a continuation (it ends in </s>, or its n-grams are unseen) backs off with weight 1.
        gamma_C = np.divide(freed_C, total_C, out=np.ones(contexts), where=total_C > 0)
        p_G = (counts.count_G - discount_G) / total_C[counts.prefix_G] + gamma_C[counts.prefix_G] * lower_G[
            counts.suffix_G
        ]
        if not log10_p:
            p_G[_BOS] = 1.0  # not a probability but a filler, as lmplz writes it: log10 is 0
        else:
            log10_backoff.append(np.log10(gamma_C))
        log10_p.append(np.log10(p_G))
        lower_G, contexts = p_G, len(p_G)
    log10_backoff.append(np.zeros(contexts))
    return tuple(log10_p), tuple(log10_backoff)


def write_arpa(model: Model, file: BinaryIO) -> None:
    """Writes the model in ARPA format, sorted, log10 to six decimals (single precision), without pruned n-grams."""
    file.write(b"\\data\\\n")
    for n, counts in enumerate(model.orders, 1):
        file.write(f"ngram {n}={int(counts.kept_G.sum())}\n".encode())
    spelled: npt.NDArray[Any] = np.array([""], object)
    words = np.array(model.words, object)
    for n, counts in enumerate(model.orders, 1):
        last = n == len(model.orders)
        spelled = words[counts.word_G] if n == 1 else spelled[counts.prefix_G] + " " + words[counts.word_G]
        kept = np.flatnonzero(counts.kept_G)
        file.write(f"\n\\{n}-grams:\n".encode())
        for start in range(0, len(kept), _LINES_AT_ONCE):
            rows = kept[start : start + _LINES_AT_ONCE]
            columns = [_decimals(model.log10_p[n - 1][rows]), spelled[rows]]
            if not last:
                columns.append(_decimals(model.log10_backoff[n - 1][rows]))
            lines = "".join("\t".join(row) + "\n" for row in zip(*columns))
            file.write(lines.encode("utf-8", "surrogatepass"))
    file.write(b"\n\\end\\\n")


def _decimals(values: Floats) -> list[str]:
    """Six decimals each, and never a negative zero."""
    return [f"{value:.6f}" for value in np.round(values, 6) + 0.0]
