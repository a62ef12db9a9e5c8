"""What the elements around a block say of it: their tags, and the kinds that their names indicate.

The names are the words in `class`, `id`, `role`, `itemprop`, `itemtype` and `style`. Other words in them only ask for
a closer look: at the form of what follows (`structure/outline.py`), at whether it is seen (`visibility.py`).
"""

import re
from functools import lru_cache
from typing import Final

from pipeline.extract.element_ends import RAW, VOID
from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN
from pipeline.extract.structure import outline, posts
from pipeline.extract.structure.code import HINTS as CODE_HINTS
from pipeline.extract.visibility import TELLING, TELLING_WORDS, tell

# Tags that may be around a block; one bit for each.
# fmt: off
TAGS: Final = (
    "nav", "header", "footer", "aside", "article", "main", "li", "table", "a", "heading", "p", "blockquote", "pre",
    "form", "button", "dl", "figure", "section",
)
_TAG_OF: Final = {
    **{name: name for name in TAGS},
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    "menu": "nav", "select": "button", "option": "button", "label": "form", "code": "pre", "figcaption": "figure",
}
# Kinds of element, by the words in their `class`, `id`, `role` and `itemprop`: words that more than a dozen of 1,000
# sites use and that tell main text from the rest, sorted by hand.
KINDS: Final[dict[str, str]] = {
    "menu": """nav navigation menu menubar menuitem submenu megamenu mega subnav topnav navbar leftnav dropdown flyout
        drawer breadcrumb breadcrumbs crumbs pagination pager prev previous skip tabs burger hierarchy sections""",
    "frame": """footer foot contentinfo colophon header masthead banner branding logo hdr head topbar toolbar copyright
        legal ft top bottom""",
    "beside": """sidebar aside complementary rail widget widgets widgettitle textwidget blogroll rightcol side
        secondary tertiary sb module""",
    "more": """related popular recent most latest trending recommend recommended also archive archives category
        categories tagcloud tags taxonomy linkcat hot headlines promo teaser carousel slider swiper slide featured links
        link xoxo stories more topics community videos ticker ad ads advert advertisement sponsored outbrain taboola""",
    "ask": """subscribe subscription newsletter login signup signin sign register account consent cookie cookies privacy
        terms modal popup dialog overlay tooltip form input fields field gform postform commentform search button
        buttons btn cta toggle close notice error options validation cart""",
    "share": "share sharing social facebook twitter tweet follow email print sharedaddy rss feed feeds addthis connect",
    "talk": """comment comments commentlist commentmetadata respond replies reply disqus dsq discussion children guest
        bypostauthor byuser""",
    "about": """byline author authors bio avatar meta metadata info date time timestamp credit caption badge vcard
        profile signature username user member stats rating published updated posted count views source day year""",
    "body": """article articlebody articletext articlecontent content entry post postcontent hentry story storybody body
        bodytext text textblock maintext copy prose richtext rich paragraph wysiwyg blog detail details intro lead""",
    "message": "message messages msg postbody posts answer answers question quote forum forums topic thread",
    "hidden": "none hidden visually sr hide invisible nocontent offscreen",
    "goods": """product products price shop store shipping review reviews sku description desc summary spec specs
        feature""",
    "row": """list item items listitem listing listings card cards grid tile result results row odd even teaser
        collection""",
    "recipe": """recipe recipes ingredient ingredients instruction instructions directions method preparation step steps
        nutrition wprm tasty hrecipe howto""",
    "main": "main page single primary center middle column maincontent",
}
# fmt: on
MESSAGE: Final = 1 << [*KINDS].index("message")
_KIND_WORDS: Final = {
    word: sum(1 << i for i, words in enumerate(KINDS.values()) if word in words.split())
    for words in KINDS.values()
    for word in words.split()
}
# A class name that may give the element a form: what follows reads its attributes.
HINT: Final = 1 << len(KINDS)
for _word in CODE_HINTS | outline.FORMULA_HINTS | outline.OTHER_HINTS | posts.HINTS:
    _KIND_WORDS[_word] = _KIND_WORDS.get(_word, 0) | HINT
# A word that may say whether the element is seen, or that its white space is text.
_TELLS: Final = HINT << 1
for _word in TELLING_WORDS.split():
    _KIND_WORDS[_word] = _KIND_WORDS.get(_word, 0) | _TELLS

