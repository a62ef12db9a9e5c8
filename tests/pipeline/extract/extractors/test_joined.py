"""The choice between the texts of three extractors, and what happens when one of them fails."""

import numpy as np
import pytest

import pipeline.extract.extractors.joined as module
from pipeline.extract.extractors.joined import JoinedOptions, better, joined
from pipeline.extract.gain import GainWeights
from pipeline.extract.text import Extracted
from tests.pipeline.extract.articles import ARTICLE

WEIGHTS = GainWeights(ask_below=0.8, agree_from=0.7, constant=0, expected=0, expected_loss=-1, others_agree_more=0.5)
PAGE = "<p>by blocks</p><p>another <code>text</code></p>"


@pytest.mark.parametrize(
    ("by_blocks", "expected", "second", "third", "loss", "taken"),
    [
        ("a b c d", 0.9, None, None, None, False),
        ("a b c d", 0.8, None, None, None, False),
        ("a b c d", 0.5, "a b c d e", None, None, False),
        ("a b c d", 0.5, "x y z", "x y", 0.1, True),
        ("a b c d", 0.5, "x y z", "x y", 0.5, False),
        ("a b c d", 0.5, "x y z", "q r", 0.1, False),
        ("a b c d", 0.5, "x y z", "q r", -0.1, True),
        ("a b c d", 0.5, "x y z", "", -0.1, False),
        ("a", 0.5, "", "", None, False),
        ("a b c d e f g", 0.5, "x y", None, None, False),
        ("a b c d e f", 0.5, "x y", "x y", 0.1, True),
        ("海上生明月", 0.5, "海上生明日", None, None, False),
    ],
)
def test_the_others_run_only_if_needed_and_win_if_a_gain_is_expected(
    by_blocks: str, expected: float, second: str | None, third: str | None, loss: float | None, taken: bool
) -> None:
    def called(answer: str | None) -> str:
        assert answer is not None, "called without need"
        return answer

    def expected_of(text: str) -> float:
        assert loss is not None and text == third, "called without need"
        return expected - loss

    found = better(by_blocks, expected, lambda: called(second), lambda: called(third), expected_of, WEIGHTS)
    assert found == (third if taken else None)


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that takes the first of two blocks for the main text, and hardly believes it."""
    monkeypatch.setattr(module, "judged", lambda page, weights: np.array([0.2, 0.05])[: len(page)])
    monkeypatch.setattr(module, "shipped_gain", lambda: WEIGHTS)


@pytest.mark.usefixtures("unsure")
def test_the_blocks_of_another_text_are_written_as_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("trafilatura", "resiliparse"):
        monkeypatch.setattr(module, name, lambda html, url, options: Extracted("so another text it is", ""))
    assert joined(PAGE, "", JoinedOptions(markdown=True)).text == "another `text`"


@pytest.mark.usefixtures("unsure")
def test_an_extractor_that_fails_agrees_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(html: str, url: str, options: object) -> Extracted:
        raise ValueError("a bug of the library")

    monkeypatch.setattr(module, "trafilatura", lambda html, url, options: Extracted("another text", ""))
    monkeypatch.setattr(module, "resiliparse", broken)
    page = f"<title>The keeper</title>{PAGE}"
    assert joined(page, "", JoinedOptions())[:2] == ("by blocks", "The keeper")
    monkeypatch.setattr(module, "resiliparse", lambda html, url, options: Extracted("another text", ""))
    assert joined(page, "", JoinedOptions())[:2] == ("another text", "The keeper")


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize("error", [MemoryError, ImportError])
def test_what_is_not_the_page_s_fault_is_raised(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def broken(html: str, url: str, options: object) -> Extracted:
        raise error

    monkeypatch.setattr(module, "resiliparse", broken)
    with pytest.raises(error):
        joined(PAGE, "", JoinedOptions())


def test_a_sure_page_is_that_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("trafilatura", "resiliparse"):
        monkeypatch.setattr(module, name, lambda html, url, options: pytest.fail("asked without need"))
    assert "keeper" in joined(ARTICLE, "", JoinedOptions()).text


@pytest.mark.parametrize("html", ["", "<p> </p>", "<script>x</script>"])
def test_a_page_without_text(html: str) -> None:
    assert joined(html, "", JoinedOptions())[:2] == ("", "")
