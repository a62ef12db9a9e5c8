r"""The runs of letters and digits of a text, as the expression `[^\W_]+` finds them, in less time.

Most texts have few kinds of characters beside ASCII. Of these, what is no letter or digit becomes a space, and the
bytes of the UTF-8 are split, where all bytes from 0x80 on are parts of letters.
"""

import re
from collections.abc import Set
from typing import Final

RUN: Final = re.compile(r"[^\W_]+")
_ASCII: Final = bytes(range(128))
# Of UTF-8, all but the first bytes of characters that may be Han.
_NO_HAN: Final = bytes({*range(256)} - {*range(0xE3, 0xEA), 0xEF})
# With more kinds of characters outside ASCII, the expression takes less time.
_MOST_OTHERS: Final = 100


def _table(zero_digits: bool) -> bytes:
    kept = bytearray(b" " * 128 + bytes(range(128, 256)))
    for byte in range(128):
        if chr(byte).isalnum():
            kept[byte] = ord("0") if zero_digits and chr(byte).isdigit() else byte
    return bytes(kept)


_AS_THEY_ARE, _ZERO_DIGITS = _table(False), _table(True)


def others_of(text: str) -> set[str]:
    """The characters of a text that are not ASCII."""
    utf8 = text.encode("utf-8", "surrogatepass")
    return set() if len(utf8) == len(text) else set(utf8.translate(None, _ASCII).decode("utf-8", "surrogatepass"))


def may_have_han(text: str) -> bool:
    """False for a text without a character of U+3000 to U+9FFF or U+F000 to U+FFFF."""
    return not text.isascii() and bool(text.encode("utf-8", "surrogatepass").translate(None, _NO_HAN))


def alphanumeric_runs(text: str, zero_digits: bool = False, others: Set[str] | None = None) -> list[str]:
    """The runs, in order. `zero_digits`: with digits of ASCII as 0. `others`: the characters of the text that are not
    ASCII, and perhaps some more, if they are known."""
    if others is None:
        others = others_of(text)
    if len(others) > _MOST_OTHERS and not zero_digits:
        return RUN.findall(text)
    return alphanumeric_bytes(text, zero_digits, others).decode().split()


def alphanumeric_bytes(text: str, zero_digits: bool = False, others: Set[str] | None = None) -> bytes:
    """The same as UTF-8, with spaces between the runs."""
    if others is None:
        others = others_of(text)
    if len(others) > _MOST_OTHERS:
        text = " ".join(RUN.findall(text))
    else:
        for char in others:
            if not char.isalnum():
                text = text.replace(char, " ")
    return text.encode().translate(_ZERO_DIGITS if zero_digits else _AS_THEY_ARE)
