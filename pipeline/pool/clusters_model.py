"""The model of the cluster filter: TF-IDF terms, a truncated SVD, k-means.

The vocabulary, the projection and the centres are fitted once on a bounded sample, by scikit-learn on one thread, and
then frozen: a document's cluster depends only on its text and the frozen numbers. Terms are lower-case words, and
pairs of characters in scripts without spaces between words (Chinese, Japanese, Thai and others).

Shapes: N documents, V terms, D dimensions, K clusters.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from pipeline.pool.values import WholePart

Floats = npt.NDArray[np.float64]

SEED = 20240511
# The first characters show the topic of a document; the rest would only cost time.
MAX_CHARS = 4000
MAX_WORD_CHARS = 30
MAX_TERMS = 2**15
# A term in fewer documents of the sample does not separate clusters; nor does one in all, whose weight is zero.
MIN_DOCUMENTS = 3
DIMENSIONS = 64
RUNS = 3
LABEL_TERMS = 8
# Digits to which the numbers that decide are rounded.
DIGITS = 6

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
TERM = regex.compile(rf"(?V1)([{UNSPACED}]+)|[[\p{{L}}\p{{M}}]--[{UNSPACED}]]+")

# The row of a term is its inverse document frequency and its D coordinates; that of a centre, its D coordinates.
MODEL = pa.schema([("part", pa.string()), ("name", pa.string()), ("values", pa.list_(pa.float64()))])


def terms(text: str) -> Iterator[str]:
    """The terms of the first MAX_CHARS characters, repeats included."""
    for match in TERM.finditer(text[:MAX_CHARS].lower()):
        word: str = match.group()
        if match.group(1):
            yield from (word[i : i + 2] for i in range(max(len(word) - 1, 1)))
        elif 2 <= len(word) <= MAX_WORD_CHARS:
            yield word


@dataclass(frozen=True)
class Clusters:
    """The frozen model. `labels`: the most characteristic terms of each cluster."""

    terms: tuple[str, ...]
    idf_V: Floats
    projection_VD: Floats
    centres_KD: Floats
    labels: tuple[str, ...]

    def assign(self, texts: Sequence[str]) -> list[int | None]:
        """The nearest centre of each text by cosine; None for a text without a known term."""
        points_ND = project(weigh(texts, self.vocabulary, self.idf_V), self.projection_VD)
        # einsum, not BLAS: its sums do not depend on how many threads a machine has
        cosines_NK = np.round(np.einsum("nd,kd->nk", points_ND, self.centres_KD), DIGITS)
        nearest = cosines_NK.argmax(axis=1).tolist()
        known = (points_ND != 0).any(axis=1)
        return [cluster if some else None for cluster, some in zip(nearest, known.tolist(), strict=True)]

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        return numbered(self.terms)

    def rows(self) -> list[dict[str, Any]]:
        """The model as rows of MODEL."""
        words = zip(self.terms, self.idf_V.tolist(), self.projection_VD.tolist(), strict=True)
        centres = zip(self.labels, self.centres_KD.tolist(), strict=True)
        return [
            *({"part": "term", "name": term, "values": [idf, *point]} for term, idf, point in words),
            *({"part": "centre", "name": label, "values": point} for label, point in centres),
        ]


def numbered(names: Sequence[str]) -> dict[str, int]:
    return {term: index for index, term in enumerate(names)}


@lru_cache(maxsize=2)
def load_clusters(whole: WholePart) -> Clusters | None:
    """Reads the model from a table; None if the sample was too small to fit one. Cached per process."""
    table = whole.dataset.to_arrow()
    if not table.num_rows:
        return None
    rows = table.to_pylist()
    words = [row for row in rows if row["part"] == "term"]
    centres = [row for row in rows if row["part"] == "centre"]
    values = np.array([row["values"] for row in words])
    return Clusters(
        tuple(row["name"] for row in words),
        values[:, 0],
        values[:, 1:],
        np.array([row["values"] for row in centres]),
        tuple(row["name"] for row in centres),
    )


def fit_clusters(texts: Sequence[str], clusters: int) -> Clusters | None:
    """Fits a model of `clusters` clusters; None if the texts have too few terms or are too alike for so many.

    The same texts in the same order give the same numbers on one type of CPU.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from threadpoolctl import threadpool_limits

    names, idf_V = choose_terms(texts)
    dimensions = min(DIMENSIONS, len(names) - 1, len(texts) - 1)
    if dimensions < 2:
        return None
    weights_NV = weigh(texts, numbered(names), idf_V)
    with threadpool_limits(limits=1):
        svd = TruncatedSVD(dimensions, random_state=SEED).fit(weights_NV)
        projection_VD = np.round(svd.components_.T, DIGITS)
        points_ND = project(weights_NV, projection_VD)
        some = points_ND.any(axis=1)
        if len(np.unique(points_ND[some], axis=0)) < clusters:
            return None
        means = KMeans(clusters, n_init=RUNS, random_state=SEED).fit(points_ND[some])
    centres_KD = np.round(unit_rows(means.cluster_centers_), DIGITS)
    labels = tuple(characteristic_terms(weights_NV[np.flatnonzero(some)], means.labels_, clusters, names))
    return Clusters(names, idf_V, projection_VD, centres_KD, labels)


