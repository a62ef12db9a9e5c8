"""What is known of a piece of a page's text.

The elements around a block tell main text from the rest better than its words do. So a block records the tags around
it, the kinds that the class names around it indicate, its container and its path; `block_features.py` turns these into
numbers.
"""

from typing import Final, NamedTuple

from pipeline.extract.structure import outline
from pipeline.extract.structure.outline import Frame

TOP: Final = Frame(outline.ROOT, None)


class Block(NamedTuple):
    """`marks`: bits of TAGS, then of KINDS, of all elements around it; `near`: bits of KINDS of the nearest two.

    `container` numbers the elements that hold lines, and `path` the paths of tags and first class names: blocks made by
    one template share a path. `depth` counts the open elements; `cell`: it is a cell of a table, but not the first of
    its row.

    `frame` is the innermost element that gives it a form; `marked` the text with the marks of `structure/marks.py`
    where it has any, else the same; `soft`: a `<br>` alone parts it from the text before.

    `run` numbers the runs of elements made alike: three or more of one path in one container; 0: it is in none. `told`:
    the page's data for search engines have its text, too.
    """

    text: str
    link_characters: int
    marks: int
    near: int
    container: int
    path: int
    depth: int
    tag: str
    cell: bool
    frame: Frame = TOP
    marked: str = ""
    soft: bool = False
    run: int = 0
    told: bool = False
