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
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
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


class Utf8(NamedTuple):
    """Texts as the kernels take them: text i is `data[offsets[i]:offsets[i + 1]]`."""

    data: kernels.Bytes
    offsets: kernels.Offsets

    def in_nfc(self, rows: npt.NDArray[np.intp]) -> "Utf8":
        """These rows in NFC. Bytes that are no UTF-8 become U+FFFD, which separates words as they do."""
        texts = (self.data[self.offsets[row] : self.offsets[row + 1]].tobytes() for row in rows)
        return joined([unicodedata.normalize("NFC", text.decode("utf-8", "replace")).encode() for text in texts])


def utf8(texts: pa.Array) -> Utf8:
    """A column of texts, of any of Arrow's types for them, without copying what is string or large_string. A text that
    is null is empty."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, places, data = texts.buffers()
    if len(texts) == 0 or data is None:
        return Utf8(_bytes(b""), np.zeros(len(texts) + 1, np.int64))
    width = np.int32 if pa.types.is_string(texts.type) else np.int64
    offsets = np.frombuffer(places, width, len(texts) + 1, texts.offset * np.dtype(width).itemsize)
    return Utf8(_bytes(data), offsets.astype(np.int64))


def joined(texts: Sequence[bytes]) -> Utf8:
    """Encoded texts one after the other."""
    return Utf8(_bytes(b"".join(texts)), np.cumsum([0, *map(len, texts)], dtype=np.int64))


def _bytes(data: bytes | pa.Buffer) -> kernels.Bytes:
    """Read-only, whatever the buffer is: numba compiles once more for what can be written."""
    array = np.frombuffer(data, np.uint8)
    array.flags.writeable = False
    return array


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
    return kernels.shingle_sequences(*joined([text.encode("utf-8", "surrogatepass")]), character_codes(), ngram, True)[
        0
    ]


class Sets(NamedTuple):
    """Sets of shingles one after the other: set i is `flat[ends[i]:ends[i + 1]]`, distinct hashes in no order."""

    flat: Hashes
    ends: kernels.Offsets


def shingle_sets(texts: pa.Array, ngram: int = NGRAM) -> Sets:
    """The sets of the shingles of each text of a column."""
    every = utf8(texts)
    flat, ends, unsure = kernels.shingle_sets(*every, character_codes(), ngram, False)
    rows = np.flatnonzero(unsure)
    if not rows.size:
        return Sets(flat, ends)
    normal, normal_ends, _ = kernels.shingle_sets(*every.in_nfc(rows), character_codes(), ngram, True)
    sets = [flat[begin:end] for begin, end in pairwise(ends.tolist())]
    for row, (begin, end) in zip(rows.tolist(), pairwise(normal_ends.tolist()), strict=True):
        sets[row] = normal[begin:end]
    return Sets(np.concatenate(sets), np.cumsum([0, *(each.size for each in sets)], dtype=np.int64))


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
    classes, unsure = _normalisation(characters)
    for bits, at in ((classes, kernels.CLASS_AT), (unsure, kernels.UNSURE_AT), (kinds, kernels.KIND_AT)):
        codes |= bits << np.uint32(at)
    return codes


def _normalisation(characters: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Of each code point the rank of its combining class, and whether NFC may change it or join it to one before it:
    NFC_Quick_Check of UAX 15 is not Yes. Derived from the normalisation itself, so of the same version of Unicode."""
    combining, unsure = np.zeros(_LAST, np.uint32), np.zeros(_LAST, np.uint32)
    for match in regex.finditer(r"\p{M}", characters):
        combining[ord(match[0])] = unicodedata.combining(match[0])
    unsure[0x1161:0x1176] = unsure[0x11A8:0x11C3] = 1  # the vowels and final consonants of Hangul, joined by rule
    for match in regex.finditer(
        r"(?V1)[\p{Decomposition_Type=Canonical}--\p{Hangul_Syllable_Type=LV}--\p{Hangul_Syllable_Type=LVT}]",
        characters,
    ):
        unsure[ord(match[0])] |= unicodedata.normalize("NFC", match[0]) != match[0]
        for part in unicodedata.decomposition(match[0]).split()[1:]:
            unsure[int(part, 16)] = 1
    return np.unique(combining, return_inverse=True)[1].astype(np.uint32), unsure


def _all_characters() -> str:
    first, last = _SURROGATES
    points = np.arange(_LAST, dtype="<u4")
    return (points[:first].tobytes() + points[last:].tobytes()).decode("utf-32-le")
