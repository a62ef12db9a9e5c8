"""The files of the coherence, safety and contamination models, opened; what is no whole model is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from filters import coherence
from filters.contamination import Hits, Runs
from filters.safety import Safety, Words, is_spaced
from infra.errors import UsageError
from infra.storage import read_json

# Of a coherence model, for each language: the weights, the words, their vectors.
COHERENCE_PARTS = ("{}.json", "{}.words.txt", "{}.vectors.i8")
# Of an index of benchmarks.
INDEX, INDEX_ITEMS = "index.json", "items.txt"
INDEX_ARRAYS = {"runs.u64": "<u8", "starts.u32": "<u4", "items.u32": "<u4"}
# Probabilities are rounded to this many digits: what is left does not depend on how a CPU adds floats.
DIGITS = 4


def load_contamination(path: Path) -> Callable[[str], Hits]:
    """text → what it shares with the benchmarks in folder `path` (`refinery fit benchmarks`)."""
    about = read_json(path / INDEX)
    try:
        hashes, starts, items = (np.fromfile(path / name, np.dtype(kind)) for name, kind in INDEX_ARRAYS.items())
        names = tuple((path / INDEX_ITEMS).read_text("utf-8").split("\n")[:-1])
        lengths = tuple(int(length) for length in about["lengths"])  # type: ignore[index]
        whole = len(starts) == len(hashes) + 1 and int(starts[-1]) == len(items) and 0 < min(lengths) <= max(lengths)
        whole = whole and bool((hashes[1:] > hashes[:-1]).all()) and bool((starts[1:] >= starts[:-1]).all())
        whole = whole and max(lengths) < 16 and (not items.size or int(items.max()) < len(names))
    except (OSError, UnicodeDecodeError, TypeError, KeyError, ValueError, IndexError):
        whole = False
    if not whole:
        raise UsageError(f"{path} is not a whole index of benchmarks: run `refinery fit benchmarks` again")
    return Runs(hashes, starts, items, names, lengths).find


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
        weights = coherence.Weights(order, kin, final, float(about["intercept"]))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is not a whole coherence model: run `refinery fit coherence` again") from None

    def score(text: str) -> float | None:
        found = coherence.score(coherence.sentences_of(text), known, weights)
        return None if found is None else round(found, DIGITS)

    return score


def load_safety(path: Path) -> Callable[[str, str | None], float | None]:
    """(text, language or None) → the probability that it is harmless; None in a language that the model has no words
    of. `path`: a file of `refinery fit safety`."""
    model = read_json(path)
    try:
        words = {
            str(language): {
                str(name): Words({word: float(value) for word, value in strengths.items()}, is_spaced(language))
                for name, strengths in categories.items()
            }
            for language, categories in model["words"].items()  # type: ignore[index]
        }
        weights = {str(name): float(weight) for name, weight in model["weights"].items()}  # type: ignore[index]
        return Safety(words, weights, float(model["bias"])).score  # type: ignore[index]
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise UsageError(f"{path} is not a safety model: run `refinery fit safety` again") from None
