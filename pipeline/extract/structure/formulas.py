"""Formulas of a page as TeX: of MathML, of scripts that MathJax reads, of images, and of delimiters in the text.

The TeX is as the page has it where the page has any (an annotation, `alttext`, an image's `alt`); else MathML is
converted (`mathml.py`). Functions that read markup return it with character references unresolved, as the page has it.
"""

import re
from html import escape
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from pipeline.extract.references import characters
from pipeline.extract.structure.marks import DISPLAY, DISPLAY_END, FORMULA, FORMULA_END
from pipeline.extract.structure.mathml import to_tex

# A longer one is taken for a page whose markup is broken.
MAX_TEX: Final = 20_000
# Tags are searched so far: values of more characters are data, not TeX.
TAG_CHARACTERS: Final = 4_000

_ANNOTATION = re.compile(
    r"""<(?:\w+:)?annotation\b[^<>]{0,200}?encoding\s*=\s*["']?[^"'<>]{0,40}\b(?:x-tex|latex|tex)\b"""
    r"""[^<>]{0,200}>([^<]*)<""",
    re.IGNORECASE,
)
_ALTTEXT = re.compile(r"""\balttext\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_IS_DISPLAY = re.compile(r"""\b(?:display\s*=\s*["']?block|mode\s*=\s*["']?display)""", re.IGNORECASE)
# Images of formulas, by class or address (WordPress, MediaWiki, CodeCogs, mimeTeX, MathTeX, Moodle, Zhihu, GitHub).
_IMAGE = re.compile(
    r"""(?:class\s*=\s*["']?[^"'>]{0,200}
      \b(?:latex|tex|texrender|mwe-math-fallback-image-(?:inline|display)|math|equation|formula)\b
    |src\s*=\s*["']?[^"'>\s]{0,200}(?:latex\.php|codecogs\.com/|mimetex|mathtex|tex\.cgi|/latex/render|chart\?cht=tx
    |/math/render/|/render/math\?|texer\.|quicklatex|equation\?tex=|math\.now\.sh|[?&;](?:math|tex|latex|formula)=))""",
    re.IGNORECASE | re.VERBOSE,
)
# What the tag of such an image holds; nearly all other images end their search here.
_MAYBE_IMAGE: Final = ("tex", "math", "equation", "formula", "codecogs", "cht=tx")
_SURE_IMAGE = re.compile(
    r"latex|tex\b|mwe-math|codecogs|mimetex|mathtex|/math/render/|/render/math\?|cht=tx|math\.now\.sh|[?&;]math=",
    re.IGNORECASE,
)
_ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_QUERY = re.compile(
    r"""\ssrc\s*=\s*["']?[^"'>\s?]{0,200}\?(?:[^"'>\s]{0,200}?\b(?:latex|chl|tex|math|formula|from)=)?([^"'>\s]+)""",
    re.IGNORECASE,
)
# Colours, sizes and the like behind the formula.
_OTHER_QUERY = re.compile(r"&(?:amp;)?(?:bg|fg|bgcolor|color|s|c|size|mode|inline|cht|chs|chf|chco)=.*")
_DATA_TEX = re.compile(
    r"""\bdata-(?:latex|tex|math|equation|formula|katex-expression|expr|original-text)\s*=\s*(?:"([^"]*)"|'([^']*)')""",
    re.IGNORECASE,
)
_DATA_MATHML = re.compile(r"""\bdata-mathml\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_LOOKS_LIKE_TEX = re.compile(r"[\\^_={}+<>|/$-]|^\S$|\d")
_COMMENT = re.compile(r"(?<!\\)%")
_DOLLAR = re.compile(r"(?<!\\)\$")
# What MediaWiki puts around every formula; it says nothing that the formula does not.
_STYLED = re.compile(r"\{\\(?:displaystyle|textstyle)(?![A-Za-z])\s*(.*)\}", re.DOTALL)
_BRACE = re.compile(r"\\.|([{}])", re.DOTALL)
# Delimiters in the text: what opens a formula, and what closes it.
_ENVIRONMENTS: Final = r"(?:equation|align|gather|multline|eqnarray|alignat|displaymath)\*?"
_DELIMITER = re.compile(
    rf"\\[()]|(?<!\\)\\[\[\]]|\[/?(?:i?tex|i?math|latex)\]|\$\$"
    rf"|(?<!\$)\\begin\{{{_ENVIRONMENTS}\}}|\\end\{{{_ENVIRONMENTS}\}}"
)
# The longest formula that is found between delimiters.
_MAX_DELIMITED: Final = 4_000
_INLINE_TAGS: Final = frozenset({"[itex]", "[imath]", "[math]"})
_MAY_BE_DELIMITED: Final = ("\\(", "\\[", "\\begin{", "tex]", "math]", "$$", "$\\")


# Elements in which MathJax shows a formula.
_RENDERED = re.compile(
    r"""\b(?:MathJax(?:_Preview|_Display|_SVG|_SVG_Display|_CHTML|_CHTML_Display)?|mjx-chtml|mjx-math|MJXc-display)"""
    r"""(?=[\s"'>]|\Z)"""
)


class Formula(NamedTuple):
    """`tex` as the page's markup has it, character references unresolved. `display`: it stands on its own line."""

    tex: str
    display: bool

    def marked(self) -> str:
        """The formula between its marks."""
        first, last = (DISPLAY, DISPLAY_END) if self.display else (FORMULA, FORMULA_END)
        return f"{first}{self.tex}{last}"


def of_mathml(tag: str, content: str) -> Formula | None:
    """The formula of a `math` element: its TeX annotation, else its `alttext`, else its markup in TeX."""
    found = _ANNOTATION.search(content)
    alternative = None if found else _ALTTEXT.search(tag[: MAX_TEX + TAG_CHARACTERS])
    if found:
        tex = found[1]
    elif alternative:
        tex = alternative[1] or alternative[2] or ""
    else:
        tex = escape(to_tex(content), quote=False)
    return _formula(tex, bool(_IS_DISPLAY.search(tag)))


def of_script(tag: str, content: str) -> Formula | None:
    """The formula of a `script` element that MathJax reads; None for other scripts."""
    kind = tag.lower()
    if "math/tex" in kind or "math/latex" in kind:
        return _formula(content, bool(_IS_DISPLAY.search(tag)))
    if "math/mml" in kind:
        return of_mathml(*_split_math(content))
    return None


def of_image(tag: str) -> Formula | None:
    """The formula of an `img` tag that shows one: its alternative text, else what its address asks a renderer for."""
    tag = tag[:TAG_CHARACTERS]
    lowered = tag.lower()
    if not any(map(lowered.__contains__, _MAYBE_IMAGE)) or not _IMAGE.search(tag):
        return None
    found = _ALT.search(tag)
    tex = (found[1] or found[2] or "") if found else ""
    if not tex.strip() and (query := _QUERY.search(tag)):
        tex = escape(unquote_plus(characters(_OTHER_QUERY.sub("", query[1]))), quote=False)
    if not _LOOKS_LIKE_TEX.search(tex) or not (_SURE_IMAGE.search(tag) or "\\" in tex):
        return None
    display = any(word in lowered for word in ("image-display", "latex-display", "latexdisplay", "latexblock"))
    return _formula(tex, display)


def is_rendered(attributes: str) -> bool:
    """Whether an element with these attributes shows a formula as many pieces of text, as MathJax does."""
    if "data-" in attributes and _DATA_TEX.search(attributes):
        return True
    may_be = "MathJax" in attributes or "mjx-" in attributes or "MJXc" in attributes
    return may_be and bool(_RENDERED.search(attributes))


def of_attributes(tag: str) -> Formula | None:
    """The formula that an element of a renderer carries in an attribute."""
    tag = tag[: MAX_TEX + TAG_CHARACTERS]
    found = _DATA_TEX.search(tag)
    if found:
        return _formula(found[1] or found[2] or "", "display" in tag.lower())
    found = _DATA_MATHML.search(tag)
    if found:
        return of_mathml(*_split_math(characters(found[1] or found[2] or "")))
    return None


def mark_delimited(text: str) -> str:
    r"""Marks the formulas that stand in the text itself, as MathJax finds them: `\(…\)`, `\[…\]`, `[tex]…[/tex]`,
    `$$…$$` and bare environments. `$…$` is left as it is: it may be two prices. Linear: one pass."""
    if not any(sign in text for sign in _MAY_BE_DELIMITED):
        return text
    pieces: list[str] = []
    taken = 0
    opened: re.Match[str] | None = None
    for found in _DELIMITER.finditer(text):
        sign = found[0]
        if opened is not None and sign == _closes(opened[0]) and found.start() - opened.end() <= _MAX_DELIMITED:
            formula = _between(text, opened, found)
            if formula is not None:
                pieces += [text[taken : opened.start()], formula.marked()]
                taken = found.end()
            opened = None
        elif _closes(sign) and (opened is None or sign == opened[0] or found.start() - opened.end() > _MAX_DELIMITED):
            opened = found
    return "".join([*pieces, text[taken:]])


def _closes(sign: str) -> str:
    """The delimiter that ends what this one begins; "" if it begins nothing."""
    if sign in ("\\(", "\\["):
        return "\\)" if sign == "\\(" else "\\]"
    if sign.startswith("\\begin"):
        return "\\end" + sign[len("\\begin") :]
    if sign.startswith("[") and sign[1] != "/":
        return "[/" + sign[1:]
    return "$$" if sign == "$$" else ""


def _between(text: str, first: re.Match[str], last: re.Match[str]) -> Formula | None:
    if first[0].startswith("\\begin"):
        return _formula(text[first.start() : last.end()], True)
    return _formula(text[first.end() : last.start()], first[0] != "\\(" and first[0] not in _INLINE_TAGS)


def _split_math(markup: str) -> tuple[str, str]:
    tag, more, content = markup.partition(">")
    return tag + more, content


def _formula(tex: str, display: bool) -> Formula | None:
    r"""None if there is none. Line ends become blanks, but where a comment of TeX would swallow what follows."""
    tex = tex.strip()
    if not tex or len(tex) > MAX_TEX:
        return None
    for first, last, shown in (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False), ("$", "$", False)):
        if len(tex) > len(first + last) and tex.startswith(first) and tex.endswith(last):
            tex, display = tex[len(first) : -len(last)].strip(), display or shown
            break
    styled = _STYLED.fullmatch(tex)
    if styled and _is_balanced(styled[1]):
        tex = styled[1]
    if _COMMENT.search(tex):
        tex = "\n".join(_COMMENT.split(line)[0].rstrip() for line in tex.split("\n"))
    tex = " ".join(_DOLLAR.sub("", tex).split())
    return Formula(tex, display) if tex else None


def _is_balanced(tex: str) -> bool:
    """Whether every brace has its other one."""
    depth = 0
    for found in _BRACE.finditer(tex):
        depth += {"{": 1, "}": -1}.get(found[1], 0)
        if depth < 0:
            return False
    return depth == 0
