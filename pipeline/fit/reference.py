"""`refinery fit reference`: the reference classifier, how much a page resembles clean texts of kinds that must be kept.

Judged pages teach what good web pages are like, and those are articles: dialogue, code, mathematics read like rejects
beside them. So each kind of text that must be kept has a table of its own: a logistic regression over the words of its
clean texts against pages of every sort (weighed as the bag-of-words classifier weighs them, one vocabulary for all
kinds). Several small tables are more precise than one of all kinds together, since no word stands for all of them.

What a table says is set against the pages themselves, each scored by a fit that has not seen its host: at a score of
one half, one page in ONE_IN resembles the kind as much. The score of a page is that of the kind it resembles most.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.bag_of_words import word_counts
from infra.errors import UsageError
from infra.storage import place, write_bytes
from pipeline.fit.bag_of_words import FOLDS, MIN_TEXTS, fold_of, weighted
from pipeline.fit.texts import Sample, auc, counted, read_labelled, read_samples, stable_hash, write_card
from pipeline.models.reference import DIGITS, ReferenceClassifier

MAX_WORDS = 2000
MIN_WORDS = 50
# How strongly weights are held at zero: scikit-learn's C. Kinds differ more from pages than good pages do from others.
STRENGTH = 10.0
# One page in so many resembles a kind as much as a score of one half says.
ONE_IN = 2000
WEIGHT_DIGITS = 2
IDF_DIGITS = 3
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """A text as a fit sees it: its words counted, its kind ("" for a page), and what it must not be parted from."""

    counts: Counter[str]
    kind: str
    group: str
    fold: int


def cut(positive: Sequence[Sample], negative: Sequence[Sample]) -> list[Cut]:
    """Every sample cut into words, in one order. A positive's kind is its `domain`.

    Pages are in folds by the hash of their group. The sources of a kind are few: they go to the folds in turn, so that
    a fit without one has the others; the texts of a kind of one source are parted by their own hash.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for sample in positive:
        groups[sample.domain].add(sample.group)
    turns = {
        kind: {group: number % FOLDS for number, group in enumerate(sorted(found))} for kind, found in groups.items()
    }

    def fold(sample: Sample) -> int:
        turn = turns[sample.domain]
        return turn[sample.group] if len(turn) > 1 else stable_hash(f"fold {sample.text}") % FOLDS

    taught = [Cut(word_counts(each.text), each.domain, each.group, fold(each)) for each in sorted(positive)]
    pages = [Cut(word_counts(each.text), "", each.group, fold_of(each.group)) for each in sorted(negative)]
    return [*taught, *pages]


def fit_tables(texts: Sequence[Cut]) -> ReferenceClassifier:
    """One table for each kind among `texts`, against the pages. UsageError when there is too little to tell."""
    from sklearn.linear_model import LogisticRegression

    kinds = sorted({text.kind for text in texts} - {""})
    words = vocabulary(texts)
    pages = sum(not text.kind for text in texts)
    if not kinds or not pages or len(words) < MIN_WORDS:
        raise UsageError(
            f"there is too little text to fit a reference classifier: {len(texts) - pages} texts of {len(kinds)} "
            f"kinds, {pages} pages, {len(words)} words that {MIN_TEXTS} texts have"
        )
    matrix = weighted([text.counts for text in texts], words)
    of_kind = np.array([text.kind for text in texts])
    intercepts, columns = [], []
    for kind in kinds:
        mine = np.flatnonzero((of_kind == kind) | (of_kind == ""))
        model = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-6)
        model.fit(matrix[mine], of_kind[mine] == kind)
        intercepts.append(round(float(model.intercept_[0]), DIGITS))
        columns.append([round(float(weight), WEIGHT_DIGITS) for weight in model.coef_[0]])
    rows = zip(*columns)
    return ReferenceClassifier(
        dict(zip(kinds, intercepts)), {word: (idf, weights) for (word, idf), weights in zip(words.items(), rows)}
    )


