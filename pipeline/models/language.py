"""Language identification by a fastText model (lid.176.ftz, lid.176.bin, GlotLID), or by a vote of two identifiers."""

from collections.abc import Callable
from pathlib import Path

from pipeline.models.capitals import without_capitals
from pipeline.models.fasttext import LABEL, check_fasttext, load_fasttext, one_line, probability
from pipeline.models.language_vote import NOTHING, LanguageVote, Spoken, check_vote, vote_languages

# Language is clear from a page's first characters; the rest would only cost time.
MAX_LANGUAGE_CHARS = 5_000


def load_language(path: Path) -> Callable[[str], Spoken]:
    """text → language and score, by the identifier at `path`.

    A folder holds two that vote (`language_vote.py`). A file is a fastText model: label and probability from the first
    MAX_LANGUAGE_CHARS characters, as published recipes use it. What is mostly capitals is asked about in lower case:
    the models were trained on text with few of them, and call Bulgarian in capitals Russian. The label is the model's
    own ("en", "eng_Latn").

    A text in which nothing is found is ("und", 0.0).
    """
    if path.is_dir():
        return LanguageVote(path)
    model = load_fasttext(path)

    def identify(text: str) -> Spoken:
        line = without_capitals(one_line(text, MAX_LANGUAGE_CHARS))
        if line:
            for label, score in zip(*model.predict(line)):
                return Spoken(label.removeprefix(LABEL), probability(score), {})
        return NOTHING

    return identify


def check_language(path: Path) -> None:
    """UsageError unless `load_language` can load the model at `path`."""
    if path.is_dir():
        check_vote(path)
    else:
        check_fasttext(path)


def languages_of(path: Path) -> list[str]:
    """What the model at `path` may call a language."""
    return vote_languages(path) if path.is_dir() else check_fasttext(path)
