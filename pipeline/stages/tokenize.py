"""`tokenize`: documents to token shards in Megatron-Core's indexed format, and a table of the documents in them.

A partition of documents is one `part-NNNNN.bin` with its `.idx`; `documents.parquet` covers all of them, so that
every token can be traced to its page. `documents.arrow` has the numbers of the same rows, for the trainer.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.files import FileRef, Shard
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, Source
from infra.dataset.receipts import WORK, Totals
from infra.dataset.writer import ShardWriter
from infra.engines.task import Output, Written
from infra.errors import UsageError, WorkError
from infra.hashing import sha256_file, sha256_json
from infra.ledger import ledger_batch
from infra.storage import ObjectPath, commit_file, copy_file, place, readable, scratch_folder, temporary_name
from mixers.cell_shares import shares_of
from mixers.document_table import DOCUMENT_TABLE, DocumentTableWriter
from mixers.domains import GENERAL
from mixers.shards import DOCUMENT_COLUMNS, TokenShardReader, TokenShardWriter
from mixers.targets import NO_LANGUAGE
from mixers.tokenizer import Tokenizer, utf8_bytes
from pipeline.job.context import Context
from pipeline.job.funnel import Funnel, unreadable
from pipeline.models.loaded import load_once
from pipeline.models.store import on_this_machine
from pipeline.recipes.recipe import Stage

TABLE = "documents.parquet"
MODEL = "tokenizer.model"
# The input of a token sink: the columns of documents.parquet that are known before writing, and the tokens.
ROWS = pa.schema(
    [*(f for f in DOCUMENT_COLUMNS if f.name not in ("shard", "offset")), ("tokens", pa.list_(pa.int32()))]
)


def open_tokenizer(path: str) -> Tokenizer:
    return load_once(Tokenizer, place(path))


class TokenSink:
    """One partition's tokens: a Megatron shard, and its rows of the table of documents (held until the end)."""

    def __init__(self, folder: Path, index: int, tokenizer: Tokenizer) -> None:
        self.name = f"part-{index:05d}"
        self.shard = TokenShardWriter(folder, self.name, tokenizer.dtype, tokenizer.vocab_size, tokenizer.eod_id)
        self.table = ShardWriter(folder, f"{WORK}/{self.name}.parquet", DOCUMENT_COLUMNS)
        self.bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        tokens = rows["tokens"]
        offsets = [self.shard.add(tokens[i].values.to_numpy()) for i in range(rows.num_rows)]
        columns = {name: rows[name] for name in rows.schema.names if name != "tokens"}
        columns |= {"shard": pa.array([f"{self.name}.bin"] * rows.num_rows), "offset": pa.array(offsets, pa.int64())}
        arrays = [columns[f.name].cast(f.type) for f in DOCUMENT_COLUMNS]
        self.table.write(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_COLUMNS))

    def close(self) -> Written:
        rows = [self.table.close().path]
        written = self.shard.close()
        if written is None:
            return Written([], work=rows)
        b = written.bin
        shard = Shard(b.path, written.documents, b.bytes, 0, written.tokens, b.sha256)
        return Written([shard], [written.idx], work=rows)

    def abandon(self) -> None:
        self.shard.abandon()
        self.table.abandon()


@dataclass(frozen=True)
class TokenizeTask:
    """`model`: the tokenizer's sha256, in the fingerprint; `path`: its path, not in it."""

    model: str
    recipe: str
    path: str = field(compare=False)
    schema: pa.Schema = ROWS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["tokenize", self.model, self.recipe])

    def open_sink(self, folder: Path, index: int) -> TokenSink:
        return TokenSink(folder, index, open_tokenizer(self.path))

    def __call__(self, part: Any) -> Iterator[Output]:
        tokenizer = open_tokenizer(self.path)
        funnel = Funnel()
        total = 0
        for documents in part.batches():
            texts = [text or "" for text in documents["text"].to_pylist()]
            encoded = tokenizer.end_documents(tokenizer.encode_batch(texts))
            total += sum(len(tokens) for tokens in encoded)
            for text, tokens in zip(texts, encoded, strict=True):
                funnel.count["in"] += 1
                funnel.passed(0, len(text), len(tokens))
            columns = {name: documents[name] for name in ROWS.names if name in documents.schema.names}
            columns["repeats"] = pc.fill_null(columns["repeats"], 1)
            columns |= {
                "bytes": pa.array(utf8_bytes(texts)),
                "length": pa.array([len(tokens) for tokens in encoded], pa.int64()),
                "tokens": pa.array(encoded, pa.list_(pa.int32())),
            }
            yield Output(pa.RecordBatch.from_arrays([columns[f.name].cast(f.type) for f in ROWS], schema=ROWS))
        unread = ledger_batch(unreadable(part, funnel, self.recipe))
        yield Output(None, unread, funnel.counts(["tokenize"]) | {"tokens": total})


