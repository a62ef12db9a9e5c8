"""`refinery fit coherence`: fits a classifier of coherent texts against the same texts shuffled, stitched or cut up.

The negatives are made from the texts themselves (pipeline/fit/passages.py). The model is a folder with, for each
language: XX.json (weights, readable), XX.words.txt and XX.vectors.i8 (small word vectors: positive pointwise mutual
information of words in the same or the next sentence, reduced by an SVD).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.coherence import (
    FEATURES,
    PAIRS,
    CoherenceWeights,
    Doubles,
    Language,
    Measured,
    features,
    opener,
    words_of,
)
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import new_folder
from pipeline.fit.logistic import fit_logistic
from pipeline.fit.passages import NEGATIVES, SHORTEST, PassageSource, all_sentences, parts_of, passages_of, seeded
from pipeline.fit.texts import Sample, auc, counted, origin, read_samples, split, write_card
from pipeline.models.coherence import COHERENCE_PARTS, load_coherence

VOCABULARY, DIMENSIONS, MIN_COUNT = 6_000, 48, 3
COMMON_WORDS = 120
OPENERS = 60
_OPENER_PRIOR = 4.0
# Passages for training and for measuring; the lowest by hash are taken.
MAX_PASSAGES, MAX_TESTED = 1_500, 250
MIN_PASSAGES = 40
# The standard deviation of the prior around zero of the weights of standardised features.
WEIGHT_WIDTH = 2.0
# Texts from which pairs are learned; sentences of each that are paired with another's.
MAX_PAIR_TEXTS = 3_000
MIXED = 8

# The sign that each weight may have: with the other it would not generalise. No sign: the feature is not used.
ORDER_SIGNS = {
    "similar": 1, "overlap": 1, "the_given": 1, "a_given": -1, "a_then_the": 1, "the_then_a": -1, "start_given": 1,
    "end_start": 1, "full_then_short": 1, "short_then_full": -1, "year_rises": 1, "year_falls": -1, "same_tense": 1,
    "length": 1, "pronoun_bound": 1, "pronoun_loose": -1, "openers": 1, "both_quote": 1, "both_number": 1,
    "question": 1,
}  # fmt: skip
KIN_SIGNS = {**ORDER_SIGNS, "a_given": 1, "the_then_a": 1, "short_then_full": 1, "year_falls": 1, "openers": 0}
FEATURE_SIGNS = {
    "order": 1, "order_z": 1, "forward": 1, "kin": 1, "kin_neighbours": 1, "weakest_joint": 1, "outliers": 1,
    "no_common_word": -1, "dependent_start": -1, "complete": 1, "fragments": -1, "length": None,
}  # fmt: skip


def fit_coherence(positive: Sequence[Path], out: Path, language: str = "en") -> dict[str, Any]:
    """Fits on files of coherent texts in one language and returns the card. Raises UsageError for too little text.

    Models of other languages in the folder `out` are kept.
    """
    files = origin("coherence", out, f" --language {language}", positive=positive)
    return coherence_from(read_samples(positive), out, language, *files)


def coherence_from(samples: Sequence[Sample], out: Path, language: str, made_from: Any, command: str) -> dict[str, Any]:
    """Fits, measures on one group in ten, writes the folder `out` and its card."""
    training, held_out = split(samples)
    learned, tested = passages_of(training, MAX_PASSAGES), passages_of(held_out, MAX_TESTED)
    if len(learned.passages) < MIN_PASSAGES or len(set(learned.groups)) < 2:
        raise UsageError(
            f"there is too little text to fit a coherence model: {len(learned.passages)} passages of {SHORTEST}"
            f" sentences and more; it takes {MIN_PASSAGES} from two sources"
        )
    texts = [part for sample in training for part in parts_of(all_sentences(sample.text))]
    known = fit_language([[words_of(each) for each in text] for text in texts])
    weights = fit_weights(texts, learned, known)
    _write(weights, known, out, language)
    return write_card(
        out,
        "coherence: probability that a text is whole and in order rather than shuffled, stitched, mixed or in bits",
        command,
        made_from,
        language=language,
        positive=counted(samples),
        passages={"training": len(learned.passages), "held_out": len(tested.passages)},
        weights={name: float(weight) for name, weight in zip(FEATURES, weights.features)},
        held_out=measure(load_coherence(out), language, tested),
    )


def fit_language(texts: Iterable[Sequence[Sequence[str]]]) -> Language:
    """Fits word vectors and openers on texts, each a list of sentences, each a list of words."""
    texts = [text for text in texts if len(text) > 1]
    counts = Counter(word for text in texts for sentence in text for word in set(sentence))
    total = sum(len(text) for text in texts)
    ranked = sorted((word for word, count in counts.items() if count >= MIN_COUNT), key=lambda w: (-counts[w], w))
    words = ranked[:VOCABULARY]
    index = {word: number for number, word in enumerate(words)}
    # Rounded to four digits, as in the file.
    idf = np.array([round(float(np.log((total + 1) / counts[word])), 4) for word in words], np.float32)
    common = float(idf[min(COMMON_WORDS, len(words) - 1)])
    vectors = _word_vectors(_cooccurrences(texts, index))
    firsts = Counter(sentence[0] for text in texts for sentence in text if sentence and not sentence[0].isdigit())
    starts = sorted(firsts, key=lambda word: (-firsts[word], word))[:OPENERS]
    openers = {word: n + 2 for n, word in enumerate(starts)}
    known = Language(index, vectors, idf, common, openers, np.zeros((0, 0), np.float32))
    return replace(known, follows=_follows(texts, known))


def _cooccurrences(texts: Sequence[Sequence[Sequence[str]]], index: dict[str, int]) -> npt.NDArray[np.float32]:
    """Co-occurrence counts of words, float32[words, words]: 1 in one sentence, 1/2 in neighbouring ones."""
    counts = np.zeros((len(index), len(index)), np.float32)
    for text in texts:
        ids = [np.array(sorted({index[word] for word in sentence if word in index}), int) for sentence in text]
        for each in ids:
            counts[np.ix_(each, each)] += 1
        for before, after in pairwise(ids):
            counts[np.ix_(before, after)] += 0.5
            counts[np.ix_(after, before)] += 0.5
    return counts


def _word_vectors(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Unit vectors of int8 precision from co-occurrence counts: positive PMI, then an SVD by power iteration."""
    size = len(counts)
    np.fill_diagonal(counts, 0)
    sums = counts.sum(axis=1) + 1e-9
    contexts = sums**0.75
    with np.errstate(divide="ignore"):
        counts = np.log(counts * (contexts.sum() / np.outer(sums, contexts)))
    np.maximum(counts, 0, out=counts)
    dimensions = min(DIMENSIONS, size)
    basis = np.random.default_rng(1).standard_normal((size, dimensions + 16)).astype(np.float32)
    for _ in range(6):
        basis, _ = np.linalg.qr(counts @ (counts.T @ basis))
    left, strengths, _ = np.linalg.svd(basis.T @ counts, full_matrices=False)
    vectors = (basis @ left)[:, :dimensions] * np.sqrt(strengths[:dimensions])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    quantised: npt.NDArray[np.float32] = np.round(vectors * 127).astype(np.float32) / np.float32(127)
    return quantised