def vocabulary(texts: Sequence[Cut]) -> dict[str, float]:
    """The words, sorted, with their inverse document frequencies: those that the largest shares of the clean texts and
    of the pages have, so that neither side's number decides."""
    spread: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    sizes = [0, 0]
    for text in texts:
        spread[bool(text.kind)].update(text.counts.keys())
        sizes[bool(text.kind)] += 1
    both = spread[0] + spread[1]
    known = [word for word, texts_with in both.items() if texts_with >= MIN_TEXTS]
    share = {word: sum(side[word] / max(size, 1) for side, size in zip(spread, sizes)) for word in known}
    chosen = sorted(sorted(known, key=lambda word: (-share[word], word))[:MAX_WORDS])
    return {word: round(math.log((1 + sum(sizes)) / (1 + both[word])) + 1.0, IDF_DIGITS) for word in chosen}


def cross_fitted_margins(texts: Sequence[Cut], kinds: Sequence[str]) -> Floats:
    """float64[texts, kinds], each text by tables that have not seen its group."""
    margins = np.zeros((len(texts), len(kinds)))
    for fold in range(FOLDS):
        out = [index for index, text in enumerate(texts) if text.fold == fold]
        if out:
            model = fit_tables([text for text in texts if text.fold != fold])
            if list(model.kinds) != list(kinds):
                lost = sorted(set(kinds) - set(model.kinds))
                raise UsageError(f"there is too little text of the kind {', '.join(lost)}: give more texts of it")
            of = model.margins()
            margins[out] = [of(texts[index].counts) for index in out]
    return margins


def fit_reference(positive: Sequence[str], negative: Sequence[Path], out: Path) -> dict[str, Any]:
    """Fit on files, each `KIND=PATH` or a PATH whose documents carry a `domain`, against pages; returns the card.

    UsageError for a text without a kind, for a kind that no table can name, and for too little text.
    """
    samples = read_labelled(positive, lambda word: not place(word).exists())
    for sample in samples:
        if not sample.domain:
            raise UsageError(f"a text from {sample.group} has no kind: give KIND=PATH, or texts with a `domain`")
        if not sample.domain.isprintable():
            raise UsageError(f"a kind cannot be called {sample.domain!r}: give letters that can be printed")
    made_from = {
        "positive": sorted(Path(word.rpartition("=")[2]).name for word in positive),
        "negative": sorted(path.name for path in negative),
    }
    command = f"refinery fit reference --positive KIND=... --negative ... --out {out.name}"
    return reference_from(samples, read_samples(negative), out, made_from, command)


def reference_from(
    positive: Sequence[Sample], negative: Sequence[Sample], out: Path, made_from: Any, command: str
) -> dict[str, Any]:
    """Fit on everything, set against the pages by cross-fitting, write `out` and its card."""
    texts = cut(positive, negative)
    model = fit_tables(texts)
    kinds = list(model.kinds)
    margins = cross_fitted_margins(texts, kinds)
    of_kind = np.array([text.kind for text in texts])
    pages = of_kind == ""
    bounds = np.quantile(margins[pages], 1.0 - 1.0 / ONE_IN, axis=0)
    model = replace(
        model,
        kinds={kind: round(value - float(bound), DIGITS) for (kind, value), bound in zip(model.kinds.items(), bounds)},
    )
    found = (margins - bounds).max(axis=1) >= 0.0
    by_source: defaultdict[str, list[bool]] = defaultdict(list)
    for text, yes in zip(texts, found.tolist()):
        if text.kind:
            by_source[f"{text.kind}/{text.group}"].append(yes)
    write_bytes(out, model.as_text().encode())
    return write_card(
        out,
        "reference classifier: how much a page resembles clean texts of kinds that must be kept",
        command,
        made_from,
        positive={kind: counted([sample for sample in positive if sample.domain == kind]) for kind in kinds},
        negative=counted(negative),
        held_out={
            "auc": {k: round(auc(margins[of_kind == k, n], margins[pages, n]), 4) for n, k in enumerate(kinds)},
            "found": {kind: share(found[of_kind == kind]) for kind in kinds},
            "found_by_source": {source: share(hits) for source, hits in sorted(by_source.items())},
            "found_of_pages": share(found[pages]),
            "how": "a score of one half and more; every source and host scored by tables that have not seen it, "
            f"{FOLDS} folds",
        },
    )


def share(hits: Any) -> float:
    return round(float(np.mean(hits)), DIGITS)
