"""Language identification by a fastText model (lid.176.ftz, lid.176.bin, GlotLID)."""

from collections.abc import Callable
from pathlib import Path

from pipeline.models.fasttext import LABEL, load_fasttext, one_line, probability

# Language is clear from a page's first characters; the rest would only cost time.
MAX_LANGUAGE_CHARS = 5_000


def load_language(path: Path) -> Callable[[str], tuple[str, float]]:
    """fastText language identification: text → (label, probability), from the first MAX_LANGUAGE_CHARS characters.

    The label is the model's own ("en", "eng_Latn"); a text in which it finds nothing is ("und", 0.0).
    """
    model = load_fasttext(path)

    def identify(text: str) -> tuple[str, float]:
        line = one_line(text, MAX_LANGUAGE_CHARS)
        if line:
            for label, score in zip(*model.predict(line)):
                return label.removeprefix(LABEL), probability(score)
        return "und", 0.0

    return identify