def _follows(texts: Sequence[Sequence[Sequence[str]]], language: Language) -> npt.NDArray[np.float32]:
    """Log ratio of how often a sentence of one class follows one of another to the same in a shuffled text."""
    classes = len(language.openers) + 2
    seen, expected = np.zeros((classes, classes)), np.zeros((classes, classes))
    for text in texts:
        of = [opener(sentence, language) for sentence in text if sentence]
        if len(of) < 2:
            continue
        for before, after in pairwise(of):
            seen[before, after] += 1
        numbers = np.bincount(of, minlength=classes).astype(float)
        expected += (np.outer(numbers, numbers) - np.diag(numbers)) / len(of)
    return np.round(np.log((seen + _OPENER_PRIOR) / (expected + _OPENER_PRIOR)), 2).astype(np.float32)


def fit_weights(texts: Sequence[Sequence[str]], source: PassageSource, language: Language) -> CoherenceWeights:
    """Fits `order` and `kin` on pairs of sentences of texts, then the features' weights on passages and negatives."""
    measured = [Measured(text, language) for text in texts]
    order, kin = _fit_pairs([each for each in measured if each.n > 2], language)
    pairs = CoherenceWeights(order, kin, np.zeros(len(FEATURES)), 0.0)
    rows, labels = [], []
    for number, passage in enumerate(source.passages):
        whole = features(Measured(passage, language), pairs)
        for kind, make in NEGATIVES.items():
            broken = features(Measured(make(source, number, seeded(kind, passage)), language), pairs)
            if whole is not None and broken is not None:
                rows += [whole, broken]
                labels += [1.0, 0.0]
    found, intercept = _weights(np.array(rows), np.array(labels), [FEATURE_SIGNS[name] for name in FEATURES])
    return CoherenceWeights(order, kin, found, intercept)


