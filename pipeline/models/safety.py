"""Safety models (`refinery fit safety`), opened; what is not a whole model is refused."""

from collections.abc import Callable
from pathlib import Path

from filters.safety import CategoryWords, Safety, is_spaced
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.models.scorer import Measure, Scorer


def load_safety(path: Path) -> Callable[[str, str | None], float | None]:
    """(text, language or None) → the probability that it is harmless; None in a language that the model has no words
    of. `path`: a file of `refinery fit safety`."""
    model = read_json(path)
    try:
        words = {
            str(language): {
                str(name): CategoryWords({word: float(value) for word, value in strengths.items()}, is_spaced(language))
                for name, strengths in categories.items()
            }
            for language, categories in model["words"].items()  # type: ignore[index]
        }
        weights = {str(name): float(weight) for name, weight in model["weights"].items()}  # type: ignore[index]
        return Safety(words, weights, float(model["bias"])).score  # type: ignore[index]
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise UsageError(f"{path} is not a safety model: run `refinery fit safety` again") from None


def _open(path: Path) -> Measure:
    score = load_safety(path)
    return lambda document: {"safety": score(document.plain, document.language)}


SCORER = Scorer("safety", {"safety": "probability that the text is harmless, 0 to 1"}, _open)