# Block elements that are lines of a container, not containers.
_LINES: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "br", "hr", "li", "pre", "blockquote", "dd", "dt", "td", "th", "tr"}
)
_CONTAINERS: Final = BLOCK - _LINES
CELLS: Final = frozenset({"td", "th"})
_BREAKS: Final = BLOCK | CELLS | {"noscript"}
MATH: Final = frozenset({"math", "m:math", "mml:math"})
SKIPPED: Final = (UNSEEN - {"noscript"}) | SHOWN_RAW | MATH
KIND_SHIFT: Final = len(TAGS)
SPARE: Final = 1 << (len(TAGS) + len(KINDS))  # inside <noscript>
# What a name says of its element, looked up once for each tag: these bits, and above them its bit of TAGS or SPARE.
IS_SKIPPED, IS_EMPTY, IS_BREAK, IS_CONTAINER, IS_FORMED, IS_TELLING, IS_NAMELESS, MAY_REPEAT = (
    1 << bit for bit in range(8)
)
TAG_SHIFT: Final = 8
_SETS: Final = {
    IS_SKIPPED: SKIPPED | {"img"},
    IS_EMPTY: VOID | RAW | {""},
    IS_BREAK: _BREAKS,
    IS_CONTAINER: _CONTAINERS,
    IS_FORMED: outline.NAMED,
    IS_TELLING: TELLING,
    IS_NAMELESS: frozenset({"body", "html"}),  # names of these are about the whole page
    MAY_REPEAT: _CONTAINERS | {"li", "tr", "dd", "a"},
}
TRAITS: Final = {
    name: sum(bit for bit, names in _SETS.items() if name in names)
    | (SPARE if name == "noscript" else 1 << TAGS.index(_TAG_OF[name]) if name in _TAG_OF else 0) << TAG_SHIFT
    for name in {*_TAG_OF, *frozenset[str]().union(*_SETS.values())}
}

# The attributes read for names. A search for "=" that looks back at what is before it takes half the time of one for
# the names; where blanks are between the two, the other expression does.
_VALUE: Final = r"""\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++))"""
_BEFORE_VALUE: Final = "|".join(
    rf"""(?<=[\s"'/]{"".join(f"[{letter}{letter.upper()}]" for letter in name)}=)"""
    for name in ("class", "id", "style", "role", "itemprop", "itemtype")
)
_NAMES = re.compile(rf"=(?<=[despDESP\s]=)(?:{_BEFORE_VALUE}|(?<=\s(=))){_VALUE}")
_NAMES_IN_LOWER_CASE = re.compile(rf"""(?<=[\s"'/])(?:class|id|style|role|item(?:prop|type))\s*+={_VALUE}""")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME_WORD = re.compile(r"[a-z]+")
# Longer values are style sheets written into an attribute; the rest of them is ignored.
_NAME_CHARACTERS: Final = 400


def named(inside: str) -> tuple[int, str, int]:
    """What the inside of a tag, after its name, says: the bits of its kinds, and HINT; the first of its names; what it
    shows, as `visibility.tell` has it."""
    lowered = inside.lower()
    if len(lowered) != len(inside):
        inside = lowered
    bits, first = 0, ""
    for blank, double, single, bare in _NAMES.findall(inside):
        if blank:
            bits, first = _with_blanks(inside, lowered)
            break
        names = double or single or bare
        if len(names) > _NAME_CHARACTERS:
            names = names[:_NAME_CHARACTERS]
        first = first or names.partition(" ")[0]
        bits |= _kinds_of(names)
    if bits & _TELLS or "hidden" in lowered or "popover" in lowered:
        return bits & ~_TELLS, first, tell(inside).alone
    return bits, first, 0


def _with_blanks(inside: str, lowered: str) -> tuple[int, str]:
    """The bits and the first of the names where blanks stand before "="."""
    bits, first = 0, ""
    for found in _NAMES_IN_LOWER_CASE.finditer(lowered):
        names = inside[slice(*found.span(found.lastindex or 1))][:_NAME_CHARACTERS]
        first = first or names.partition(" ")[0]
        bits |= _kinds_of(names)
    return bits, first


@lru_cache(maxsize=1 << 14)
def _kinds_of(names: str) -> int:
    """The bits of the kinds that names indicate."""
    bits = 0
    for word in _NAME_WORD.findall(names if names.islower() else _HUMP.sub(" ", names).lower()):
        bits |= _KIND_WORDS.get(word, 0)
    return bits
