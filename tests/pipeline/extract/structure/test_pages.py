"""Pages in the markup of real highlighters, renderers and tables come out as the Markdown written beside them."""

import pytest

from benchmarks.structure_pages.pages import WrittenPage, written_pages
from filters.markdown import without_marks
from pipeline.extract.block_model import main_text
from tests.filters.words import words_of

PAGES = list(written_pages())


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_comes_out_as_its_markdown(page: WrittenPage) -> None:
    assert main_text(page.html).markdown == page.markdown.strip()


# In plain text the tags of a forum around a formula are text.
TAGLESS = [page for page in PAGES if page.name != "formulas/bbcode-tex"]


@pytest.mark.parametrize("page", TAGLESS, ids=[page.name for page in TAGLESS])
def test_its_marks_can_be_taken_out(page: WrittenPage) -> None:
    main = main_text(page.html)
    assert words_of(without_marks(main.markdown)) == words_of(main.plain)


def test_there_are_enough_kinds() -> None:
    kinds = [page.kind for page in PAGES]
    assert len(PAGES) >= 60 and all(kinds.count(kind) >= 14 for kind in ("code", "formulas", "tables"))


@pytest.mark.parametrize(
    ("name", "part"), [("code/github-blob", "code"), ("tables/thead", "table"), ("formulas/katex", "formula")]
)
def test_shares_say_what_a_page_holds(name: str, part: str) -> None:
    (page,) = (page for page in PAGES if page.name == name)
    shares = main_text(page.html).shares
    assert getattr(shares, part) > 0.1
    assert [value for field, value in shares._asdict().items() if field != part] == [0, 0]
