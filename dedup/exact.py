"""Exact duplicates: documents with the same text, URL or payload.

The map side gives each document a 128-bit key: xxh3 of the UTF-8 of its normalised text or URL, or of its payload
digest. The reducer (`keep.py`) sees all documents of a key together and keeps one of them by the policy.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import compress, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dedup import kernels
from dedup.marks import unmarked_texts
from dedup.policy import CONTENT, Policy, preference_columns
from dedup.shingles import character_codes, utf8
from dedup.tables import batch_of, keys_schema, location_columns
from dedup.urls import normalise_url

# Characters that show nothing: soft hyphens, joiners and non-joiners, marks of direction, zero-width spaces, word
# joiners and invisible operators, byte order marks, variation selectors, tags, the Mongolian vowel separator.
_INVISIBLE = dict.fromkeys(
    [
        0xAD,
        0x34F,
        0x61C,
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        *range(0xFE00, 0xFE10),
        0xFEFF,
        *range(0xE0000, 0xE0080),
        *range(0xE0100, 0xE01F0),
    ]
)
_MAY_BE_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
# White space between characters of scripts without spaces (Han, kana, their punctuation) means nothing.
_SOLID = (
    "\u2e80-\u2fdf\u3001-\u30ff\u31a0-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\U00020000-\U0003ffff"
)
_SPACE_IN_SOLID = re.compile(f"(?<=[{_SOLID}]) (?=[{_SOLID}])")


def normalise_text(text: str) -> str:
    """The form in which duplicates' texts are equal: NFC, runs of white space as one space, none at the ends, none
    between Han and kana, and no characters that show nothing.

    Documents that differ in case, punctuation, digits or the order of lines are not duplicates.
    """
    if text.isascii():
        return " ".join(text.split())
    if _MAY_BE_INVISIBLE.search(text):
        text = text.translate(_INVISIBLE)
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return _SPACE_IN_SOLID.sub("", text)


# Where str.split cuts; none is beyond the first 0x3001 code points.
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))


def text_digests(texts: pa.Array) -> list[bytes]:
    """The `digest` of each normalised text of a column. Nulls are empty texts, and bytes that are no UTF-8 stay."""
    every = utf8(texts)
    data, ends, unsure = kernels.plain_texts(*every, text_codes())
    plain = memoryview(data)  # type: ignore[arg-type]
    digests = [xxhash.xxh3_128_digest(plain[begin:end]) for begin, end in pairwise(ends.tolist())]
    for row in np.flatnonzero(unsure).tolist():
        text = every.data[every.offsets[row] : every.offsets[row + 1]].tobytes().decode("utf-8", "surrogateescape")
        digests[row] = xxhash.xxh3_128_digest(normalise_text(text).encode("utf-8", "surrogateescape"))
    return digests


@cache
def text_codes() -> npt.NDArray[np.uint16]:
    """What `kernels.plain_texts` knows of each of the 0x110000 code points, uint16: bits as `kernels` has them."""
    codes = (character_codes() >> kernels.CLASS_AT & 0xFF).astype(np.uint16)
    solid = [ord(character) for character in re.findall(f"[{_SOLID}]", "".join(map(chr, range(0x2E80, 0x40000))))]
    for kind, points in (
        (kernels.SOLID, solid),
        (kernels.INVISIBLE, list(_INVISIBLE)),
        (kernels.SPACE, [ord(character) for character in _WHITE_SPACE]),
    ):
        codes[points] = (codes[points] & (1 << kernels.KIND_AT_PLAIN) - 1) | kind << kernels.KIND_AT_PLAIN
    return codes


def digest(text: str) -> bytes:
    """16 bytes: xxh3-128 of the UTF-8 of `text`; lone surrogates are hashed as their three bytes."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


ExactKey = Literal["text", "url", "payload"]
# the column that each kind of key is made from, and its normalisation
NORMALISE: dict[ExactKey, tuple[str, Callable[[str], str]]] = {
    "text": ("text", normalise_text),
    "url": ("url", normalise_url),
    "payload": ("content_digest", str.strip),
}


def key_table(
    documents: pa.RecordBatch, shard: int, first_row: int, by: ExactKey, policy: Policy = "first"
) -> pa.RecordBatch:
    """`keys_schema` of a batch of documents (of records for "payload"), in its order.

    A document whose text is null, or whose URL or digest is null or blank, has no row and is no duplicate. Of several
    with one URL those that have it in its one form come first where ties are decided by content.
    """
    column, normalise = NORMALISE[by]
    if by == "text":
        texts = unmarked_texts(documents)
        has_key = texts.is_valid().to_numpy(zero_copy_only=False)
        digests = b"".join(compress(text_digests(texts), has_key))
    else:
        normal = [normalise(value or "") for value in documents[column].to_pylist()]
        has_key = np.array([value != "" for value in normal], np.bool_)
        digests = b"".join(map(digest, filter(None, normal)))
    halves = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
    locations = location_columns(documents.num_rows, shard, first_row)
    columns = {name: values[has_key] for name, values in locations.items()}
    preferred = preference_columns(documents, policy)
    if by == "url" and CONTENT.name in preferred:
        preferred[CONTENT.name] = _plain_first(preferred[CONTENT.name], documents[column].to_pylist(), normal)
    for name, values in preferred.items():
        columns[name] = values.filter(pa.array(has_key))
    return batch_of(keys_schema(policy), columns | {"key": halves[:, 0], "check": halves[:, 1]})


def _plain_first(content: pa.Array, urls: list[str | None], normal: list[str]) -> pa.Array:
    """The hashes, in their upper half those of documents whose URL is not written as its key is."""
    odd = [url is None or url.removeprefix("http://").removeprefix("https://") != key for url, key in zip(urls, normal)]
    hashes = content.to_numpy() >> np.uint64(1) | np.array(odd, np.uint64) << np.uint64(63)
    return pa.array(hashes)
