"""Prose told from code, formulas and addresses, by the marks in a piece of text: in any language, in two microseconds.

Code and addresses have marks that prose has seldom: braces, operators, underscores, names joined by points or by a
capital, brackets that follow a name at once. A piece is prose where it has `LETTERS` letters or more to each mark. A
character of Chinese or Japanese counts `IDEOGRAPH` letters, as it says as much.
"""

import re
import string
from typing import Final

LETTERS, LEAST, IDEOGRAPH = 15, 20, 3
_SINGLE: Final = rb"{}[]=<>_;\|$#@&*+^~/`%"
_JOINED: Final = re.compile(r"[.(:A-Z](?:(?<=\w\()(?=[\w)])|(?<=\w\.)(?=[^\W\d])|(?<=[\"']:)|(?<=[a-z][A-Z]))")
# Of UTF-8: what is no letter of ASCII and not the first byte of a character beyond it; and all but the first byte of
# one from U+3000 on.
_NO_LETTERS: Final = bytes({*range(0xC0)} - set(string.ascii_letters.encode()))
_NO_IDEOGRAPHS: Final = bytes({*range(256)} - {*range(0xE3, 0xF0)})


def is_prose(piece: str) -> bool:
    """Whether a short piece of a text reads like sentences or titles; one of fewer than `LEAST` letters does not."""
    raw = piece.encode("utf-8", "replace")
    letters = len(raw.translate(None, _NO_LETTERS)) + (IDEOGRAPH - 1) * len(raw.translate(None, _NO_IDEOGRAPHS))
    marks = len(raw) - len(raw.translate(None, _SINGLE))
    if letters < max(LEAST, LETTERS * marks):
        return False
    return letters >= LETTERS * (marks + len(_JOINED.findall(piece)))
