"""A page as a list of blocks: the pieces of text between tags that break lines, and the place of each in the page.

What a block records is in `block.py`, how it is read in `block_reader.py`.
"""

import re
from typing import Final

from pipeline.extract.block import Block
from pipeline.extract.block_kinds import SPARE
from pipeline.extract.block_reader import BlockReader
from pipeline.extract.shadow import composed
from pipeline.extract.structure.marks import unmarked
from pipeline.extract.visibility import Sheet

# What a page of frames shows to those who have none.
_NO_FRAMES: Final = re.compile(r"<noframes[^>]*+>((?:[^<]++|<(?!/noframes))*+)", re.IGNORECASE)
# What can show a reader what a page hides at first.
_SCRIPTED: Final = re.compile(r"<script|\son[a-z]{3,20}\s*+=|javascript:", re.IGNORECASE)
# A page that shows less is not meant to be shown so, with scripts or without.
_MIN_SHOWN: Final = 20


def blocks(html: str) -> list[Block]:
    """The blocks of a page that have text, in order: what a reader of the page sees, as far as the page says it.

    Blocks inside `<noscript>` are left out unless they hold more than half of the text: some forums are rendered by
    scripts and put their posts there for crawlers. Those of `<noframes>` are all that a page of frames has. Where more
    than half of the text is said to be hidden, and the page has scripts, these will show it, and nothing counts as
    hidden; nor where nothing would be left.
    """
    html = composed(unmarked(html))
    sheet = Sheet()
    reader = BlockReader(html, sheet)
    found = reader.read()
    if reader.late:
        reader = BlockReader(html, sheet, whole=True)
        found = reader.read()
    found = _without_noscript(found)
    shown = sum(len(block.text) for block in found)
    if reader.hidden > shown and (shown < _MIN_SHOWN or _SCRIPTED.search(html)):
        found = _without_noscript(BlockReader(html, None).read())
    if not found and (spare := _NO_FRAMES.search(html)) is not None:
        found = BlockReader(spare[1], None).read()
    return found


def _without_noscript(found: list[Block]) -> list[Block]:
    spare = [bool(block.marks & SPARE) for block in found]
    spared = sum(len(block.text) for block, without in zip(found, spare) if without)
    if 0 < spared <= sum(len(block.text) for block in found) / 2:
        return [block for block, without in zip(found, spare) if not without]
    return found
