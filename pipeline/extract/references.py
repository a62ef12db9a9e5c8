"""Character references of HTML (`&eacute;`, `&#233;`), resolved as the HTML standard says (13.2.5.72 to 13.2.5.80)."""

import re
from functools import lru_cache
from html.entities import html5
from typing import Final

_REFERENCE = re.compile(r"&(?:#(?:[xX]([0-9a-fA-F]++)|([0-9]++));?+|([a-zA-Z][a-zA-Z0-9]{1,31}+;?+))")
_ANY_REFERENCE = re.compile(r"(&(?:#(?:[xX][0-9a-fA-F]++|[0-9]++);?+|[a-zA-Z][a-zA-Z0-9]{1,31}+;?+))")
# Those of fewer characters are kept with what they stand for: most are few.
_SHORT: Final = 16
# No character has a number of more digits, zeros in front apart; Python refuses to read one of more than 4,300.
_MOST_DIGITS: Final = 7
_REPLACEMENT: Final = "\ufffd"
# The numbers 0x80 to 0x9f are read as bytes of windows-1252, where that has a character.
_WINDOWS: Final = {
    number: bytes([number]).decode("cp1252")
    for number in range(0x80, 0xA0)
    if number not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def characters(raw: str) -> str:
    """`raw` with its character references resolved. A number that is no character becomes U+FFFD."""
    if "&" not in raw:
        return raw
    pieces = _ANY_REFERENCE.split(raw)  # text and references by turns: less time than a call for each of them
    pieces[1::2] = [_known(each) if len(each) < _SHORT else _text_of(each) for each in pieces[1::2]]
    return "".join(pieces)


def characters_of_value(raw: str) -> str:
    """The same for the value of an attribute: a name without a semicolon is none before "=", a letter or a digit, as
    in an address."""
    return _REFERENCE.sub(_resolved_in_value, raw) if "&" in raw else raw


def _resolved_in_value(found: re.Match[str]) -> str:
    name = found[3]
    if name is None or name.endswith(";"):
        return _resolved(found) if name is None or name in html5 else found[0]
    is_whole = name in html5 and not found.string.startswith("=", found.end())
    return html5[name] if is_whole else found[0]


def _text_of(reference: str) -> str:
    found = _REFERENCE.fullmatch(reference)
    assert found is not None
    return _resolved(found)


_known = lru_cache(maxsize=1 << 12)(_text_of)


def _resolved(found: re.Match[str]) -> str:
    hexadecimal, decimal, name = found.groups()
    if name is not None:
        return _named(name)
    digits = (hexadecimal or decimal).lstrip("0")
    number = int(digits or "0", 16 if hexadecimal else 10) if len(digits) <= _MOST_DIGITS else 0
    if number in _WINDOWS:
        return _WINDOWS[number]
    if not 0 < number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return _REPLACEMENT
    return chr(number)


def _named(name: str) -> str:
    """The characters of a name, or of the longest name that it begins with: some need no semicolon."""
    if name in html5:
        return html5[name]
    for length in range(len(name) - 1, 1, -1):
        if name[:length] in html5:
            return html5[name[:length]] + name[length:]
    return "&" + name
