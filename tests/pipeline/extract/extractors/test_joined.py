"""The choice between the texts of three extractors, and what happens when one of them fails."""

import pytest

import pipeline.extract.extractors.joined as module
from pipeline.extract.block_model import MainText
from pipeline.extract.blocks import blocks
from pipeline.extract.extractors.joined import JoinedOptions, choose, joined
from pipeline.extract.text import Extracted
from tests.pipeline.extract.articles import ARTICLE


@pytest.mark.parametrize(
    ("by_blocks", "expected_f1", "second", "third", "chosen"),
    [
        ("a b c d", 0.9, None, None, "a b c d"),
        ("a b c d", 0.5, "a b c d e", None, "a b c d"),
        ("a b c d", 0.5, "x y z", "x y", "x y"),
        ("a b c d", 0.5, "x y z", "q r", "a b c d"),
        ("a", 0.5, "", None, "a"),
        ("a b c d e f g", 0.5, "x y", None, "a b c d e f g"),
        ("a b c d e f", 0.5, "x y", "x y", "x y"),
        ("海上生明月", 0.5, "海上生明日", None, "海上生明月"),
    ],
)
def test_the_others_run_only_if_needed_and_win_if_they_agree(
    by_blocks: str, expected_f1: float, second: str | None, third: str | None, chosen: str
) -> None:
    def called(answer: str | None) -> str:
        assert answer is not None, "called without need"
        return answer

    assert choose(by_blocks, expected_f1, lambda: called(second), lambda: called(third)) == chosen


def unsure(html: str) -> MainText:
    """A page of two blocks, of which the first is taken for the main text, and hardly believed."""
    return MainText(blocks("<p>by blocks</p><p>another <code>text</code></p>"), [True, False], 0.1)


def test_the_blocks_of_another_text_are_written_as_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "main_text", unsure)
    for name in ("trafilatura", "resiliparse"):
        monkeypatch.setattr(module, name, lambda html, url, options: Extracted("so another text it is", ""))
    assert joined(ARTICLE, "", JoinedOptions(markdown=True)).text == "another `text`"


def test_an_extractor_that_fails_agrees_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(html: str, url: str, options: object) -> Extracted:
        raise ValueError("a bug of the library")

    monkeypatch.setattr(module, "main_text", unsure)
    monkeypatch.setattr(module, "trafilatura", lambda html, url, options: Extracted("another text", ""))
    monkeypatch.setattr(module, "resiliparse", broken)
    assert joined(ARTICLE, "", JoinedOptions())[:2] == ("by blocks", "The keeper")
    monkeypatch.setattr(module, "resiliparse", lambda html, url, options: Extracted("another text", ""))
    assert joined(ARTICLE, "", JoinedOptions())[:2] == ("another text", "The keeper")


@pytest.mark.parametrize("error", [MemoryError, ImportError])
def test_what_is_not_the_page_s_fault_is_raised(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def broken(html: str, url: str, options: object) -> Extracted:
        raise error

    monkeypatch.setattr(module, "main_text", unsure)
    monkeypatch.setattr(module, "resiliparse", broken)
    with pytest.raises(error):
        joined(ARTICLE, "", JoinedOptions())
