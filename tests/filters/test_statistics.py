"""Plain statistics, scripts, stop words, damage and Chinese: values by hand, and the documented directions."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.broken import _BOILERPLATE, _MOJIBAKE
from filters.catalog import measure
from filters.view import View

ENGLISH = (
    "The river rises in the hills to the north of the town and flows for some forty miles before it reaches the sea. "
    "People have lived on its banks for thousands of years, and they still tell stories about it.\n"
    "In spring the water is high and brown; in summer the children swim in it until the evening comes."
)
CHINESE = (
    "这条河发源于城北的山中，流了四十里才到海边。人们在岸边住了几千年，他们还在讲着关于它的故事。\n"
    "春天的水又高又黄；到了夏天，孩子们在河里游泳，直到天黑才回家，母亲在门口等着他们。"
)
MENU = "Home\nAbout us\nContact\nSign in\nSubscribe\nPrivacy\nCookies\nRead more\nShare this"
SCRIPT = 'var x = 1; function (a) { document.write("<b>&nbsp;</b>"); } window.go(); if (a && b || c) {{ d }}'
MOJIBAKE = "CafÃ© au lait, itâ€™s naÃ¯ve. ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€. ä¸­æ–‡ ï¿½"


def value(text: str, name: str, language: str = "en") -> float | None:
    return measure(View(text, language=language), [name])[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab, c!\n\nd", {"characters": 9, "words": 3, "tokens": 5, "lines": 2, "paragraphs": 2, "sentences": 2}),
        (
            "ab, c!\n\nd",
            {"mean_word_length": 4 / 3, "median_word_length": 1, "mean_line_length": 3.5, "longest_line": 6},
        ),
        ("ab, c!\n\nd", {"alphabetic_fraction": 4 / 6, "punctuation_fraction": 2 / 6, "terminal_line_fraction": 1 / 2}),
        ("a1 €{", {"digit_fraction": 1 / 4, "symbol_fraction": 1 / 4, "curly_bracket_fraction": 1 / 5}),
        ("\ud800a\ufffd\x07", {"broken_character_fraction": 3 / 4}),
        ("AbC 12", {"uppercase_fraction": 2 / 3}),
        ("The the THE cat", {"unique_word_fraction": 2 / 4}),
        ("one two two " * 400, {"unique_word_fraction": 2 / 1200, "first_unique_word_fraction": 2 / 1000}),
        ("one two two", {"first_unique_word_fraction": 2 / 3}),
        ("", {"first_unique_word_fraction": None}),
        ("The the cat dog", {"unigram_entropy": -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))}),
        ("one word", {"unigram_entropy": math.log(2)}),
        ("NATO said OK 1", {"all_caps_word_fraction": 2 / 4, "no_alphabetic_word_fraction": 1 / 4}),
        ("Привет мир abc", {"cyrillic_fraction": 9 / 12, "latin_fraction": 3 / 12}),
        ("中文カナ", {"han_fraction": 2 / 4, "kana_fraction": 2 / 4}),
        ("𠀀", {"han_fraction": 1}),
        ("123", {"latin_fraction": None}),
        ("The cat and the dog", {"stop_words": 3, "distinct_stop_words": 2, "stop_word_fraction": 3 / 5}),
        ("a b word c", {"isolated_character_fraction": 3 / 4}),
        ("it breaks of", {"incomplete_ending": 1}),
        ('He said "yes."', {"incomplete_ending": 0}),
        ("And then...", {"incomplete_ending": 1}),
        (
            "Cookies here. Cookies there, a cookie, or read more of a text that has seventeen words",
            {"boilerplate_rate": 400 / 16, "capped_boilerplate_rate": 300 / 16},
        ),
        (
            "\\[\nx = y\n\\]\n\\[\nx = z\n\\]\n```js\n}\n```js\n}\nbye now\nbye now",
            {"repeated_line_fraction": 1 / 12},
        ),
        ("\n", {"repeated_line_fraction": None}),
        ("  if x\nif x\n\n  if x", {"repeated_line_fraction": 1 / 3}),
        ("ANNA\nI go.\nFirst Man:\nGo.\nANNA\nI am gone.\nFirst Man:\nWell.", {"repeated_line_fraction": 0}),
        ("你好\n你好", {"repeated_line_fraction": 1 / 2}),
        ("ab $$$$ #1", {"soup_fraction": 4 / 8}),
        ("Home\nAbout\nA line of five words.", {"navigation_fraction": 2 / 7, "short_line_fraction": 2 / 3}),
        ("的是河水", {"chinese_function_character_fraction": 2 / 4}),
        ("河水，河水。", {"chinese_full_width_mark_ratio": 2 / 4, "chinese_distinct_character_fraction": 2 / 4}),
        ("河水，河水。", {"chinese_mark_ratio": 2 / 4}),
        ("河水, 用 cat.js 河水。no, no", {"chinese_full_width_mark_ratio": 1 / 5, "chinese_mark_ratio": 2 / 5}),
        (",河", {"chinese_mark_ratio": 0}),
        ("no, no", {"chinese_mark_ratio": None}),
        ("河水。\n河", {"chinese_terminal_line_fraction": 1 / 2}),
        ("plain", {"chinese_characters_per_line": None}),
        ("這個國家里", {"chinese_traditional_fraction": 1.0}),
        ("这个国家", {"chinese_traditional_fraction": 0.0}),
        ("人山水", {"chinese_traditional_fraction": None}),
    ],
)
def test_golden(text: str, expected: dict[str, float | None]) -> None:
    assert measure(View(text, language="en"), expected) == pytest.approx(expected)


def test_a_language_without_a_list_is_not_measured() -> None:
    assert value("whatever", "stop_words", language="xx") is None
    assert value("whatever", "stop_words", language="") is None
    assert value(CHINESE, "stop_word_fraction", language="zh") == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("name", "sound", "damaged", "least"),
    [
        ("mojibake_rate", ENGLISH + CHINESE + "Übung « à » São naïve — “ok” €5", MOJIBAKE, 100),
        ("mojibake_rate", CHINESE, "锟斤拷锟斤拷", 100),
        ("mojibake_rate", "«Élève» ¡Olé! ¿Qué?", "ÖÐ¹úÈËÃñ¹²ºÍ¹ú", 100),
        ("replacement_rate", ENGLISH, "a\ufffdb", 300),
        ("script_remnant_rate", ENGLISH, SCRIPT, 20),
        ("boilerplate_rate", ENGLISH, MENU, 30),
        ("navigation_fraction", ENGLISH, MENU, 0.9),
        ("short_line_fraction", CHINESE, MENU, 0.9),
        ("incomplete_ending", CHINESE, MENU, 1),
        ("soup_fraction", ENGLISH, "--- *** === $$$ ok", 0.8),
    ],
)
def test_damage_shows_and_prose_has_none(name: str, sound: str, damaged: str, least: float) -> None:
    assert value(sound, name) == 0
    assert (value(damaged, name) or 0) >= least


def test_chinese_prose_and_keyword_lists_differ() -> None:
    keywords = "手机电脑相机\n汽车房产招聘\n旅游酒店机票"
    for kind in ("function_character_fraction", "full_width_mark_ratio", "mark_ratio", "terminal_line_fraction"):
        name = f"chinese_{kind}"
        assert (value(CHINESE, name) or 0) > 0.08
        assert value(keywords, name) == 0
    assert value("これは日本語の文章です。", "chinese_function_character_fraction") is None


@given(
    st.lists(
        st.sampled_from(
            ["Ã©", "â€™", "ÐÑ", "ï¿½", "锟斤拷", "烫", "é", "ä", "登录", "狐狸", "\xa0", "“", "a ", "login", "\n"]
        )
    )
)
def test_places_where_a_pattern_may_begin_are_all(pieces: list[str]) -> None:
    text = "".join(pieces)
    runs = re.findall("[\u00a1-\u00ff]{6,}", text)
    rate = 1000.0 * (len(_MOJIBAKE.findall(text)) + sum(map(len, runs)) / 2) / max(1, len(text))
    assert value(text, "mojibake_rate") == rate
    words = value(text, "words") or 0
    assert value(text, "boilerplate_rate") == (100.0 * len(_BOILERPLATE.findall(text)) / words if words else None)
