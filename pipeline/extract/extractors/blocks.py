"""`blocks`: the blocks of a page that a small network (`pipeline/extract/block_model.py`) classifies as main text."""

from pipeline.extract.block_model import main_text
from pipeline.extract.extractors.extractor import Extractor, NoOptions
from pipeline.extract.text import Extracted, page_title


def blocks(html: str, url: str, options: NoOptions) -> Extracted:  # noqa: ARG001
    """The main text, a line for each block. Uses no parser; linear in the length of the page."""
    return Extracted(main_text(html).text, page_title(html))


# sandboxed for its memory: its arrays have 135 numbers for each block
EXTRACTOR = Extractor("blocks", blocks, NoOptions, sandboxed=True, caps="all")
