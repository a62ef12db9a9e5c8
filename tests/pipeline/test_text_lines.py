"""Lines fit the terminal, in the cells that their characters take, and hold nothing that would steer it."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.text_lines import excerpt, fitted, number, printable

LINES = st.text(alphabet="ab  水字é\n", max_size=200)


@given(LINES, st.integers(20, 60))
def test_no_line_is_wider_and_no_word_is_lost(text: str, width: int) -> None:
    told = fitted(text, width)
    assert all(cell_len(line) <= width for line in told.split("\n"))
    assert "".join(told.split()) == "".join(text.split())


def test_what_is_wrapped_is_indented_below_its_line() -> None:
    told = fitted("  one two three four five six", 20)
    assert told == "  one two three four\n    five six"


def test_a_long_word_is_cut_at_the_width() -> None:
    told = fitted("http://example.org/a-long-address", 20).split("\n")
    assert (
        told[0] == "http://example.org/a"
        and "".join(line.strip() for line in told) == "http://example.org/a-long-address"
    )


def test_a_page_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\u202ec\r\td\n") == "a\ufffd[2Jb\ufffd\ufffdc\ufffd d\n"


def test_an_excerpt_is_one_line() -> None:
    assert excerpt("a\n b  c", 9) == "a b c"
    assert excerpt("word " * 9, 9) == "word word …"


def test_whole_numbers_are_whole() -> None:
    assert [number(value) for value in (18450.0, 0.0, 0.123456, -3.0)] == ["18,450", "0", "0.1235", "-3"]
