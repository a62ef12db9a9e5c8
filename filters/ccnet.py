"""CCNet's selection of lines from a page, and its normalisation of a line for language models: accents removed, East
Asian and typographic punctuation to ASCII (Wenzek et al. 2019, arXiv 1911.00359; cc_net/text_normalizer.py).

Its other normalisation, for the deduplication of lines, is in dedup/paragraphs.py.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from filters.alphanumeric import others_of
from filters.edits import Edit

# Replacements for the language model. CCNet also lists "１" among the quotes, but digits have become 0 by then.
_ASCII = {
    '"': "„”“«»１」「《》",
    "'": "´’",
    ",": "，、",
    ".": "。",
    ". ": "．",
    "...": "…",
    ":": "∶：",
    ";": "；",
    "?": "？",
    "!": "！",
    "(": "（",
    ")": "）",
    "<": "〈",
    ">": "〉",
    "[": "【",
    "]": "】",
    "%": "％",
    "~": "～",
    "-": "–━►",
    " - ": "—",
}
_CONTROLS = [*range(32), *range(127, 160)]
_REPLACEMENTS: dict[int, str | None] = {
    **dict.fromkeys(_CONTROLS),
    **{ord(mark): ascii_mark for ascii_mark, marks in _ASCII.items() for mark in marks},
}
# Of the bytes of UTF-8, those of ASCII alone: digits become 0; line ends part what is normalised together.
_DIGIT_BYTES = bytes.maketrans(b"123456789", b"000000000")
_CONTROL_BYTES = bytes({*range(32), 127} - {10})


def body(text: str) -> tuple[str, int]:
    """Returns the non-blank lines, stripped, without the first, which in a WET record is the page's title
    (cc_net/process_wet_file.py), and the number of lines removed. Not idempotent: each call removes a first line."""
    lines = text.split("\n")
    kept = [stripped for line in lines if (stripped := line.strip())][1:]
    return "\n".join(kept), len(lines) - len(kept)


def normalize_for_language_model(line: str) -> str:
    """Normalises a line for SentencePiece and KenLM as CCNet does: strips, lowers, strips accents (NFD without category
    Mn), turns digits into 0 and marks into ASCII, deletes control characters."""
    return normalized_lines([line.replace("\n", "\r")])[0]


def normalized_lines(lines: Iterable[str]) -> list[str]:
    """Each of the lines, which hold no line end inside, likewise; all at once, in a third of the time."""
    text = "\n".join(map(str.strip, lines)).lower()
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
        # a few characters make up what is not ASCII: each is looked up once
        for char in others_of(text):
            meant = _meant(char)
            if meant != char:
                text = text.replace(char, meant)
    utf8 = text.encode("utf-8", "surrogatepass").translate(_DIGIT_BYTES, _CONTROL_BYTES)
    return utf8.decode("utf-8", "surrogatepass").split("\n")


@lru_cache(maxsize=1 << 12)
def _meant(char: str) -> str:
    """What a decomposed character that is not ASCII becomes."""
    if unicodedata.category(char) == "Mn":
        return ""
    return "0" if char.isdecimal() else char.translate(_REPLACEMENTS)


EDITS: tuple[tuple[str, Edit], ...] = (("ccnet_body", body),)
