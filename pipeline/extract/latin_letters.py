"""Text of Central Europe, Turkey and the Baltic that was read as windows-1252: found by the letters that it became.

Each language below writes most of its letters with accents as bytes that windows-1252 reads as other letters: Turkish
`ğüzel şehir ışık` becomes `ðüzel þehir ýþýk`. No language of windows-1252 has these together and no others: Icelandic
has þ, ð and ý, but á, é and í at once; Portuguese has õ, but ã and ç. A page counts as one of these languages if it has
its letters often enough and hardly any that the language has not.
"""

import re
from collections import Counter
from typing import Final, NamedTuple

# The least letters with accents that are judged, and the largest share of them that a language may not have.
MIN_LETTERS: Final = 8
MAX_STRANGE: Final = 0.03

# Letters, and signs that stand at a letter, in small letters; the same in both. The first begins with one set of
# characters, which is searched for in a fraction of the time.
_LETTER = re.compile("[¹¾ºªµ»³¿±¶¼ßà-öø-ÿšžœ](?:(?<=[ßà-öø-ÿšžœ])|(?=[a-zà-ÿ])|(?<=[a-zà-ÿ].))")
_MEANT = re.compile(r"[¹¾ºª³¿±¶¼](?=[^\W\d_])|(?<=[^\W\d_])[¹¾ºª³¿±¶¼]|[À-ÖØ-öø-ÿŒœŸ]")


class _Language(NamedTuple):
    """`codec`: the charset that it is written in; `letters`: those that it has, as windows-1252 reads them;
    `needs`: groups of them, and how many of each group there must be at least."""

    codec: str
    letters: str
    needs: tuple[tuple[str, int], ...]


_LANGUAGES: Final = (
    _Language("cp1254", "ýðþüöçâîû", (("ý", 3), ("ðþ", 3))),  # Turkish ı, ğ, ş
    _Language("cp1250", "ºªþãâî", (("º", 3), ("þ", 2), ("ãâî", 4))),  # Romanian ş, ţ, ă
    _Language("cp1250", "áéíóúöüõûô", (("õ", 3), ("áé", 8), ("öüó", 3))),  # Hungarian ő, ű
    _Language("cp1250", "ìšèøžýáíéúùïòóö", (("ø", 2), ("ìè", 3), ("áí", 4), ("šž", 2))),  # Czech ř, ě, č
    _Language("iso8859-2", "ì¹èø¾ýáíéúùïòóö»", (("ø", 2), ("ìè", 3), ("áí", 4), ("¹¾", 2))),
    _Language("cp1250", "¾¼èšžýáíéúòïóôäåà", (("¾", 2), ("è", 2), ("áíý", 4), ("šž", 2))),  # Slovak ľ, č
    _Language("iso8859-2", "µ¹¾»èýáíéúòïóôäåà", (("¹¾", 3), ("è", 2), ("áíý", 4), ("µ»", 1))),
    _Language("cp1250", "èæšžð", (("è", 3), ("šž", 4))),  # Croatian, Serbian, Slovene č, ć, đ
    _Language("iso8859-2", "èæ¹¾ð", (("è", 3), ("¹¾", 4))),
    _Language("cp1250", "¹æê³ñóœÿ¿", (("³", 3), ("¹œ", 3), ("êæñó", 3))),  # Polish ł, ą, ś
    _Language("iso8859-2", "±æê³ñó¶¼¿", (("³", 3), ("±¶", 3), ("êæñó", 3))),
    _Language("cp1257", "àèæëáðøûþ", (("ë", 3), ("ð", 3), ("þ", 2))),  # Lithuanian ė, š, ž
    _Language("cp1257", "âèçìîíïòðûþ", (("â", 4), ("ð", 2), ("î", 2), ("ûþ", 1))),  # Latvian ā, š, ī
)


def right_latin(text: str) -> str | None:
    """The charset of a text that was read as windows-1252 and is in one of these languages; None if it is in none."""
    counts = Counter(_LETTER.findall(text.lower()))
    total = counts.total()
    if total < MIN_LETTERS:
        return None
    for codec, letters, needs in _LANGUAGES:
        if all(sum(counts[letter] for letter in group) >= least for group, least in needs):
            strange = total - sum(counts[letter] for letter in letters)
            if strange <= MAX_STRANGE * total:
                return codec
    return None


def with_letters(text: str, codec: str) -> str:
    """The text with the letters of a charset in place of those that windows-1252 made of them."""

    def meant(found: re.Match[str]) -> str:
        return found[0].encode("cp1252").decode(codec, "ignore") or found[0]

    return _MEANT.sub(meant, text)
