"""What tests of structure have in common."""

from collections.abc import Iterable

from pipeline.extract.blocks import blocks
from pipeline.extract.structure.markdown import fill_tables, markdown, plain


def as_markdown(html: str) -> str:
    """All blocks of a page as light Markdown."""
    page = blocks(html)
    fill_tables(page)
    return markdown(page, [True] * len(page))


def kept_texts(html: str, wanted: Iterable[str]) -> tuple[str, str]:
    """The Markdown and the plain text of the blocks that hold one of the wanted texts."""
    page = blocks(html)
    fill_tables(page)
    keep = [any(text in block.text for text in wanted) for block in page]
    return markdown(page, keep), plain(page, keep)
