"""Tokens datasets whose tokens say where they are in their document."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.files import FileRef, Shard, write_files
from infra.dataset.manifest import Header, Kind, Manifest, RecipeRef
from infra.hashing import sha256_file
from mixers.document_table import DOCUMENT_TABLE, DocumentTableWriter
from mixers.shards import DOCUMENT_COLUMNS, TokenShardWriter

EOD, VOCABULARY = 2, 1000


class Made(NamedTuple):
    """A document; its tokens are 3, 4, 5, … and the end-of-document token."""

    id: str
    source: str
    length: int
    repeats: int = 1
    domain: str = "general"


def tokens_of(length: int) -> np.ndarray:
    return np.array([*range(3, 2 + length), EOD], np.uint16)


def write_made(folder: Path, documents: Sequence[Made], shards: int = 2) -> Path:
    """A finished dataset, of documents in order, in about equal shards."""
    folder.mkdir(parents=True)
    parts = [part for part in np.array_split(np.arange(len(documents)), shards) if len(part)]
    rows, written = [], []
    with DocumentTableWriter() as numbers:
        for shard, part in enumerate(parts):
            writer = TokenShardWriter(folder, f"part-{shard:05d}", "uint16", VOCABULARY, EOD)
            here = []
            for i in part.tolist():
                made = documents[i]
                place = {"shard": f"part-{shard:05d}.bin", "offset": writer.add(tokens_of(made.length))}
                here.append(
                    made._asdict() | place | {"url": f"https://example.org/{made.id}", "bytes": 2 * made.length}
                )
            numbers.add(pa.RecordBatch.from_pylist(here, DOCUMENT_COLUMNS), shard)
            rows += here
            written.append(writer.close())
        files = [numbers.write(folder / DOCUMENT_TABLE)]
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_COLUMNS), folder / "documents.parquet", row_group_size=16)
    (folder / "tokenizer.model").write_bytes(b"not a real one")
    for name in ("documents.parquet", "tokenizer.model"):
        path = folder / name
        files += [FileRef(name, path.stat().st_size, sha256_file(path))]
    made_shards = [Shard(s.bin.path, s.documents, s.bin.bytes, 0, s.tokens, s.bin.sha256) for s in written if s]
    model = {"name": "t", "sha256": sha256_file(folder / "tokenizer.model"), "vocab_size": VOCABULARY, "eod": EOD}
    header = Header(Kind.TOKENS, "tokenize", RecipeRef("test", "0" * 64), {"tokenizer": model}, ())
    counts = {"in": len(rows), "out": len(rows), "tokens": sum(shard.tokens for shard in made_shards)}
    manifest = Manifest(header=header, schema=(), table=write_files(folder, made_shards, files=files), counts=counts)
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return folder
