"""The form of texts, their control characters, and the titles of pages."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.text import control_characters, flowing, page_title, tidy, tidy_markdown


def test_tidy_is_the_form_that_it_states() -> None:
    assert tidy("\n\n a \t\r\nb\rc\n\n\n\n\nd\x00\x1f\x85e\ud800 \n") == " a\nb\nc\n\nd" + "e\ufffd"


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab \t\r\n\x00\x1f\x85\ud800\u00e9"), max_size=60))
def test_tidy_changes_nothing_the_second_time(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_empty_lines_of_fenced_code_stay() -> None:
    code = "````py\nimport a\n\n\ndef f():\n    ```\n\n\n\n````"
    text = f"a\n\n\n\n{code}\n\n\n\n- b\n\n  ```\n  x\n\n\n  y\n  ```\n\n\n```\nno end\n\n\n"
    form = f"a\n\n{code}\n\n- b\n\n  ```\n  x\n\n\n  y\n  ```\n\n```\nno end"
    assert tidy_markdown(text) == form


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("a`\n "), max_size=60) | st.lists(st.sampled_from(["```", "\n", "a", " "])).map("".join))
def test_tidy_markdown_changes_nothing_the_second_time(text: str) -> None:
    once = tidy_markdown(text)
    assert tidy_markdown(once) == once and tidy(once) == tidy(text)


def test_a_line_end_between_half_width_kana_is_nothing() -> None:
    assert flowing("ﾊﾝｶｸ\nカナ\nﾄﾞ\n文 ﾊ") == "ﾊﾝｶｸカナﾄﾞ文 ﾊ"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters()) | st.text(st.sampled_from("a\x00\t\n\r\x1f\x7f\x80\x9f\xa0\xc2\ud800é中"), max_size=40))
def test_control_characters(text: str) -> None:
    assert control_characters(text) == len(re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text))


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>a &amp; b\n c</title>", "a & b c"),
        ("<TITLE x='>'>t</TITLE>", "t"),
        ("<svg><title>no</title></svg><title>yes</title>", "yes"),
        ("<title></title><title>second</title>", "second"),
        ("<title>never closed <body>", ""),
        ("<body><title>late</title>", ""),
        (f"<title>{'x' * 10_000}</title>", "x" * 1000),
    ],
)
def test_page_title(html: str, title: str) -> None:
    assert page_title(html) == title
