"""A text as a set of hashed shingles: what near-duplicates have in common.

Normalisation, in this order: NFC; lower case, one character for one; characters that show nothing (soft hyphens, zero
width joiners, variation selectors) are passed over; everything that is not a letter, mark or digit separates words.
Digits stay: pages that differ in a number differ.

A shingle is a run of five words. Where a script writes no spaces there are no words to count, so a character counts:
an ideograph or kana as one word, a letter of Thai, Lao, Khmer, Burmese and their kin as a third of one (an ideograph
says about as much as a word, such a letter as much as a letter). The rule goes by character, not by document, so a
text that mixes scripts needs no threshold and two versions of it are always cut the same way. Cutting Chinese at
spaces and punctuation instead makes whole sentences the words: one changed character then costs five sentences.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

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
    """The sorted distinct 64-bit hashes of the shingles of `text`.

    A text of fewer than `ngram` words has one shingle, the whole; a text without a letter or digit has none, and is
    therefore near nothing.
    """
    return distinct(shingle_sequence(text, ngram))


def shingle_sequence(text: str, ngram: int = NGRAM) -> Hashes:
    """The hash of the shingle at each place of `text`, in order and with repetitions: enough for a signature.

    Needs about 20 bytes of memory for each character.
    """
    from dedup import kernels

    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return kernels.shingle_hashes(points, character_codes(), ngram)


@cache
def character_codes() -> npt.NDArray[np.uint32]:
    """For each of the 0x110000 code points its kind (top byte) and the lower-case code point that stands for it."""
    from dedup import kernels

    characters = _all_characters()
    codes = np.arange(_LAST, dtype=np.uint32)
    for match in regex.finditer(r"[\p{Lu}\p{Lt}]", characters):
        codes[ord(match[0])] = ord(match[0].lower()[0])
    kinds = np.full(_LAST, kernels.SEPARATOR, np.uint32)
    # later lines win
    for pattern, kind in (
        (r"[\p{L}\p{M}\p{N}]+", kernels.WORD),
        (rf"(?V1)[[{_IDEOGRAPHS}]&&[\p{{L}}\p{{M}}\p{{N}}]]+", kernels.IDEOGRAPH),
        (rf"(?V1)[[{_LETTERS}]&&[\p{{L}}\p{{M}}\p{{N}}]]+", kernels.LETTER),
        (r"\p{Default_Ignorable_Code_Point}+", kernels.IGNORED),
    ):
        for match in regex.finditer(pattern, characters):
            kinds[ord(match[0][0]) : ord(match[0][-1]) + 1] = kind
    # a run of matches that ends before the surrogates and goes on after them would have painted them
    kinds[slice(*_SURROGATES)] = kernels.SEPARATOR
    return codes | kinds << np.uint32(24)


def _all_characters() -> str:
    first, last = _SURROGATES
    points = np.arange(_LAST, dtype="<u4")
    return (points[:first].tobytes() + points[last:].tobytes()).decode("utf-32-le")
