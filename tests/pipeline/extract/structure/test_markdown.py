"""Lists, headings and paragraphs as light Markdown; time and form on hostile pages."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.markdown import without_marks
from pipeline.extract.block_model import main_text
from pipeline.extract.blocks import blocks
from pipeline.extract.structure.markdown import fill_tables, markdown, plain
from pipeline.extract.structure.marks import ALL
from pipeline.extract.text import tidy_markdown
from tests.filters.words import words_of
from tests.pipeline.extract.structure.support import as_markdown


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>A</h1><p>b<h3>C <a href=#c>¶</a></h3>d<br>e", "# A\n\nb\n\n### C\n\nd\ne"),
        ("<h2>A<br>B</h2>", "## A B"),
        ("<div role=heading aria-level=3>A</div><p>b<div role='heading'>C</div>", "### A\n\nb\n\n## C"),
        ("<div class=heading>A</div><p>b<div role=headings>C</div>", "A\n\nb\n\nC"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", "- a\n- b\n  - c\n- d\n\ne"),
        ("<ol><li>a<li value=9>b<li>c<li data-value=2>d</ol>", "1. a\n9. b\n10. c\n11. d"),
        ("<ul><li value=9>a</ul>", "- a"),
        ("<ol start=3><li>a<li>b<ol><li>c</ol></ol>", "3. a\n4. b\n   1. c"),
        ("<ol><li><p>a</p><p>b</p></li><li>c</ol>", "1. a\n\n   b\n2. c"),
        ("<ul><li><ul><li>a</ul></ul>", "- a"),
        ("<ul><li><h2>A</h2><p>b</p></li><li><h2>C</h2><p>d</p></li></ul>", "## A\n\nb\n\n## C\n\nd"),
        ("<ul><li>a<pre>x = 1</pre>b</ul>", "- a\n\n```\nx = 1\n```\n\n  b"),
        ("<li>a<li>b", "- a\n- b"),
        ("<h2>Use<span class='mw-editsection'>[<a>edit</a>]</span></h2>", "## Use"),
        (f"<h2>{'long ' * 60}</h2>", ("long " * 60).strip()),
        ("<table><tr><td><ul><li>a</ul><td>b</table>", "- a\n\nb"),
        ("", ""),
    ],
)
def test_lists_and_headings(html: str, text: str) -> None:
    assert as_markdown(html) == text


PIECES = [
    "<ul>", "</ul>", "<ol>", "<li>", "</li>", "<h2>", "</h2>", "<table>", "<tr>", "<td>", "<th>", "</table>", "<pre>",
    "</pre>", "<code>", "</code>", "<br>", "<p>", "<div>", "</div>", "<math>", "</math>", "<mi>x</mi>", "<caption>",
    "<span class='lineno'>", "<span class=katex>", "<span class=katex-html>", "</span>",
    "<div class=syntaxhighlighter>", "<table class=highlight>", "<td rowspan=3>", "<th colspan=2>", "<button>", "<dt>",
    "<img class=tex alt='x^2'>",
    "<script type='math/tex'>x</script>", "one two ", "3 4", "\\(a\\)", "$$b$$", "```", "| c |", "- d", "# e", "\x01",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_page_comes_out_tidy_without_marks_and_the_same_again(html: str) -> None:
    main = main_text(html)
    for text in (main.markdown, main.plain):
        assert tidy_markdown(text) == text and not set(text) & set(ALL)
    assert main_text(html).markdown == main.markdown
    assert all(0 <= share <= 1 for share in main.shares)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(
    ["<p>one two", "<h2>three</h2>", "<ul><li>four<li>five</ul>", "<pre>six = 7</pre>", "<p>eight <code>nine</code>",
     "<table><tr><th>a<th>b<tr><td>c<td>d</table>", "<br>ten", "<ol><li>x<ol><li>y</ol></ol>"]
), max_size=12).map("".join))  # fmt: skip
def test_without_its_marks_it_is_the_plain_text(html: str) -> None:
    page = blocks(html)
    fill_tables(page)
    keep = [True] * len(page)
    assert words_of(without_marks(markdown(page, keep))) == words_of(plain(page, keep))


HOSTILE = {
    "cells": "<table><tr><th>a<th>b" + "<tr><td>x<td>x" * 25_000,
    "columns": "<table><tr>" + "<td>x" * 50_000,
    "row spans": "<table>" + "<td rowspan=1000>x" * 60 + "<tr><td>y" * 30_000,
    "nested tables": "<table><tr><td>x" * 1_400,
    "endless pre": "<pre>" + "int x = 1;\n" * 200_000,
    "lines in code": "<code>a<br>" * 50_000,
    "lines of code": "<code>a b</code><br>" * 30_000,
    "open code": "<code>a b" * 50_000,
    "items": "<ol>" + "<li>x" * 40_000,
    "nested items": "<ul><li>x" * 1_400,
    "open formulas": "<math>" * 100_000,
    "deep formula": "<p><math>" + "<msup><mi>x</mi>" * 20_000 + "</math>",
    "no formula": "<p><math>" + "<" * 500_000 + "</math>",
    "annotations": "<p><math>" + "<annotation encoding=" * 50_000 + "</math>",
    "delimiters": "<p>" + "\\(x\\)[$$\\begin{align}" * 40_000,
    "katex": "<span class=katex>" * 1_400 + "<span class='katex-html'>x" * 10_000,
    "images": "<p>" + "<img class=tex alt='x^2'>" * 30_000,
    "a long image": "<p><img " + "class=" * 200_000 + ">",
    "fences": "<pre>" + "```\n" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_take_linear_time(name: str) -> None:
    started = time.process_time()
    main = main_text(HOSTILE[name])
    assert len(main.markdown) < 2 * len(HOSTILE[name]) + 100_000
    assert time.process_time() - started < 5
