"""Coherence models (`refinery fit coherence`), opened; what is not a whole model is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from filters import coherence
from infra.errors import UsageError
from pipeline.models.fasttext import DIGITS
from pipeline.models.scorer import Measure, Scorer

# For each language: the weights, the words, their vectors.
COHERENCE_PARTS = ("{}.json", "{}.words.txt", "{}.vectors.i8")


def load_coherence(path: Path) -> Callable[[str, str | None], float | None]:
    """(text, language or None) → the probability that the text is whole and in order; None in a language that the
    folder `path` has no model of, without a language, and for a text of fewer than five sentences."""
    suffix = COHERENCE_PARTS[0].format("")
    names = (file.name.removesuffix(suffix) for file in path.glob(f"*{suffix}") if file.is_file())
    # A card's name has a point in it, a language's has not.
    languages = sorted(name for name in names if "." not in name)
    if not languages:
        raise UsageError(f"{path} holds no coherence model: run `refinery fit coherence`")
    models = {language: _load_coherence(path, language) for language in languages}

    def score(text: str, language: str | None) -> float | None:
        model = models.get(language or "")
        return model(text) if model else None

    return score


def _load_coherence(path: Path, language: str) -> Callable[[str], float | None]:
    about_file, words_file, vectors_file = (path / part.format(language) for part in COHERENCE_PARTS)
    try:
        about = json.loads(about_file.read_bytes())
        pairs = [line.rpartition(" ") for line in words_file.read_text("utf-8").split("\n")[:-1]]
        vectors = np.fromfile(vectors_file, np.int8).reshape(len(pairs), -1).astype(np.float32) / np.float32(127)
        openers = {str(word): number + 2 for number, word in enumerate(about["openers"])}
        follows = np.array([[float(each) for each in row.split()] for row in about["follows"]], np.float32)
        known = coherence.Language(
            {word: number for number, (word, _, _) in enumerate(pairs)},
            vectors,
            np.array([float(idf) for _, _, idf in pairs], np.float32),
            float(about["common_below"]),
            openers,
            follows.reshape(len(openers) + 2, len(openers) + 2),
        )
        order, kin = (
            np.array([*(about[name]["pairs"][pair] for pair in coherence.PAIRS), *about[name]["dimensions"]], float)
            for name in ("order", "kin")
        )
        if (order.size, kin.size) != (len(coherence.PAIRS), len(coherence.PAIRS) + vectors.shape[1]):
            raise ValueError("weights and vectors do not fit")
        final = np.array([about["features"][name] for name in coherence.FEATURES], float)
        weights = coherence.CoherenceWeights(order, kin, final, float(about["intercept"]))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is not a whole coherence model: run `refinery fit coherence` again") from None

    def score(text: str) -> float | None:
        found = coherence.score(coherence.sentences_of(text), known, weights)
        return None if found is None else round(found, DIGITS)

    return score


def _open(path: Path) -> Measure:
    score = load_coherence(path)
    return lambda document: {"coherence": score(document.plain, document.language)}


SCORER = Scorer("coherence", {"coherence": "whether the sentences hold together, 0 to 1, higher is better"}, _open)
