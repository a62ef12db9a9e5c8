"""Tables are no wider than the terminal."""

import pytest

from pipeline.text_table import WIDTH, table, terminal_width, told

ROWS = [
    {"name": "first", "about": "a line of some words that goes on and on", "documents": 12345},
    {"name": "second", "about": "short", "documents": 7},
]


def test_a_table_is_folded_in_its_widest_column_of_words() -> None:
    assert table(ROWS, ["name", "about", "documents"], 40) == (
        "name    about                  documents\n"
        "first   a line of some words      12,345\n"
        "        that goes on and on\n"
        "second  short                          7"
    )


def test_a_table_that_fits_is_as_wide_as_its_cells() -> None:
    assert table(ROWS[1:], ["name", "documents"], 80) == "name    documents\nsecond          7"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_wider(width: int) -> None:
    rows = [{"url": "http://host.example/" + "a" * 200, "why": "many words " * 20, "docs": 3}]
    assert max(map(len, table(rows, ["url", "why", "docs"], width).splitlines())) <= width


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal_width() == 72
    monkeypatch.delenv("COLUMNS")
    assert terminal_width() == WIDTH


def test_values_inside_a_line() -> None:
    assert told({"bands": 450, "verify": False, "marks": [{"signal": "words", "max": 0.5}]}) == (
        "bands 450, verify no, marks ((signal words, max 0.5))"
    )
    assert told(["en", "zh"]) == "en zh" and told(None) == "none" and told({}) == ""
