"""Which elements of a page a reader sees, and where white space is text, as far as the page itself says so.

Three sources count, the later over the earlier: what browsers do with an element or attribute (`hidden`, a closed
`dialog`) and class names that mean the same everywhere (`sr-only`, `whitespace-pre`); rules of the page's own `style`
elements whose selector is one class or id (`.note`, `p.note`); the `style` attribute, also where it moves the element
off the page or clips all of it. Selectors of several parts hide nothing here; but a name that one of them, or a rule
for some screens, shows again is taken as shown: menus, tabs, slides that open.

Everything is linear in the length of what is read. `pipeline/extract/blocks.py` applies it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.extract.markup import Tag, attributes

# What is said of an element: of each group one bit, or none. `!important` sets the bit eight places higher.
GONE: Final = 1  # display: none
BOX: Final = 2  # display: any other
UNSEEN: Final = 4  # visibility: hidden
SEEN: Final = 8  # visibility: visible
SPACES: Final = 16  # white-space: pre
LINES: Final = 32  # white-space: pre-line
FLOWS: Final = 64  # white-space: normal
ASIDE: Final = 128  # beside the text, whatever is believed of the page: readings, fallbacks
_SPACE: Final = SPACES | LINES | FLOWS
_GROUPS: Final = (GONE | BOX, UNSEEN | SEEN, _SPACE)
_IMPORTANT: Final = 8
_LOW: Final = (1 << _IMPORTANT) - 1
# A copy of other text, perhaps: aria-hidden.
COPY: Final = 1 << 16
_HIDING: Final = (GONE | UNSEEN) << _IMPORTANT | GONE | UNSEEN
_TOLD_APART: Final = _HIDING | (SPACES | LINES) << _IMPORTANT | SPACES | LINES
_SHOWING: Final = (BOX | SEEN) << _IMPORTANT | BOX | SEEN

# fmt: off
_VALUES: Final = {
    "display": {"none": GONE, "": BOX},
    "visibility": {"hidden": UNSEEN, "collapse": UNSEEN, "visible": SEEN},
    "content-visibility": {"hidden": GONE},
    "white-space": {
        "pre": SPACES, "pre-wrap": SPACES, "break-spaces": SPACES, "pre-line": LINES, "normal": FLOWS, "nowrap": FLOWS,
        "preserve": SPACES, "preserve-breaks": LINES, "collapse": FLOWS,  # CSS Text 4
    },
}
_VALUES["white-space-collapse"] = _VALUES["white-space"]
_CLASSES: Final = {
    # for screen readers alone: Bootstrap, Tailwind, WordPress, Drupal, HTML5 Boilerplate, Foundation, Salesforce
    **dict.fromkeys((
        "sr-only", "visually-hidden", "visually-hidden-focusable", "visuallyhidden", "screen-reader-text",
        "screen-reader-only", "element-invisible", "show-for-sr", "a11y-hidden", "assistive-text",
    ), GONE),
    # Tailwind, Primer, GitHub's code, editors
    **dict.fromkeys((
        "whitespace-pre", "whitespace-pre-wrap", "ws-pre", "ws-pre-wrap", "text-pre", "text-pre-wrap",
        "blob-code-inner", "react-code-text", "react-file-line", "CodeMirror-line", "cm-line", "ace_line", "view-line",
    ), SPACES),
    "whitespace-pre-line": LINES,
}
# fmt: on
# Design systems put a name of theirs before these.
_PREFIXABLE: Final = ("sr-only", "visually-hidden", "assistive-text")
_PREFIXED: Final = re.compile(rf"[a-z0-9]+-(?=(?:{'|'.join(_PREFIXABLE)})\Z)")
# A main container that a style hides is one that a script will show.
_MAIN: Final = frozenset({"main", "content", "app", "root", "page", "wrapper", "container", "__next", "__nuxt"})
# Elements that say something by themselves. audio, canvas and the like show what they hold to browsers that lack them.
_ELEMENTS: Final = {
    **dict.fromkeys(("pre", "listing"), SPACES),
    **dict.fromkeys(("rt", "rp", "rtc"), ASIDE),
    **dict.fromkeys(("audio", "canvas", "video", "progress", "meter"), ASIDE),
    "dialog": GONE,
    "main": 0,
}
TELLING: Final = frozenset(_ELEMENTS)
# Words of classes and styles that say something.
TELLING_WORDS: Final = """display visibility white whitespace sr visually visuallyhidden screen invisible ws pre blob
    react mirror cm ace view assistive y clip indent absolute fixed"""

_DECLARATION = re.compile(
    r"(?:^|[;\s{])((?:content-)?visibility|display|white-space(?:-collapse)?)\s*+:\s*+([a-z-]++)[^;!]*+(!\s*+important)?",
    re.I,
)
# Moved off the page by so many pixels that no slide is so wide, or clipped to nothing: for screen readers alone.
_MOVED: Final = re.compile(
    r"(?<![\w-])(?:(?:margin-)?(?:left|top)|right|bottom|text-indent)\s*+:\s*+-(?:[0-9]{4,}+(?:px)?|[0-9]{3,}+(?:r?em|vw|vh))(?![\w.])",
    re.I,
)
_CLIPPED: Final = re.compile(
    r"clip\s*+:\s*+rect\(\s*+[01](?:px)?(?:[\s,]++[01](?:px)?){3}\s*+\)"
    r"|clip-path\s*+:\s*+(?:inset\(\s*+(?:50|100)%\s*+\)|circle\(\s*+0(?![\d.]))",
    re.I,
)
# What a reader opens by a click is text of the page: panels of tabs, accordions, slides.
_OPENED: Final = re.compile(
    r"(?<![a-z])(?:tabs?|tab-?(?:panel|content|pane)|panel|pane|collaps\w*|accordion|slides?|carousel|swiper|slick|toggle"
    r"|expand\w*|spoiler|faq|answer|read-?more)(?![a-z])",
    re.IGNORECASE,
)
_FORMULA = re.compile("math|mjx|katex", re.I)
# Comments, and what HTML's look like in a style sheet, which browsers pass over.
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_CAPITALS = re.compile(r"DISPLAY|VISIBILITY|(?<=:)\s{0,4}(?:NONE|HIDDEN)")
# The page before a style element is searched so many times at most for what it names.
_MOST_CHECKS: Final = 8
_MOST_SEARCHES: Final = 100
# So many words are found one by one in less time than by an expression.
_MOST_FINDS: Final = 12
_WORD = re.compile(r"[\w-]+")
# For more names, which would make a slow expression, they count as found.
_MOST_NAMES: Final = 100
# Each begins with the letters that a search looks for, which is several times faster than one expression for all.
_TOLD: Final = (
    re.compile(r"display\s*+:\s*+none"),
    re.compile(r"visibility\s*+:\s*+(?:hidden|collapse)"),
    re.compile(r"white-space(?:-collapse)?\s*+:\s*+(?:pre|break)"),
)
# At-rules that hold on every screen; of the features that `@supports` asks for, browsers have what pages use.
_EVERYWHERE: Final = re.compile(r"@media\s++(?:only\s++)?(?:all|screen)\s*+(?:,|\Z)|@layer\b|@supports\b(?!\s*+not\b)")

_RULE = re.compile(r"([^{}]*+)([{}])")
# One class or id, perhaps of elements of one name.
_PLAIN_SELECTOR = re.compile(r"[a-z]?[a-z0-9]*+[.#][\w-]++\Z")
_NAME = re.compile(r"[.#][\w-]++")


def _without_comments(css: str) -> str:
    """The same with a blank for each comment. A search for what most sheets have alone is several times faster."""
    if "<!--" in css or "-->" in css:
        return _COMMENT.sub(" ", css)
    return _CSS_COMMENT.sub(" ", css) if "/*" in css else css


def declared(style: str) -> int:
    """What declarations (of a `style` attribute or between braces) say, the last of each property."""
    found = 0
    if ":" not in style:
        return 0
    for name, value, important in _DECLARATION.findall(_without_comments(style)):
        values = _VALUES[name.lower()]
        bit = values.get(value.lower(), values.get("", 0))
        group = next((group for group in _GROUPS if bit & group), 0)
        shift = _IMPORTANT if important else 0
        found = found & ~(group << shift) | bit << shift
    return found


def _over(below: int, above: int) -> int:
    """What holds if `above` is declared later than `below`."""
    if not above or not below:
        return above or below
    for group in (*_GROUPS, *(group << _IMPORTANT for group in _GROUPS)):
        if above & group:
            below = below & ~group | above & group
    return below


class Sheet(dict[str, int]):
    """What the page's own style elements say of `.class` and `#id`, and of those of one element (`p.class`).

    `named`: whether it has any of the latter. `words` are those of them, without their signs, that are hidden, or whose
    white space is text, and that the page uses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: set[str] = set()
        self.named = False
        self._shown: set[str] = set()  # names that a rule of another kind shows
        self._used: set[str] = set()  # names that another place of the page has, known by a search
        self._checks = self._searches = 0
        self._may_say: dict[str, bool] = {}  # of the insides of tags, which pages repeat

    def read(self, html: str, style: Tag) -> bool:
        """Add a style element of a page. Returns whether what it says is of an element before it, perhaps."""
        css = html[style.content : style.end]
        if "DISPLAY" in css or "VISIBILITY" in css:
            css = _CAPITALS.sub(lambda found: found[0].lower(), css)
        names = _told_names(_COMMENT.sub(" ", css) if "<!--" in css else css)
        if not self and not any(self._is_used(html, style, name) for name in names):
            return False
        tag = html[style.start : style.content].lower()
        if "print" in tag or ("type" in tag and _other_type(tag)):
            return False
        changed = {name for name in self.add(css) if self._is_used(html, style, name)}
        self.words |= changed
        self._may_say.clear()
        if not changed or self._checks > _MOST_CHECKS or len(changed) > _MOST_NAMES:
            return bool(changed)
        self._checks += 1
        places = re.compile(rf"""[\s"'=](?:{"|".join(map(re.escape, sorted(changed)))})[\s"'>]""")
        return places.search(html, 0, style.start) is not None

    def may_say(self, inside: str) -> bool:
        """Whether the inside of a tag holds one of the `words`, perhaps within other words."""
        known = self._may_say.get(inside)
        if known is None:
            known = self._may_say[inside] = self._has_word(inside)
        return known

    def _has_word(self, inside: str) -> bool:
        if len(self.words) > _MOST_FINDS:
            return not self.words.isdisjoint(_WORD.findall(inside))
        for word in self.words:  # noqa: SIM110 (a generator takes twice the time)
            if word in inside:
                return True
        return False

    def _is_used(self, html: str, style: Tag, name: str) -> bool:
        """Whether a name occurs anywhere else on the page; taken for granted after some searches."""
        self._searches += 1
        if name in self._used or self._searches > _MOST_SEARCHES:
            return True
        is_used = html.find(name, style.end) >= 0 or html.find(name, 0, style.start) >= 0
        if is_used:
            self._used.add(name)
        return is_used

    def add(self, css: str) -> set[str]:
        """Add the rules of a style sheet. Returns the `words` of which it says something else than what was known."""
        before: dict[str, int] = {}
        for selectors, declarations, everywhere in _rules(_without_comments(css)):
            said = declared(declarations)
            for selector in selectors.split(",") if said else ():
                plain = selector.strip()
                is_plain = everywhere and _PLAIN_SELECTOR.match(plain)
                if is_plain:
                    before.setdefault(plain, self.get(plain, 0))
                    self[plain] = _over(self.get(plain, 0), said)
                    self.named |= plain[0] not in ".#"
                if said & _SHOWING and not (is_plain and plain[0] in ".#"):
                    # of several parts the last is the element itself
                    shown = _NAME.findall(re.split(r"[\s>+~]", plain)[-1])
                    self._shown.update(shown)
                    before |= {name: self[name] for name in shown if name in self and name not in before}
                    if self.named:
                        before |= {name: self[name] for name in self if _bare(name) in shown and name not in before}
        changed = set()
        for name, known in before.items():
            if _bare(name) in self._shown:
                self[name] &= ~_HIDING
            if (self[name] ^ known) & _TOLD_APART:
                changed.add(_bare(name)[1:])
        return changed


