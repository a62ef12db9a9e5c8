r"""The one fixed pre-tokenizer pattern whose matches are `token_count` until a real tokenizer has run.

A count that every stage and every recipe shares must need no model, be fast, and treat languages alike. The pattern
`refinery.pretokens/1` matches, left to right:

    [ideograph or kana]      each character by itself (no spaces tell words apart)
    [number]                 each digit by itself, as our tokenizer splits them
    [letter or mark]{1,8}    a word, in pieces of at most 8
    [symbol]{1,2}            punctuation, emoji, controls and all else that is not space, in pairs
    \n+                      a run of newlines

Other white space is not counted: a BPE glues it to the word after it. Classes are Unicode 14 general categories
(L and M, N, Z, the rest), ideographs and kana the ranges below.

Relation to BPE tokens, measured against a SentencePiece BPE of 64,000 pieces trained on the same mixed text
(pre-tokens per BPE token): English .998-1.05, code 1.03, European languages with CJK mixed in 1.19, Chinese 1.4-1.6
(a BPE joins frequent words); against 16,000 pieces .87-.95, .95, .86, 1.2-1.3.

There is no backtracking engine below: runs of equal class are found with numpy, in time linear in the text.
"""

import unicodedata
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IDEOGRAPH_RANGES = (
    (0x3005, 0x3007), (0x3041, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D), (0x20000, 0x3FFFD),
)  # fmt: skip
MAX_WORD_PIECE = 8
MAX_SYMBOL_PIECE = 2

_SPACE, _IDEOGRAPH, _NUMBER, _LETTER, _SYMBOL, _NEWLINE = range(6)
# The longest piece of each class; a run of newlines is one piece however long it is.
_PIECE = np.array([1, 1, 1, MAX_WORD_PIECE, MAX_SYMBOL_PIECE, 2**62])
_COUNTED = np.array([0, 1, 1, 1, 1, 1])
# Working arrays take about 30 bytes a character.
_CHUNK_BYTES = 4 * 2**20

Ints = npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def _classes() -> npt.NDArray[np.uint8]:
    """The class of every code point, shape (0x110000,)."""
    of_category = {"L": _LETTER, "M": _LETTER, "N": _NUMBER, "Z": _SPACE}
    table = np.full(0x110000, _SYMBOL, dtype=np.uint8)
    # Planes 4 to 13 are unassigned, 15 and 16 private: symbols.
    for code in (*range(0x40000), *range(0xE0000, 0xE0200)):
        table[code] = of_category.get(unicodedata.category(chr(code))[0], _SYMBOL)
    for low, high in IDEOGRAPH_RANGES:
        piece = table[low : high + 1]
        # Planes 2 and 3 are set aside for ideographs, whatever later versions of Unicode add to them.
        piece[(piece == _LETTER) | (low >= 0x20000)] = _IDEOGRAPH
    for character in "\t\v\f\r\x1c\x1d\x1e\x1f\x85":
        table[ord(character)] = _SPACE
    table[ord("\n")] = _NEWLINE
    return table


def count(text: str) -> int:
    """How many pre-tokens `text` has. Lone surrogates are symbols."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return int(_count_codes(codes, np.array([0, len(codes)]))[0])


def count_column(column: pa.Array | pa.ChunkedArray) -> Ints:
    """The number of pre-tokens of each text of a string or large_string column, shape (rows,); 0 for null."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_count_array(chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _count_array(array: pa.Array) -> Ints:
    counts = np.zeros(len(array), dtype=np.int64)
    if not len(array):
        return counts
    # A null may own bytes; an empty text counts nothing either.
    array = array.cast(pa.large_string()).fill_null("")
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = memoryview(data_buffer) if data_buffer is not None else memoryview(b"")
    start = 0
    while start < len(array):
        end = int(np.searchsorted(offsets, offsets[start] + _CHUNK_BYTES, side="right")) - 1
        end = min(max(end, start + 1), len(array))
        chunk = bytes(data[offsets[start] : offsets[end]])
        counts[start:end] = _count_utf8(chunk, offsets[start : end + 1] - offsets[start])
        start = end
    return counts


def _count_utf8(data: bytes, offsets: Ints) -> Ints:
    """Counts for the texts `data[offsets[i] : offsets[i + 1]]`; bytes that are not UTF-8 count as U+FFFD."""
    if data.isascii():
        return _count_codes(np.frombuffer(data, dtype=np.uint8), offsets)
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        texts = [data[low:high].decode("utf-8", "replace") for low, high in pairwise(offsets)]
        return np.array([count(text) for text in texts], dtype=np.int64)
    # A code point begins at every byte that is not a continuation byte.
    begins = (np.frombuffer(data, dtype=np.uint8) & 0xC0) != 0x80
    before = np.concatenate(([0], np.cumsum(begins)))
    return _count_codes(np.frombuffer(decoded.encode("utf-32-le"), dtype=np.uint32), before[offsets])


def _count_codes(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint32], offsets: Ints) -> Ints:
    """Counts for the texts `codes[offsets[i] : offsets[i + 1]]` of one array of code points."""
    if not len(codes):
        return np.zeros(len(offsets) - 1, dtype=np.int64)
    classes = _classes()[codes]
    is_start = np.empty(len(codes), dtype=bool)
    np.not_equal(classes[1:], classes[:-1], out=is_start[1:])
    is_start[0] = True
    is_start[offsets[offsets < len(codes)]] = True
    starts = np.flatnonzero(is_start)
    kinds = classes[starts]
    lengths = np.diff(starts, append=len(codes))
    pieces = -(-lengths // _PIECE[kinds]) * _COUNTED[kinds]
    before = np.concatenate(([0], np.cumsum(pieces)))
    return np.diff(before[np.searchsorted(starts, offsets)])
