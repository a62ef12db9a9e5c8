"""What CCNet takes of a page, and its normalisation of a line for language models: accents go, and East Asian and
typographic punctuation becomes ASCII (Wenzek et al. 2019, arXiv 1911.00359; cc_net/text_normalizer.py).

Its other normalisation, of the lines that it deduplicates, is in dedup/paragraphs.py.
"""

import unicodedata
from functools import lru_cache

from filters.edits import Edit

# What each mark becomes for the language model. "１" is among the quotes in CCNet too, but digits become 0 before it.
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


def body(text: str) -> tuple[str, int]:
    """What CCNet takes of a WET record (cc_net/process_wet_file.py): the lines that are not blank, stripped, but for
    the first, which is the page's title and no content. Counts the lines that went. Each call takes a first line."""
    lines = text.split("\n")
    kept = [stripped for line in lines if (stripped := line.strip())][1:]
    return "\n".join(kept), len(lines) - len(kept)


def normalize_for_language_model(line: str) -> str:
    """What CCNet feeds to SentencePiece and KenLM: strips, lowers, strips accents (NFD without category Mn), turns
    digits into 0 and marks into ASCII, deletes control characters."""
    lower = line.strip().lower()
    if not lower.isascii():
        decomposed = unicodedata.normalize("NFD", lower)
        lower = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return _zero_digits(lower).translate(_replacements())


def _zero_digits(text: str) -> str:
    """CCNet's `\\d` -> 0: every decimal digit of Unicode."""
    if text.isascii():
        return text.translate(_ascii_digits())
    return "".join("0" if char.isdecimal() else char for char in text)


@lru_cache(maxsize=1)
def _ascii_digits() -> dict[int, str]:
    return dict.fromkeys(map(ord, "123456789"), "0")


@lru_cache(maxsize=1)
def _replacements() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys(_CONTROLS)
    table.update({ord(mark): ascii_mark for ascii_mark, marks in _ASCII.items() for mark in marks})
    return table


EDITS: tuple[tuple[str, Edit], ...] = (("ccnet_body", body),)