def _other_type(tag: str) -> bool:
    """Whether a style element is in another language than CSS, which no browser reads."""
    return attributes(tag[len("<style") :]).get("type", "").strip() not in ("", "text/css")


def _told_names(css: str) -> set[str]:
    """The classes and ids that rules hide, or keep the white space of, and that are all of a selector."""
    read = 0
    names: set[str] = set()
    for place in sorted(found.start() for told in _TOLD for found in told.finditer(css)):
        brace = css.rfind("{", read, place)
        if brace >= 0:
            begin = max(css.rfind(sign, read, brace) for sign in "{};/") + 1
            selectors = map(str.strip, css[max(begin, read) : brace].split(","))
            names.update(_bare(selector)[1:] for selector in selectors if _PLAIN_SELECTOR.match(selector))
            read = brace + 1
    return names


def _bare(selector: str) -> str:
    """A plain selector without the name of the element."""
    return selector if selector[0] in ".#" else selector[selector.index("." if "." in selector else "#") :]


def _rules(css: str) -> Iterator[tuple[str, str, bool]]:
    """Selectors and declarations of each rule that may say something, and whether it holds on all screens; none of
    rules for print."""
    outer: list[str] = []  # what stands before each open brace
    in_print = 0
    for text, brace in _RULE.findall(css + "{"):  # a last brace, lest all that follows one is tried again and again
        if brace == "{":
            outer.append(text)
            in_print += "@" in text and _is_for_print(_prelude(text))
        elif outer:
            before = outer.pop()
            in_print -= "@" in before and _is_for_print(_prelude(before))
            if not in_print and ("display" in text or "visib" in text or "white-" in text):
                prelude = _prelude(before)
                if not prelude.startswith("@"):
                    yield prelude, text, all(_EVERYWHERE.match(_prelude(each)) for each in outer)