def _fit_pairs(texts: Sequence[Measured], language: Language) -> tuple[Doubles, Doubles]:
    """Fits which sentence follows (against others of the text), and which are of one text (against the next text's)."""
    draw = np.random.default_rng(1)
    texts = [texts[i] for i in draw.permutation(len(texts))[:MAX_PAIR_TEXTS]]
    follow, not_follow, one, two = [], [], [], []
    for number, text in enumerate(texts):
        first = np.arange(text.n - 1)
        follow.append(text.rows(first, first + 1))
        first = np.repeat(first, 2)
        second = (first + draw.integers(2, text.n, first.size)) % text.n
        kept = second != first
        not_follow.append(text.rows(first[kept], second[kept]))
        other = texts[number - 1]
        mixed = Measured([*text.sentences[:MIXED], *other.sentences[:MIXED]], language)
        half = min(text.n, MIXED)
        near = np.arange(half - 1)
        one.append(mixed.rows(near, near + 1))
        two.append(mixed.rows(near, half + draw.integers(mixed.n - half, size=near.size)))
    fitted = []
    free = [None] * language.vectors.shape[1]
    for yes, no, signs in (
        (follow, not_follow, [ORDER_SIGNS[pair] for pair in PAIRS]),
        (one, two, [*(KIN_SIGNS[pair] for pair in PAIRS), *free]),
    ):
        rows = np.vstack([*yes, *no])[:, : len(signs)].astype(np.float64)
        labels = np.repeat([1.0, 0.0], [sum(map(len, yes)), sum(map(len, no))])
        fitted.append(_weights(rows, labels, signs)[0])
    return fitted[0], fitted[1]


def _weights(x: Doubles, y: Doubles, signs: Sequence[int | None]) -> tuple[Doubles, float]:
    """Logistic weights of x, fitted with every column at mean 0 and deviation 1, and the intercept. Columns whose
    weight has the wrong sign (`signs`; None: any) get 0, and the others are fitted again."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    wanted = np.array([0 if sign is None else sign for sign in signs])
    bound = np.array([sign is not None for sign in signs])
    kept = (scale > 1e-6) & ~(bound & (wanted == 0))
    weights = np.zeros(x.shape[1])
    while True:
        size = int(kept.sum()) + 1
        found = fit_logistic((x[:, kept] - mean[kept]) / scale[kept], y, np.zeros(size), np.full(size, WEIGHT_WIDTH))
        weights[:] = 0
        weights[kept] = np.round(found[1:] / scale[kept], 6)
        wrong = kept & bound & (weights * wanted < 0)
        if not wrong.any():
            return weights, round(float(found[0] - (weights * mean).sum()), 6)
        kept &= ~wrong


def _write(weights: CoherenceWeights, known: Language, out: Path, language: str) -> None:
    parts = [part.format(language) for part in COHERENCE_PARTS]
    pairs = {
        name: {
            "pairs": {pair: float(weight) for pair, weight in zip(PAIRS, values)},
            "dimensions": [float(weight) for weight in values[len(PAIRS) :]],
        }
        for name, values in (("order", weights.order), ("kin", weights.kin))
    }
    about = {
        **pairs,
        "intercept": weights.intercept,
        "features": {name: float(weight) for name, weight in zip(FEATURES, weights.features)},
        "common_below": known.common_below,
        "openers": sorted(known.openers, key=known.openers.__getitem__),
        "follows": [" ".join(f"{float(value):.2f}" for value in row) for row in known.follows],
    }
    lines = (f"{word} {float(idf):.4f}\n" for word, idf in zip(known.index, known.idf))
    vectors = np.round(known.vectors * 127).astype(np.int8)
    with new_folder(out, replace=True) as folder:
        for other in sorted(out.iterdir()) if out.is_dir() else ():
            (folder / other.name).write_bytes(other.read_bytes())
        for part, content in zip(parts, (readable_json(about), "".join(lines).encode(), vectors.tobytes())):
            (folder / part).write_bytes(content)


def measure(score: Callable[[str, str | None], float | None], language: str, source: PassageSource) -> dict[str, Any]:
    """By kind of negative: `accuracy` of the decision at one half over passages and negatives; `pairs`: the share of
    passages that score above their negative (ties count half); and the AUC over all."""
    found: dict[str, Any] = {}
    every: list[list[float]] = [[], []]
    for kind, make in NEGATIVES.items():
        made = [(each, make(source, number, seeded(kind, each))) for number, each in enumerate(source.passages)]
        scores = [[score("\n".join(text), language) for text in pair] for pair in made]
        both = [(whole, broken) for whole, broken in scores if whole is not None and broken is not None]
        if both:
            right = sum(whole >= 0.5 for whole, _ in both) + sum(broken < 0.5 for _, broken in both)
            better = sum((whole > broken) + (whole == broken) / 2 for whole, broken in both)
            every[0] += [whole for whole, _ in both]
            every[1] += [broken for _, broken in both]
            found[kind] = {"accuracy": round(right / (2 * len(both)), 4), "pairs": round(better / len(both), 4)}
    return {"auc": round(auc(*every), 4), **found}