def tokenize_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Makes token shards with the stage's tokenizer (`tokenizer = "NAME"`)."""
    if set(stage.options) != {"tokenizer"}:
        raise UsageError(f'tokenize stage {stage.name!r} takes one key: tokenizer = "NAME"')
    name = str(stage.options["tokenizer"])
    path, sha256 = context.places[name], context.recipe.models[name]
    tokenizer = open_tokenizer(path)
    about = {"name": name, "sha256": sha256, "vocab_size": tokenizer.vocab_size, "eod": tokenizer.eod_id}
    base = context.header(stage, Kind.TOKENS, source.refs)
    header = replace(base, params={**base.params, "tokenizer": about})

    def gather(folder: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        files, shares = gathered(folder, totals, path)
        return {"shares": shares}, files

    task = TokenizeTask(sha256, context.recipe.sha256, path)
    return context.engine.map_shards(task, [source], out, header, gather)


def gathered(folder: Path, totals: Totals, model: str) -> tuple[list[FileRef], dict[str, dict[str, float]]]:
    """Makes the files beside the shards: the rows of all partitions in the order of the shards, and the tokenizer.
    Returns them, and the shares of the tokens, repeats included, by source, domain, axis and language."""
    writer = ShardWriter(folder, TABLE, DOCUMENT_COLUMNS)
    domains: dict[str, Counter[str]] = {}
    sums: Counter[tuple[str, str, str]] = Counter()
    shards = 0
    with DocumentTableWriter() as numbers:
        for index in range(totals.parts):
            table = pq.read_table(readable(folder / WORK / f"part-{index:05d}.parquet"))
            add_domains(domains, table)
            add_tokens(sums, table)
            for batch in table.to_batches():
                writer.write(batch)
                numbers.add(batch, shards)
            shards += table.num_rows > 0  # a partition without documents has no shard
        mapped = numbers.write(folder / DOCUMENT_TABLE)
    totals.domains.update(domains)
    rows = writer.close()
    files = [FileRef(rows.path, rows.bytes, rows.sha256), mapped, model_ref(folder, model)]
    return files, shares_of(sums)


def add_tokens(sums: Counter[tuple[str, str, str]], table: pa.Table) -> None:
    """Adds the tokens of documents, repeats included, by (source, language, domain)."""
    names = {"source": "web", "language": NO_LANGUAGE, "domain": GENERAL}
    columns: dict[str, Any] = {name: pc.fill_null(table[name], default) for name, default in names.items()}
    columns["tokens"] = pc.multiply(table["length"], table["repeats"].cast(pa.int64()))
    summed = pa.table(columns).group_by(list(names), use_threads=False).aggregate([("tokens", "sum")])
    for row in summed.to_pylist():
        sums[row["source"] or "web", row["language"] or NO_LANGUAGE, row["domain"] or GENERAL] += row["tokens_sum"]


def add_domains(found: dict[str, Counter[str]], table: pa.Table) -> None:
    """Adds documents and tokens (with repeats) by domain."""
    for row in table.select(["domain", "length", "repeats"]).to_pylist():
        total = found.setdefault(row["domain"] or "general", Counter())
        total["docs"] += 1
        total["tokens"] += row["length"]
        total["tokens_with_repeats"] += row["length"] * (row["repeats"] or 1)


def model_ref(folder: Path, path: str) -> FileRef:
    """Copies the tokenizer beside its tokens, since a dataset that cannot be decoded is of no use."""
    final = folder / MODEL
    temporary = temporary_name(final)
    shutil.copyfile(on_this_machine(place(path)), temporary)
    commit_file(temporary, final)
    return FileRef(MODEL, final.stat().st_size, sha256_file(final))


def token_faults(dataset: Dataset) -> list[str]:
    """Reads the shards of a tokens dataset from end to end and returns their faults: an index that does not fit, a
    token outside the vocabulary, a document without an end token."""
    try:
        about = dataset.manifest.params["tokenizer"]
        vocab_size, eod_id = int(about["vocab_size"]), int(about["eod"])
    except (KeyError, TypeError, ValueError):
        return ["manifest.json: params.tokenizer has no vocab_size and eod; tokenize again"]
    faults = []
    for shard in dataset.manifest.shards:
        try:
            with on_disk(dataset.folder / shard.path) as path:
                TokenShardReader(path).check_tokens(vocab_size, eod_id)
        except UsageError as error:
            faults.append(str(error))
    return faults


@contextmanager
def on_disk(shard: Path, sha256: str = "") -> Iterator[Path]:
    """The shard, or of one in an object store a copy of its two files: they are mapped into memory. `sha256`: of its
    tokens, where they are to be checked: WorkError if the copy has another one."""
    if not isinstance(shard, ObjectPath):
        yield shard
        return
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        for file in (shard.with_suffix(".bin"), shard.with_suffix(".idx")):
            with suppress(FileNotFoundError):  # the reader says so
                copy_file(file, Path(folder) / file.name)
        copy = Path(folder) / shard.name
        if sha256 and sha256_file(copy) != sha256:
            raise WorkError(f"{shard} has changed since it was written: make its dataset again")
        yield copy