def _prelude(text: str) -> str:
    """What stands before a brace, behind what ended before; that of an at-rule in lower case."""
    last = text.rpartition(";")[2].strip()
    return last.lower() if "@" in text else last


def _is_for_print(prelude: str) -> bool:
    return prelude.startswith("@media") and "print" in prelude and "screen" not in prelude


class Told(NamedTuple):
    """What an element's attributes say: `by_default` under the page's own rules, `by_style` over them.

    `names` are its classes and id as selectors, `main` whether it is a main container.
    """

    by_default: int
    by_style: int
    names: tuple[str, ...]
    main: bool

    @property
    def alone(self) -> int:
        """All together where the page has no rules of its own; the bits that hold."""
        return self._holding(self.by_default)

    def under(self, sheet: Sheet, element: str) -> int:
        """All together, with the rules of the page, for an element of this name; the bits that hold."""
        said = self.by_default
        for name in self.names:
            if name in sheet:
                said = _over(said, sheet[name])
            if sheet.named and element + name in sheet:
                said = _over(said, sheet[element + name])
        return self._holding(said)

    def _holding(self, below: int) -> int:
        said = _over(below, self.by_style)
        if said >> _IMPORTANT & _LOW:
            said = _over(said, said >> _IMPORTANT & _LOW)
        said &= _LOW | COPY
        return said & ~_HIDING if self.main else said


