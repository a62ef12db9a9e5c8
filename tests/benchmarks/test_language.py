"""Pages of sentences among code, on which language identification is measured."""

import pytest

from benchmarks.language import CODE_CHARS, among_code
from infra.errors import UsageError


def test_each_page_has_sentences_of_one_language_among_code_of_unequal_lengths() -> None:
    texts = [(f"sentence {i}", language, "sentences") for language in ("de", "fr") for i in range(7)]
    pages = list(among_code([*texts, ("mot", "fr", "single-words")], ["x" * 300, "y" * 2000, "too short"]))
    assert [language for _, language, _ in pages] == ["de", "fr"]
    lines = pages[0][0].split("\n")
    assert lines[1::2] == [f"sentence {i}" for i in range(5)]
    assert list(map(len, lines[::2])) == [150, 900, 300, 700, 250, 1050] and lines[2] == "y" * CODE_CHARS[1]


def test_programs_that_are_too_short_are_told() -> None:
    with pytest.raises(UsageError, match="no program has 150 characters"):
        list(among_code([("a", "de", "sentences")], ["short"]))
