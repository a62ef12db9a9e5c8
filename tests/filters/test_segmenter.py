"""Chinese words: runs of Han are cut by a segmenter, all else by the common rules, and only when words are needed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.catalog import measure
from filters.view import View
from tests.files import python
from tests.filters.test_view import ALPHABET


def tokens(text: str, language: str) -> list[str]:
    view = View(text, language=language)
    return [text[start:end] for start, end in zip(view.tokens.start.tolist(), view.tokens.end.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们在北京大学学习。", ["我们", "在", "北京大学", "学习", "。"]),
        ("我爱iPhone手机，3.14元", ["我", "爱", "iPhone", "手机", "，", "3.14", "元"]),
        ("中\n国", ["中", "\n", "国"]),
        ("\ud800我们\ud800中国", ["\ud800", "我们", "\ud800", "中国"]),
        ("no Han at all", ["no", "Han", "at", "all"]),
        ("", []),
    ],
)
def test_words_of_chinese(text: str, expected: list[str]) -> None:
    assert tokens(text, "zh") == [token for token in expected if not token.isspace()]


@given(st.text(alphabet=ALPHABET + "的我们中国人民2年カ", max_size=60))
@settings(max_examples=80, deadline=None)
def test_only_boundaries_between_han_are_removed(text: str) -> None:
    """It only joins characters: the same characters, cut at fewer places, all of them between Han."""
    characters, words = View(text).tokens, View(text, language="zh").tokens
    cuts = {*characters.start.tolist(), *characters.end.tolist()} - {*words.start.tolist(), *words.end.tolist()}
    assert {*words.start.tolist()} <= {*characters.start.tolist()}
    assert {*words.end.tolist()} <= {*characters.end.tolist()}
    assert words.characters == characters.characters
    assert all(0 < cut < len(text) and len(tokens(text[cut - 1 : cut + 1], "")) == 2 for cut in cuts)


def test_other_languages_and_external_tokens_are_not_segmented() -> None:
    text = "我们在北京大学学习。"
    assert tokens(text, "") == tokens(text, "ja") == list(text)
    assert len(View(text, language="zh", words=["我们", "在"]).tokens) == 2


def test_word_signals_of_chinese_count_words() -> None:
    view = View("我们在北京大学学习。", language="zh")
    found = measure(view, ["words", "mean_word_length", "gopher_words", "distinct_stop_words", "fineweb2_stop_words"])
    assert list(found.values()) == [4, 9 / 4, 4, 2, 1]


def test_the_segmenter_is_loaded_only_for_words_of_chinese() -> None:
    code = (
        "import sys\nfrom filters.catalog import measure\nfrom filters.view import View\n"
        "measure(View('The cat sat.', language='en'), ['words'])\n"
        "measure(View('我们在北京。', language='zh'), ['characters', 'chinese_full_width_mark_ratio', 'lines'])\n"
        "print('rjieba' in sys.modules)\n"
        "measure(View('我们在北京。', language='zh'), ['words'])\n"
        "print('rjieba' in sys.modules)\n"
    )
    assert python(code).split() == ["False", "True"]
