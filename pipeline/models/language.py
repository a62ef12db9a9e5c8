"""Language identification by a fastText model (lid.176.ftz, lid.176.bin, GlotLID)."""

from collections.abc import Callable
from pathlib import Path

from pipeline.models.fasttext import LABEL, load_fasttext, one_line, probability

# Language is clear from a page's first characters; the rest would only cost time.
MAX_LANGUAGE_CHARS = 5_000
# The case of a text is told by so many of its characters. In one of fewer capitals than this share most letters have no
# case.
CASE_SAMPLE = 256
MIN_CAPITALS_SHARE = 0.1


def load_language(path: Path) -> Callable[[str], tuple[str, float]]:
    """fastText language identification: text → (label, probability), from the first MAX_LANGUAGE_CHARS characters.

    What is mostly capitals is asked about in lower case: the models were trained on text with few of them, and call
    Bulgarian in capitals Russian.

    The label is the model's own ("en", "eng_Latn"); a text in which it finds nothing is ("und", 0.0).
    """
    model = load_fasttext(path)

    def identify(text: str) -> tuple[str, float]:
        line = without_capitals(one_line(text, MAX_LANGUAGE_CHARS))
        if line:
            for label, score in zip(*model.predict(line)):
                return label.removeprefix(LABEL), probability(score)
        return "und", 0.0

    return identify


def without_capitals(text: str) -> str:
    """The text in lower case if most of its letters that have a case are capitals; else as it is."""
    sample = text[:: max(1, len(text) // CASE_SAMPLE)]
    capitals = sum(map(str.isupper, sample))
    if capitals <= MIN_CAPITALS_SHARE * len(sample) or capitals <= sum(map(str.islower, sample)):
        return text
    return text.lower().replace("i\u0307", "i")  # İ