def choose_terms(texts: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """The terms that are neither rare nor in every document, the most frequent MAX_TERMS of them in alphabetical order,
    and ln(N / documents) of each."""
    documents = Counter(term for text in texts for term in set(terms(text)))
    fit = [(term, count) for term, count in documents.items() if MIN_DOCUMENTS <= count < len(texts)]
    chosen = sorted(sorted(fit, key=lambda item: (-item[1], item[0]))[:MAX_TERMS])
    idf = [round(math.log(len(texts) / count), DIGITS) for _, count in chosen]
    return tuple(term for term, _ in chosen), np.array(idf)


def weigh(texts: Sequence[str], vocabulary: dict[str, int], idf_V: Floats) -> Any:
    """(1 + ln count) * idf of each known term, as a sparse N x V matrix with rows of length 1."""
    from scipy.sparse import csr_array

    starts, columns, values = [0], [], []
    for text in texts:
        counts = Counter(vocabulary[term] for term in terms(text) if term in vocabulary)
        here = sorted(counts)
        weights = [(1 + math.log(counts[i])) * float(idf_V[i]) for i in here]
        length = math.sqrt(math.fsum(weight * weight for weight in weights)) or 1.0
        columns += here
        values += [weight / length for weight in weights]
        starts.append(len(columns))
    shape = (len(texts), len(vocabulary))
    return csr_array((np.array(values, np.float64), np.array(columns, np.int32), np.array(starts, np.int32)), shape)


def project(weights_NV: Any, projection_VD: Floats) -> Floats:
    """Points of length 1 (or 0: no known term). SciPy multiplies row by row, so a point depends on its own text
    only."""
    return unit_rows(np.round(weights_NV @ projection_VD, DIGITS))


def unit_rows(points: Floats) -> Floats:
    lengths = np.sqrt((points * points).sum(axis=1, keepdims=True))
    return points / np.where(lengths > 0, lengths, 1.0)


def characteristic_terms(
    weights_NV: Any, members: npt.NDArray[np.int32], clusters: int, names: Sequence[str]
) -> Iterator[str]:
    """For each cluster, the terms whose weight is most above their mean over all documents, as one line."""
    mean_V = np.asarray(weights_NV.mean(axis=0))
    for cluster in range(clusters):
        mine = np.flatnonzero(members == cluster)
        if not mine.size:
            yield ""
            continue
        above_V = np.round(np.asarray(weights_NV[mine].mean(axis=0)) - mean_V, DIGITS)
        best = np.lexsort((np.arange(above_V.size), -above_V))[:LABEL_TERMS]
        yield " ".join(names[i] for i in best if above_V[i] > 0)
