"""`blocks`: the blocks of a page that a small network classifies as main text."""

from dataclasses import dataclass

from pipeline.extract.block_model import main_text
from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.text import Extracted, page_title


@dataclass(frozen=True)
class BlocksOptions:
    """It has none: the weights decide (`pipeline/extract/block_model.py`)."""


def blocks(html: str, url: str, options: BlocksOptions) -> Extracted:  # noqa: ARG001
    """The main text, a line for each block. Uses no parser; linear in the length of the page."""
    return Extracted(main_text(html).text, page_title(html))


# sandboxed for its memory: its arrays have 135 numbers for each block
EXTRACTOR = Extractor("blocks", blocks, BlocksOptions, sandboxed=True, caps="all")
