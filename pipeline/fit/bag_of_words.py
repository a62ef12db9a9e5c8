"""`refinery fit bag-of-words`: which words good pages have and others have not, as a table of weights that can be read.

A logistic regression over the words of a text (term frequency damped by a logarithm, times inverse document
frequency, scaled to unit length), of a few thousand words. On pages that people judged it is better than a classifier
of clean text against random pages, since both sides are web pages through the same extractors: it learns the words of
explanation, narration and discussion against those of menus, forms, listings and advertising. Every weight stands in
the model's file beside its word.

Salton & Buckley 1988 (weights); the regression is scikit-learn's, one thread, sorted input.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.bag_of_words import word_counts
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.fit.texts import Sample, auc, counted, origin, read_samples, stable_hash, write_card
from pipeline.models.bag_of_words import BagOfWords

MAX_WORDS = 3000
# A word of fewer texts says more about those than about the web.
MIN_TEXTS = 5
# How strongly weights are held at zero: scikit-learn's C.
STRENGTH = 1.0
DIGITS = 4
FOLDS = 8
# Lengths are matched in so many classes, of equally many texts; no text counts more than so many times.
LENGTH_CLASSES = 6
MAX_TEXT_WEIGHT = 4.0
Floats = npt.NDArray[np.float64]


def fit_bag_of_words(
    positive: Sequence[Sample],
    negative: Sequence[Sample],
    reference: Sequence[Sample] = (),
    *,
    match_length: bool = False,
) -> BagOfWords:
    """`reference`: texts of kinds that must be kept (textbooks, novels, dialogue, code), which pages alone would not
    show: positives like the others, but no part of what is measured. `match_length`: both sides weigh the same in every
    class of length; without it a model learns that longer pages, which have more of the words, are better. UsageError
    when a side is too small to tell anything."""
    from sklearn.linear_model import LogisticRegression

    rows = sorted([(s.text, True) for s in (*positive, *reference)] + [(s.text, False) for s in negative])
    counts = [word_counts(text) for text, _ in rows]
    spread = Counter(word for count in counts for word in count)
    chosen = sorted(sorted(spread, key=lambda word: (-spread[word], word))[:MAX_WORDS])
    chosen = [word for word in chosen if spread[word] >= MIN_TEXTS]
    if len(chosen) < 50 or not positive or not negative:
        raise UsageError(
            f"there is too little text to fit a quality model: {len(positive)} positives, {len(negative)} negatives, "
            f"{len(chosen)} words that {MIN_TEXTS} texts have"
        )
    idf = {word: round(math.log((1 + len(rows)) / (1 + spread[word])) + 1.0, DIGITS) for word in chosen}
    model = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-8)
    weights_of = length_weights(rows) if match_length else None
    model.fit(weighted(counts, idf), [good for _, good in rows], sample_weight=weights_of)
    weights = [round(float(weight), DIGITS) for weight in model.coef_[0]]
    return BagOfWords(round(float(model.intercept_[0]), DIGITS), dict(zip(chosen, zip(idf.values(), weights))))


def length_weights(rows: Sequence[tuple[str, bool]]) -> Floats:
    """float64[rows]: half of the texts of each class of length for each side of it, shared out among them."""
    lengths = np.log([len(text) for text, _ in rows])
    of_class = np.digitize(lengths, np.quantile(lengths, np.arange(1, LENGTH_CLASSES) / LENGTH_CLASSES))
    good = np.array([good for _, good in rows])
    weights = np.ones(len(rows))
    for each in range(LENGTH_CLASSES):
        mine = of_class == each
        for side in (good, ~good):
            weights[mine & side] = min(mine.sum() / 2 / max((mine & side).sum(), 1), MAX_TEXT_WEIGHT)
    return weights


def weighted(counts: Sequence[Mapping[str, int]], idf: Mapping[str, float]) -> Any:
    """csr_array[texts, words], in the order of `idf`: damped counts times inverse document frequency, each row of unit
    length."""
    from scipy.sparse import csr_array

    place = {word: index for index, word in enumerate(idf)}
    data: list[float] = []
    columns: list[int] = []
    ends = [0]
    for count in counts:
        known = sorted(
            (place[word], (1.0 + math.log(times)) * idf[word]) for word, times in count.items() if word in idf
        )
        norm = math.sqrt(sum(value * value for _, value in known)) or 1.0
        data += [value / norm for _, value in known]
        columns += [column for column, _ in known]
        ends.append(len(data))
    return csr_array((np.array(data), np.array(columns, np.int32), np.array(ends)), shape=(len(counts), len(idf)))


def cross_fitted(
    positive: Sequence[Sample],
    negative: Sequence[Sample],
    reference: Sequence[Sample] = (),
    *,
    match_length: bool = False,
) -> tuple[list[float], list[float], list[float]]:
    """The scores of all samples, each by a model that has not seen its group (FOLDS folds by its hash)."""
    sides = (positive, negative, reference)
    scores: dict[Sample, float] = {}
    for fold in range(FOLDS):
        held_out = {s for side in sides for s in side if fold_of(s.group) == fold}
        if held_out:
            model = fit_bag_of_words(
                *([s for s in side if s not in held_out] for side in sides), match_length=match_length
            )
            scores |= {sample: model.score(sample.text) for sample in held_out}
    good, other, kept = ([scores[sample] for sample in side] for side in sides)
    return good, other, kept


def fold_of(group: str) -> int:
    return stable_hash(f"fold {group}") % FOLDS


def fit_bag_of_words_files(
    positive: Sequence[Path],
    negative: Sequence[Path],
    reference: Sequence[Path],
    out: Path,
    match_length: bool = False,
) -> dict[str, Any]:
    """Fit on files of texts and return the card; `group` of a text is its host, else its `source`."""
    settings = " --match-length" if match_length else ""
    files = origin("bag-of-words", out, settings, positive=positive, negative=negative, reference=reference)
    kept = read_samples(reference) if reference else []
    return bag_of_words_from(read_samples(positive), read_samples(negative), kept, out, *files, match_length)


def bag_of_words_from(
    positive: Sequence[Sample],
    negative: Sequence[Sample],
    reference: Sequence[Sample],
    out: Path,
    made_from: Any,
    command: str,
    match_length: bool = False,
) -> dict[str, Any]:
    """Fit on everything, measure by cross-fitting over groups, write `out` and its card."""
    model = fit_bag_of_words(positive, negative, reference, match_length=match_length)
    good, other, references = cross_fitted(positive, negative, reference, match_length=match_length)
    lengths = [[len(sample.text) for sample in side] for side in (positive, negative)]
    write_bytes(out, model.as_text().encode())
    return write_card(
        out,
        "bag-of-words quality classifier: the probability that a page has the words of the positives",
        command,
        made_from,
        positive=counted(positive),
        negative=counted(negative),
        reference=counted(reference),
        held_out={
            "auc": round(auc(good, other), 4),
            "auc_of_references": round(auc(references, other), 4) if references else None,
            "auc_of_length_alone": round(auc(*lengths), 4),
            "how": f"every group scored by a model that has not seen it, {FOLDS} folds",
        },
    )
