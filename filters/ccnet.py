"""CCNet's two normalisations of a line, and the hash it knows paragraphs by (Wenzek et al. 2019, arXiv 1911.00359;
cc_net/text_normalizer.py and dedup.py).

For deduplication, ASCII punctuation and accents stay (although the paper says that accents are removed); for language
models, accents go and East Asian and typographic punctuation becomes ASCII. "Paragraph" is CCNet's word for a line.
"""

import hashlib
import unicodedata
from functools import lru_cache

from filters.characters import CCNET_PUNCTUATION
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


def normalize_for_dedup(line: str) -> str:
    """Strips, lowers, turns digits (of any script) into 0, deletes control characters and the marks of
    CCNET_PUNCTUATION."""
    return _zero_digits(line.strip().lower()).translate(_deletions())


def normalize_for_language_model(line: str) -> str:
    """What CCNet feeds to SentencePiece and KenLM: strips, lowers, strips accents (NFD without category Mn), turns
    digits into 0 and marks into ASCII, deletes control characters."""
    lower = line.strip().lower()
    if not lower.isascii():
        decomposed = unicodedata.normalize("NFD", lower)
        lower = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return _zero_digits(lower).translate(_replacements())


def paragraph_hash(line: str) -> bytes:
    """The first 8 bytes of the SHA-1 of the line normalised for deduplication; lone surrogates hash as they stand."""
    return hashlib.sha1(normalize_for_dedup(line).encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:8]


def _zero_digits(text: str) -> str:
    """CCNet's `\\d` -> 0: every decimal digit of Unicode."""
    if text.isascii():
        return text.translate(_ascii_digits())
    return "".join("0" if char.isdecimal() else char for char in text)


@lru_cache(maxsize=1)
def _ascii_digits() -> dict[int, str]:
    return dict.fromkeys(map(ord, "123456789"), "0")


@lru_cache(maxsize=1)
def _deletions() -> dict[int, None]:
    return dict.fromkeys([*_CONTROLS, *map(ord, CCNET_PUNCTUATION)])


@lru_cache(maxsize=1)
def _replacements() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys(_CONTROLS)
    table.update({ord(mark): ascii_mark for ascii_mark, marks in _ASCII.items() for mark in marks})
    return table


EDITS: tuple[tuple[str, Edit], ...] = (("ccnet_body", body),)
