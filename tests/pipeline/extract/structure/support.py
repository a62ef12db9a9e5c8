"""What tests of structure have in common."""

from pipeline.extract.blocks import blocks
from pipeline.extract.structure.markdown import fill_tables, markdown


def as_markdown(html: str) -> str:
    """All blocks of a page as light Markdown."""
    page = blocks(html)
    fill_tables(page)
    return markdown(page, [True] * len(page))
