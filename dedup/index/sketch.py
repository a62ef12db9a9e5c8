"""What an index keeps of a document: the key of its content, hashes of its text and URL, its shingles, where it is."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dedup.exact import text_digests
from dedup.index.keys import content_keys, parts_of, prefixes
from dedup.index.tables import BAND_ROWS, SKETCHES, table_of
from dedup.marks import unmarked_texts
from dedup.minhash import MinHash
from dedup.policy import content_hashes
from dedup.shingles import Sets, shingle_sets
from dedup.tables import Hashes, location_columns
from dedup.urls import normalise_url
from dedup.verify import list_column

# The columns of documents that are read, as far as there are.
READ = (
    "text", "signals", "id", "url", "date", "content_digest", "token_count", "copies", "file_path", "warc_offset",
)  # fmt: skip


def sketches(documents: pa.RecordBatch, shard: int, first_row: int, ngram: int, bits: int) -> pa.RecordBatch:
    """SKETCHES of a batch of documents, in its order. `bits`: how many parts the keys are cut into, as a power of 2."""
    texts = pc.fill_null(unmarked_texts(documents), "")
    sets, digests = sorted_sets(texts, ngram), text_digests(texts)
    keys = content_keys([sets.flat[begin:end] for begin, end in pairwise(sets.ends.tolist())], digests)
    columns = {
        "part": parts_of(prefixes(keys), bits),
        "key": keys,
        **location_columns(documents.num_rows, shard, first_row),
        "tie": content_hashes(documents),
        "text_hash": np.frombuffer(b"".join(digest[:8] for digest in digests), ">u8").astype(np.uint64),
        "url_hash": url_hashes(documents["url"]),
        "tokens": pc.fill_null(documents["token_count"], 0),
        "copies": _copies(documents),
        **{name: documents[name] for name in ("id", "file_path", "warc_offset")},
        "shingles": list_column(sets),
    }
    return table_of(SKETCHES, columns)


def _copies(documents: pa.RecordBatch) -> pa.Array:
    if "copies" not in documents.schema.names:
        return pa.array(np.ones(documents.num_rows, np.int32))
    return pc.fill_null(documents["copies"], 1).cast(pa.int32())


def sorted_sets(texts: pa.Array, ngram: int) -> Sets:
    """The set of shingles of each text, ascending: equal sets are equal bytes, and their differences are small."""
    sets = shingle_sets(texts, ngram)
    flat = sets.flat.copy()
    for begin, end in pairwise(sets.ends.tolist()):
        flat[begin:end].sort()
    return Sets(flat, sets.ends)


def url_hashes(urls: pa.Array) -> Hashes:
    """xxh3-64 of each normalised URL, uint64; 0 where there is none."""
    normal = (normalise_url(url or "") for url in urls.to_pylist())
    hashes = [xxhash.xxh3_64_intdigest(url.encode("utf-8", "surrogatepass")) if url else 0 for url in normal]
    return np.array(hashes, np.uint64)


def band_rows(contents: pa.RecordBatch, params: MinHash, bits: int) -> pa.RecordBatch:
    """BAND_ROWS of a batch with `key` and `shingles`: `params.bands` rows for each content that has shingles."""
    offsets = contents["shingles"].offsets.to_numpy()
    flat = contents["shingles"].values.to_numpy()
    filled = np.flatnonzero(np.diff(offsets))
    hashes = [params.band_keys(flat[offsets[row] : offsets[row + 1]]) for row in filled.tolist()]
    every = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
    keys = contents["key"].take(pa.array(np.repeat(filled, params.bands)))
    return table_of(BAND_ROWS, {"part": parts_of(every, bits), "hash": every, "key": keys})
