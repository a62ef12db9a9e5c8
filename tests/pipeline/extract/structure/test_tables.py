"""Tables: which hold data, and their rows and columns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.blocks import blocks
from pipeline.extract.structure.markdown import fill_tables, wholes
from pipeline.extract.structure.tables import MAX_COLUMNS, HtmlTable, pipe_table
from tests.pipeline.extract.structure.support import as_markdown

LONG = "This cell holds a paragraph of an article, as pages were laid out before there were style sheets. " * 8


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("<table><tr><td>a<td>b<tr><td>1<td>2<tr><td>3<td></table>", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |  |"),
        ("<table><tr><th colspan=2>a<th>b<tr><td>1<td>2<td>3</table>", "| a |  | b |\n|---|---|---|\n| 1 | 2 | 3 |"),
        ("<table><tr><td rowspan=2>a<td>b<tr><td>c</table>", "a b\n\nc"),
        ("<table><tr><td>a|b<td>c<tr><td>d<td>e</table>", "| a\\|b | c |\n|---|---|\n| d | e |"),
        ("<table><tr><td>a<br>b<td>c<tr><td>d<td>e</table>", "| a b | c |\n|---|---|\n| d | e |"),
        ("<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>", "a b\n\nc d"),
        ("<table><tr><td>a<tr><td>b</table>", "a\n\nb"),
        ("<table><tr><td>a<td>b</table>", "a b"),
        (f"<table><tr><td>a<td>{LONG}<tr><td>b<td>c</table>", f"a {LONG.strip()}\n\nb c"),
        (
            "<table><tr><td>x<table><tr><th>a<th>b<tr><td>1<td>2</table></table>",
            "x\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        ),
        ("<td>a</td><p>b", "a\n\nb"),
    ],
)
def test_tables_of_data_are_pipe_tables_and_layout_is_not(html: str, text: str) -> None:
    assert as_markdown(html) == text


def test_cells_under_a_row_span_keep_their_columns() -> None:
    table = HtmlTable("")
    table.start_row()
    assert [table.start_cell(attributes, False) for attributes in ("rowspan=2", 'colspan="2"', "")] == [
        (0, 0), (0, 1), (0, 3)
    ]  # fmt: skip
    table.start_row()
    assert table.start_cell("", True) == (1, 1)
    table.start_row()
    assert table.start_cell("", False) == (2, 0) and table.headers == 1


def test_a_table_of_too_many_columns_is_layout() -> None:
    table = HtmlTable("")
    table.start_row()
    for _ in range(MAX_COLUMNS + 1):
        table.start_cell("", True)
    table.sizes = {(row, column): 1 for row in (0, 1) for column in (0, 1)}
    assert table.wide and not table.is_data


def test_a_table_of_data_is_kept_as_a_whole() -> None:
    page = blocks("<p>x<table><tr><th>a<th>b<tr><td>1<td>2</table><table><tr><td>c</table>")
    fill_tables(page)
    assert wholes(page) == [0, 1, 1, 1, 1, 5]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.text("ab| \\", max_size=3)), max_size=20))
def test_every_row_of_a_pipe_table_has_the_same_columns(cells: list[tuple[int, int, str]]) -> None:
    lines = pipe_table(cells).replace("\\|", "").split("\n")
    assert len({line.count("|") for line in lines}) == 1