@lru_cache(maxsize=1 << 12)
def tell(inside: str) -> Told:
    """Reads the inside of a tag, after its name."""
    found = attributes(inside)
    classes = found.get("class", "").split()
    id_ = found.get("id", "").strip()
    said = 0
    if found.get("hidden", "until-found").strip().lower() != "until-found" or "popover" in found:
        # what React streams is hidden until a script moves it to its place
        said = 0 if id_.startswith("S:") else GONE
    if "not-sr-only" not in classes:
        for each in classes:
            told = _CLASSES.get(each, 0)
            if not told and each.endswith(_PREFIXABLE):
                told = _CLASSES.get(_PREFIXED.sub("", each), 0)
            said = _over(said, told) if told else said
    if found.get("aria-hidden", "").lower() == "true":
        said |= COPY
    style = found.get("style", "")
    by_style = declared(style)
    if ("-" in style or "(" in style) and (_MOVED.search(style) or _CLIPPED.search(style)):
        by_style |= GONE
    if (said | by_style) & _HIDING:
        words = f"{found.get('class', '')} {id_} {found.get('role', '')}"
        # a formula in another form is read by `structure/formulas.py`; readers see it as a picture
        opened = found.get("height") == "0" or _OPENED.search(words)  # a panel that grows when it is opened
        if _FORMULA.search(words) or (opened and "navbar" not in words):
            said &= ~_HIDING
            by_style &= ~_HIDING
    names = (*(f".{each}" for each in classes), *((f"#{id_}",) if id_ else ()))
    main = found.get("role", "").lower() == "main" or id_.lower() in _MAIN
    return Told(said, by_style, names, main)


def may_tell(inside: str) -> bool:
    """Whether the inside of a tag has one of the attributes that say something by being there."""
    low = inside.lower()
    return "hidden" in low or "popover" in low


def told_by_name(name: str, said: int, inside: str) -> int:
    """What an element of `TELLING` says, its attributes included: `said` is what these say."""
    if name == "main":
        return said & ~_HIDING
    if name == "dialog" and (said & BOX or "open" in attributes(inside)):
        return said
    own = _ELEMENTS[name]
    return said if own & _SPACE and said & _SPACE else own | said


def inherit(outer: int, said: int) -> int:
    """The state inside an element that says `said`, in an element of state `outer`; bits as above."""
    for group in _GROUPS[1:]:
        if said & group:
            outer = outer & ~group | said & group
    return outer | said & (GONE | ASIDE)
