"""Exact duplicates: documents with the same text, URL or payload.

The map side gives each document a 128-bit key: xxh3 of the UTF-8 of its normalised text or URL, or of its payload
digest. The reducer (`keep.py`) sees all documents of a key together and keeps one of them by the policy.
"""

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
from dedup.policy import Policy, preference_columns
from dedup.shingles import character_codes, utf8
from dedup.tables import batch_of, keys_schema, location_columns
from dedup.urls import normalise_url

# Soft hyphen, zero-width space, word joiner, byte order mark: they tell where a line may end, or nothing, and templates
# add and lose them. Joiners and the marks of writing direction stay: they tell words apart, or how these are read.
INVISIBLE = "\u00ad\u200b\u2060\ufeff"
# where str.split cuts; none is beyond the first 0x3001 code points
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))


def normalise_text(text: str) -> str:
    """The form in which duplicates' texts are equal: without `INVISIBLE`, NFC, runs of white space as one space, none
    at the ends.

    Documents that differ in case, punctuation, digits or the order of lines are not duplicates.
    """
    if not text.isascii():
        for character in INVISIBLE:
            text = text.replace(character, "")
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


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
    for kind, characters in ((kernels.INVISIBLE, INVISIBLE), (kernels.SPACE, _WHITE_SPACE)):
        codes[[ord(character) for character in characters]] = kind << kernels.KIND_AT_PLAIN
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

    A document whose text is null, or whose URL or digest is null or blank, has no row and is no duplicate.
    """
    column, normalise = NORMALISE[by]
    if by == "text":
        texts = documents[column]
        has_key = texts.is_valid().to_numpy(zero_copy_only=False)
        digests = b"".join(compress(text_digests(texts), has_key))
    else:
        normal = [normalise(value or "") for value in documents[column].to_pylist()]
        has_key = np.array([value != "" for value in normal], np.bool_)
        digests = b"".join(map(digest, filter(None, normal)))
    halves = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
    locations = location_columns(documents.num_rows, shard, first_row)
    columns = {name: values[has_key] for name, values in locations.items()}
    for name, values in preference_columns(documents, policy).items():
        columns[name] = values.filter(pa.array(has_key))
    return batch_of(keys_schema(policy), columns | {"key": halves[:, 0], "check": halves[:, 1]})
