"""Rules that cut lines: C4's, FineWeb's, RefinedWeb's: signals and edits agree, and count as published."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.catalog import edit, measure
from filters.view import View

C4_PAGE = """This line is long enough to stay.
No end here
Two words.
It ends in an ellipsis...
Please enable JavaScript to go on.
We use cookies, see our privacy policy.
A claim with a citation.[12]
He asked: "Is it two? Yes, two sentences!"
"""

REFINEDWEB_PAGE = """THIS IS A HEADING in capitals
2021
12.5K likes
word
Sign-in to see the rest
One two three Read more...
3 items in cart
A normal line that says something and has some more words in it to weigh more than all of the others together, really.

read more...
A line of more than ten words is not edited: items in cart, sign-in, all of it stays."""


def value(text: str, name: str) -> float | None:
    return measure(View(text), [name])[name]


C4_COUNTS = {
    "kept_lines": 3, "no_terminal_lines": 2, "few_word_lines": 1, "javascript_lines": 1, "policy_lines": 1,
    "sentences": 4, "curly_bracket_lines": 0, "any_ending_kept_lines": 5, "any_ending_sentences": 6,
    "tfds_kept_lines": 3, "tfds_few_word_lines": 1, "tfds_sentences": 4,
}  # fmt: skip


def test_c4_golden() -> None:
    expected = {f"c4_{name}": count for name, count in C4_COUNTS.items()}
    assert measure(View(C4_PAGE), expected) == expected


def test_c4_edit() -> None:
    after, cut = edit("c4_lines")(C4_PAGE)
    assert after.split("\n") == [
        "This line is long enough to stay.",
        "A claim with a citation.",
        'He asked: "Is it two? Yes, two sentences!"',
    ]
    assert cut == 5


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Here is { a bracket.", "c4_curly_bracket_lines", 1),
        ("Here is { a bracket", "c4_curly_bracket_lines", 0),  # cut earlier, for want of an end
        ("Here is { a bracket", "c4_any_ending_curly_bracket_lines", 1),
        ("With javascript { comes first.", "c4_curly_bracket_lines", 0),
        ("Lorem Ipsum dolor sit.", "c4_lorem_ipsum_lines", 1),
        ("a " + "w" * 1001 + " long word.", "c4_long_word_lines", 1),
        ("a " + "w" * 1000 + " long word.", "c4_long_word_lines", 0),
        ("The claim stands [1] [2]", "c4_kept_lines", 0),
        ("The claim stands. [1]", "c4_kept_lines", 0),  # a space stays after the point: datatrove strips before
        ("She said 'all of it'", "c4_kept_lines", 1),
        ("She said 'all of it'", "c4_tfds_kept_lines", 0),  # an apostrophe ends no line there
        ("Five words, and no more.", "c4_tfds_kept_lines", 1),
        ("[1] Four words stand.", "c4_kept_lines", 1),
        ("[1] Four words stand [2].", "c4_tfds_few_word_lines", 1),  # the marks are no words there
        ("A.\nb\n\nc!\nd. ", "fineweb_punctuated_line_fraction", 2 / 4),
        ("A.\nb\n\nc!\nd. ", "fineweb_newline_word_ratio", 4 / 7),
        ("x" * 30 + "\n" + "x" * 31, "fineweb_short_line_fraction", 1 / 2),
        ("abc\n\nabc\nde", "fineweb_duplicate_line_character_fraction", 3 / 8),
        ("你好。\n是吗？\n好", "fineweb_punctuated_line_fraction", 2 / 3),
        (" \n", "fineweb_punctuated_line_fraction", 0.0),
        ("\n", "fineweb_duplicate_line_character_fraction", None),
    ],
)
def test_golden(text: str, name: str, expected: float | None) -> None:
    assert value(text, name) == (None if expected is None else pytest.approx(expected))


def test_refinedweb_edit_and_what_it_removes() -> None:
    after, count = edit("refinedweb_lines")(REFINEDWEB_PAGE)
    assert (
        after.split("\n")
        == [
            "THIS IS A HEADING in capitals",  # 14 capitals of 29 characters: under a half
            "to see the rest",
            "One two three",
            "3",
            *REFINEDWEB_PAGE.split("\n")[7:9],
            REFINEDWEB_PAGE.split("\n")[10],
        ]
    )
    assert count == 7  # dropped: 2021, likes, word, read more; edited: sign-in, read more, cart
    words = len(REFINEDWEB_PAGE.split())
    assert value(REFINEDWEB_PAGE, "removed_word_fraction") == pytest.approx((words - len(after.split())) / words)
    assert value(REFINEDWEB_PAGE, "dropped_line_fraction") == pytest.approx(4 / 10)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("MAINLY CAPITALS here", False),
        ("mainly SMALL", True),
        ("3 likes", False),
        ("(1,204 Followers)", False),
        ("he likes 3 things", True),
        ("２０２１ 1", True),  # a space is no digit
        ("１２", False),
        ("one-word", False),
        ("中文一行没有空格。", False),  # one word between spaces: the rule is for English
        ("", True),
    ],
)
def test_refinedweb_lines(line: str, kept: bool) -> None:
    page = f"begin with this\n{line}\nand end with that"
    assert edit("refinedweb_lines")(page)[0] == (page if kept else "begin with this\nand end with that")


@given(st.lists(st.sampled_from(["A good line.", "{ x y", "word", "3 likes", "SIGN-IN now", "", "We use cookies."])))
@settings(max_examples=40, deadline=None)
def test_edits_and_signals_agree(lines: list[str]) -> None:
    text = "\n".join(lines)
    for prefix in ("c4", "c4_any_ending", "c4_tfds"):
        after, cut = edit(f"{prefix}_lines")(text)
        kept = value(text, f"{prefix}_kept_lines")
        assert len(after.split("\n")) == max(1, kept or 0)
        assert cut == sum(bool(line) for line in lines) - (kept or 0)
    before, removed = len(text.split()), value(text, "removed_word_fraction")
    if removed is not None:
        left = sum(word[0].isalnum() for word in edit("refinedweb_lines")(text)[0].split())
        total = sum(word[0].isalnum() for word in text.split())
        assert removed == pytest.approx((total - left) / total)
        assert before >= total
