"""What a tag does as its text alone tells it, read once for all tags that are written alike: most of a page's are."""

import re
from functools import lru_cache
from typing import Final

from pipeline.extract.block_kinds import (
    CELLS,
    HINT,
    IS_BREAK,
    IS_EMPTY,
    IS_FORMED,
    IS_NAMELESS,
    IS_SKIPPED,
    IS_TELLING,
    KIND_SHIFT,
    SPARE,
    TAG_SHIFT,
    TRAITS,
    named,
)
from pipeline.extract.element_ends import WS
from pipeline.extract.inline import emoji_of
from pipeline.extract.markup import ENDED_BY
from pipeline.extract.structure import code, formulas, outline, posts

# What a tag does: NOTHING; a BREAK of the line and no more; an IMAGE that stands for text; the END of an element (which
# ends nothing if no such element can be open); the START of an ordinary one, of one FORMED by its name, of an ODD one.
NOTHING, BREAK, IMAGE, END, START, FORMED, ODD = range(7)
# How it breaks the line, if it does: as most do, or as a cell or a `<br>`.
PLAINLY, IN_ROW = 1, 2

# What it does; its name; how it breaks the line (0: it does not); the open elements that its start ends. The rest is of
# a start: its traits (`block_kinds.py`); the bits for Block.marks; the bits of its own kinds, and HINT; its first name;
# what it shows; the inside of the tag, behind its name, "" if nothing can be in it.
TagFacts = tuple[int, str, int, frozenset[str], int, int, int, str, int, str]

_NAME = re.compile(rf"<(/?)([a-zA-Z][^{WS}/>]*+)")
_TAG_CHARACTERS: Final = 2000
_ENDS: Final = {
    name: frozenset(each for each, by in ENDED_BY.items() if name in by)
    for name in frozenset[str]().union(*ENDED_BY.values())
}
_ENDS_NOTHING: Final = frozenset[str]()
# Tags of more characters are hardly written twice.
_MOST_CHARACTERS: Final = 256
_MOST_TAGS: Final = 1 << 14
_NOTHING: Final[TagFacts] = (NOTHING, "", 0, _ENDS_NOTHING, 0, 0, 0, "", 0, "")
# The facts by the text of the tag, for all pages; emptied when it is full.
KNOWN: Final[dict[str, TagFacts]] = {}
# The same without attributes, by what is before them: `<p`, `</p`.
_BARE: Final[dict[str, TagFacts]] = {"<!--": _NOTHING}


def facts_of(tag: str) -> TagFacts:
    """The facts of a tag that is not in KNOWN, which then has them if it took time to find them."""
    bare = _BARE.get(tag.partition(" ")[0]) or _bare(tag)
    if bare[0] == NOTHING:
        return bare
    facts = _read(bare, tag)
    if len(tag) <= _MOST_CHARACTERS:
        if len(KNOWN) >= _MOST_TAGS:
            KNOWN.clear()
        KNOWN[tag] = facts
    return facts


def _read(bare: TagFacts, tag: str) -> TagFacts:
    does, name, breaks, ends, traits, marks, _, _, _, _ = bare
    if does < START:
        return bare if does != IMAGE or formulas.of_image(tag) or emoji_of(tag) else _NOTHING
    # a shorter tag than ` id=x` has no names
    if len(tag) <= len(name) + 6 or traits & IS_NAMELESS:
        return bare
    inside = tag[len(name) + 1 : _TAG_CHARACTERS]
    own, first, said = named(inside)
    if own:
        if own & HINT and not _is_hinted(traits, inside):
            own &= HINT - 1
        marks |= (own & (HINT - 1)) << KIND_SHIFT
    if own & HINT or said or (does == FORMED and (outline.may_be_code(name, inside) or formulas.is_rendered(inside))):
        does = ODD
    return does, name, breaks, ends, traits, marks, own, first, said, inside


def _bare(tag: str) -> TagFacts:
    """The facts of a tag without its attributes; of a comment, that it does nothing."""
    match = _NAME.match(tag)
    if match is None:
        return _NOTHING
    facts = _of_name(match[2].lower(), bool(match[1]))
    if match.end() < _MOST_CHARACTERS and len(_BARE) < _MOST_TAGS:
        _BARE[match[0]] = facts
    return facts


def _of_name(name: str, is_end: bool) -> TagFacts:
    traits = TRAITS.get(name, 0)
    if traits & IS_SKIPPED:
        return (IMAGE, *_NOTHING[1:])
    breaks = 0 if not traits & IS_BREAK else IN_ROW if name == "br" or name in CELLS else PLAINLY
    if traits & IS_EMPTY and not breaks:
        return _NOTHING
    marks = traits >> TAG_SHIFT
    if is_end:
        does = END
    elif traits & IS_EMPTY:
        does = BREAK
    elif (
        traits & IS_TELLING
        or marks & SPARE
        or name == "sup"
        or outline.may_be_code(name, "")
        or (not traits and "-" in name and name.endswith(posts.OWN_ELEMENTS))
    ):
        does = ODD
    else:
        does = FORMED if traits & IS_FORMED else START
    return does, name, breaks, _ENDS.get(name, _ENDS_NOTHING), traits, marks, 0, "", 0, ""


def _is_hinted(traits: int, inside: str) -> bool:
    """Whether more than its name gives an element a form, or its names say who spoke."""
    return (
        (not traits & IS_FORMED and outline.is_formed_by_class(inside))
        or formulas.is_rendered(inside)
        or posts.role(inside) != posts.Role()
    )


@lru_cache(maxsize=1 << 12)
def is_token(inside: str) -> bool:
    """Whether an ordinary element with this inside changes nothing in code: it is no line, gutter, tool or formula."""
    return not (
        "display" in inside
        or code.is_tool(inside)
        or code.is_gutter(inside)
        or code.language_of(inside, pre="lang=" in inside)
        or formulas.is_rendered(inside)
    )
