"""CCNet's selection of lines from a page, and its normalisation of a line for language models: accents removed, East
Asian and typographic punctuation to ASCII (Wenzek et al. 2019, arXiv 1911.00359; cc_net/text_normalizer.py).

Its other normalisation, for the deduplication of lines, is in dedup/paragraphs.py.
"""

import unicodedata

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
_ASCII_DIGITS = str.maketrans("123456789", "000000000")


def body(text: str) -> tuple[str, int]:
    """Returns the non-blank lines, stripped, without the first, which in a WET record is the page's title
    (cc_net/process_wet_file.py), and the number of lines removed. Not idempotent: each call removes a first line."""
    lines = text.split("\n")
    kept = [stripped for line in lines if (stripped := line.strip())][1:]
    return "\n".join(kept), len(lines) - len(kept)


def normalize_for_language_model(line: str) -> str:
    """Normalises a line for SentencePiece and KenLM as CCNet does: strips, lowers, strips accents (NFD without category
    Mn), turns digits into 0 and marks into ASCII, deletes control characters."""
    lower = line.strip().lower()
    if not lower.isascii():
        decomposed = unicodedata.normalize("NFD", lower)
        lower = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return _zero_digits(lower).translate(_REPLACEMENTS)


def _zero_digits(text: str) -> str:
    """Replaces every decimal digit of Unicode by 0, as CCNet's `\\d` -> 0 does."""
    if text.isascii():
        return text.translate(_ASCII_DIGITS)
    return "".join("0" if char.isdecimal() else char for char in text)


EDITS: tuple[tuple[str, Edit], ...] = (("ccnet_body", body),)
