"""What small elements inside a line show: pictures of emoji and smileys, and raised numbers."""

import re
from html import escape
from typing import Final

from pipeline.extract.markup import attributes
from pipeline.extract.references import characters

_EMOJI_CLASS: Final = re.compile(r"(?<![a-z])(?:emoji|emoticon|smil(?:ey|ie)s?|twemoji)(?![a-z])", re.IGNORECASE)
_MOST_CHARACTERS: Final = 32
_NUMBER: Final = re.compile(r"[+\-\u2212\u2013]?[0-9]{1,4}")
_RAISED: Final = str.maketrans("0123456789+-\u2212\u2013", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻")


def emoji_of(tag: str) -> str:
    """What the picture of an emoji stands for (`😀`, `:)`, `:smile:`), as source text; "" for any other picture."""
    if "emo" not in tag and "smil" not in tag:
        return ""
    found = attributes(tag[len("<img") :].rstrip("/>"))
    alt = found.get("alt", "").strip()
    if not _EMOJI_CLASS.search(found.get("class", "")) or len(alt) > _MOST_CHARACTERS or " " in alt:
        return ""
    if alt.isascii() and alt.isalpha():  # a name of the picture
        return ""
    return escape(alt, quote=False)


def raised(raw: str) -> str:
    """The text of a `<sup>`: a number in raised digits, so that 10<sup>6</sup> is not 106; anything else unchanged."""
    text = characters(raw)
    return text.translate(_RAISED) if _NUMBER.fullmatch(text.strip()) else raw
