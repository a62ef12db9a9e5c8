"""Shingles: a text as a set of hashed word 5-grams, the basis of near-duplicate detection.

Normalisation, in this order: NFC; lower case, one character to one; invisible characters (soft hyphens, zero-width
joiners, variation selectors) are ignored; everything but letters, marks and digits separates words. Digits are kept, so
pages that differ in a number differ.

Scripts without spaces have no words to count, so their characters count instead: an ideograph or kana as one word, a
letter of Thai, Lao, Khmer, Burmese and related scripts as a third of one (an ideograph carries about as much as a word,
such a letter as much as a letter). The rule goes by character, not by document, so texts of mixed scripts need no
threshold, and two versions of a text are cut the same way. Cutting Chinese at spaces and punctuation instead would make
whole sentences the words, and one changed character would change five sentences.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

from dedup import kernels
from dedup.tables import Hashes, distinct

NGRAM = 5

_SURROGATES = 0xD800, 0xE000
_LAST = 0x110000
_IDEOGRAPHS = "".join(rf"\p{{Script={name}}}" for name in ("Han", "Hiragana", "Katakana", "Bopomofo")) + "ーｰ〆"
_LETTERS = "".join(
    rf"\p{{Script={name}}}"
    for name in (
        *("Thai", "Lao", "Khmer", "Myanmar", "Javanese", "Balinese"),
        *("Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet"),
    )
)


def shingles(text: str, ngram: int = NGRAM) -> Hashes:
    """The distinct 64-bit hashes of the shingles of `text`, sorted.

    A text of fewer than `ngram` words has one shingle, the whole. A text without letters and digits has none, and is
    no near-duplicate.
    """
    return distinct(shingle_sequence(text, ngram))


def shingle_sequence(text: str, ngram: int = NGRAM) -> Hashes:
    """The hashes of the shingles of `text` in order, with repetitions, which is enough for a signature.

    Memory: about 13 bytes per byte of UTF-8.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    return kernels.shingle_sequences(data, np.array([0, data.size]), character_codes(), ngram, True)[0]


@cache
def character_codes() -> npt.NDArray[np.uint32]:
    """What the kernels know of each of the 0x110000 code points, uint32: bits as `kernels` has them."""
    characters = _all_characters()
    codes = np.arange(_LAST, dtype=np.uint32)
    for match in regex.finditer(r"[\p{Lu}\p{Lt}]", characters):
        codes[ord(match[0])] = ord(match[0].lower()[0])
    kinds = np.full(_LAST, kernels.SEPARATOR, np.uint32)
    # later patterns override earlier ones
    for pattern, kind in (
        (r"[\p{L}\p{M}\p{N}]+", kernels.WORD),
        (rf"(?V1)[[{_IDEOGRAPHS}]&&[\p{{L}}\p{{M}}\p{{N}}]]+", kernels.IDEOGRAPH),
        (rf"(?V1)[[{_LETTERS}]&&[\p{{L}}\p{{M}}\p{{N}}]]+", kernels.LETTER),
        (r"\p{Default_Ignorable_Code_Point}+", kernels.IGNORED),
    ):
        for match in regex.finditer(pattern, characters):
            kinds[ord(match[0][0]) : ord(match[0][-1]) + 1] = kind
    # a match that spans the gap left by the surrogates has set their kind too
    kinds[slice(*_SURROGATES)] = kernels.SEPARATOR
    classes, unsure = _normalisation()
    for bits, at in ((classes, kernels.CLASS_AT), (unsure, kernels.UNSURE_AT), (kinds, kernels.KIND_AT)):
        codes |= bits << np.uint32(at)
    return codes


def _normalisation() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Of each code point the rank of its combining class, and whether NFC may change it or join it to one before it:
    NFC_Quick_Check of UAX 15 is not Yes. Derived from the normalisation itself, so of the same version of Unicode."""
    points = np.arange(_LAST)
    combining = np.array([unicodedata.combining(chr(point)) for point in points.tolist()], np.uint32)
    unsure = np.zeros(_LAST, np.uint32)
    unsure[0x1161:0x1176] = unsure[0x11A8:0x11C3] = 1  # the vowels and final consonants of Hangul, joined by rule
    for point in points.tolist():
        parts = unicodedata.decomposition(chr(point)).split()
        if parts and not parts[0].startswith("<"):
            unsure[point] |= unicodedata.normalize("NFC", chr(point)) != chr(point)
            for part in parts[1:]:
                unsure[int(part, 16)] = 1
    return np.unique(combining, return_inverse=True)[1].astype(np.uint32), unsure


def _all_characters() -> str:
    first, last = _SURROGATES
    points = np.arange(_LAST, dtype="<u4")
    return (points[:first].tobytes() + points[last:].tobytes()).decode("utf-32-le")
