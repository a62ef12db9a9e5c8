"""`blocks`: the blocks of a page that a small network (`pipeline/extract/block_model.py`) classifies as main text."""

from dataclasses import dataclass

from pipeline.extract.block_model import main_text
from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.json_ld import from_data
from pipeline.extract.text import Extracted, page_title


@dataclass(frozen=True)
class BlocksOptions:
    markdown: bool = False
    """Code, tables, lists, headings and formulas as light Markdown; without it a line for each block."""


def blocks(html: str, url: str, options: BlocksOptions) -> Extracted:  # noqa: ARG001
    """The main text. Uses no parser; linear in the length of the page."""
    main = main_text(html)
    if found := from_data(html, main.page):
        return found
    return Extracted(main.markdown if options.markdown else main.plain, page_title(html), main.shares)


# sandboxed for its memory: its arrays have 135 numbers for each block
EXTRACTOR = Extractor("blocks", blocks, BlocksOptions, sandboxed=True, caps="all", shares=True)
