"""A tokens dataset with a small vocabulary, made from the text of another: what tiny models can be trained on.

With 8,192 tokens the head of a model of 64 features has most of its FLOPs; with 512 the experts have.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.files import Shard, write_files
from infra.dataset.manifest import Header, Kind, Manifest, RecipeRef
from infra.hashing import sha256_file
from infra.storage import write_bytes
from mixers.document_table import DOCUMENT_TABLE, DocumentTableWriter
from mixers.shards import TokenShardReader, TokenShardWriter
from mixers.tokenizer import TRAINING_OPTIONS, Tokenizer, utf8_bytes
from pipeline.fit.sentencepiece_bpe import MAX_LINE_CHARS, train_bpe
from pipeline.fit.texts import lines_of

TABLE, MODEL, SHARD = "documents.parquet", "tokenizer.model", "part-00000"


def texts_of(dataset: Path) -> tuple[pa.Table, list[str]]:
    """The table of documents of a tokens dataset, and the text of each."""
    table, tokenizer = pq.read_table(dataset / TABLE), Tokenizer(dataset / MODEL)
    names = sorted(set(table["shard"].to_pylist()))
    shards = {name: TokenShardReader(dataset / name) for name in names}
    places = zip(*(table[name].to_pylist() for name in ("shard", "offset", "length")), strict=True)
    # The last token of a document is its end.
    return table, [tokenizer.decode(shards[name].data[at : at + length - 1]) for name, at, length in places]


def fit_small(texts: Sequence[str], vocab_size: int, out: Path) -> None:
    """A SentencePiece model of so many pieces, 256 of which are bytes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, train_bpe(lines_of(texts, MAX_LINE_CHARS), vocab_size, **TRAINING_OPTIONS))


def retokenize(table: pa.Table, texts: Sequence[str], tokenizer: Path, out: Path) -> Path:
    """Writes the documents as a tokens dataset with that tokenizer, in one shard. Returns `out`."""
    model = Tokenizer(tokenizer)
    out.mkdir(parents=True)
    writer = TokenShardWriter(out, SHARD, model.dtype, model.vocab_size, model.eod_id)
    encoded = model.end_documents(model.encode_batch(texts))
    columns = {
        "shard": pa.array([f"{SHARD}.bin"] * len(texts)),
        "offset": pa.array([writer.add(tokens) for tokens in encoded], pa.int64()),
        "length": pa.array([len(tokens) for tokens in encoded], pa.int64()),
        "bytes": pa.array(utf8_bytes(texts)),
    }
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    written = writer.close()
    assert written is not None, "a dataset has documents"
    pq.write_table(table, out / TABLE)
    with DocumentTableWriter() as numbers:
        for batch in table.to_batches():
            numbers.add(batch, 0)
        files = [numbers.write(out / DOCUMENT_TABLE)]
    content = tokenizer.read_bytes()
    write_bytes(out / MODEL, content)
    params = {"name": MODEL, "sha256": sha256_file(out / MODEL), "vocab_size": model.vocab_size, "eod": model.eod_id}
    shard = Shard(written.bin.path, written.documents, written.bin.bytes, 0, written.tokens, written.bin.sha256)
    recipe = RecipeRef("small_tokens", hashlib.sha256(content).hexdigest())
    manifest = Manifest(
        header=Header(Kind.TOKENS, "tokenize", recipe, {"tokenizer": params}, ()),
        schema=(),
        table=write_files(out, [shard], files=files),
        counts={"in": len(texts), "out": len(texts), "tokens": written.tokens},
    )
    write_bytes(out / "manifest.json", manifest.to_bytes())
    return out
