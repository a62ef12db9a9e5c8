"""Small tokens datasets, as `refinery tokenize` writes them, and configurations."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import torch

from infra.dataset.files import FileRef, Shard, write_files
from infra.dataset.manifest import Header, Kind, Manifest, RecipeRef
from infra.hashing import sha256_file
from mixers.document_table import DOCUMENT_TABLE, DocumentTableWriter
from mixers.shards import DOCUMENT_COLUMNS, TokenShardWriter
from mixers.tokenizer import TRAINING_OPTIONS
from trainer.config import Config, hybrid_layers
from trainer.data.tokens import DataRef
from trainer.model import Transformer

EOD = 2
REF = DataRef("0" * 64, "0" * 64, vocab_size=64, eod_id=EOD)
SUBJECTS = ["the river", "a small town", "the engine", "an old song", "the theorem", "my neighbour", "the market"]
COMMANDS = ["follows", "remembers", "explains", "crosses", "builds", "forgets", "measures"]
PLACES = ["near the bridge", "after the war", "in most cases", "with great care", "for seven years", "at night"]


class Document(NamedTuple):
    text: str
    domain: str = "general"
    source: str = "web"
    repeats: int = 1


def sentences(seed: int, count: int) -> str:
    drawn = np.random.Generator(np.random.Philox(seed)).integers(0, 1 << 30, (count, 3)).tolist()
    rows = [(SUBJECTS[a % 7], COMMANDS[b % 7], SUBJECTS[c % 7], PLACES[(a + b) % 6]) for a, b, c in drawn]
    return " ".join(f"{subject} {command} {other} {place}." for subject, command, other, place in rows)


def documents(seed: int = 0, count: int = 60) -> list[Document]:
    domains = ["science", "literature", "general", "code"]
    return [
        Document(
            sentences(1000 * seed + i, 1 + i % 7),
            domains[i % 4],
            "encyclopedia" if i % 3 == 0 else "web",
            1 + (i % 5 == 0) + (i % 10 == 0),
        )
        for i in range(count)
    ]


def train_tokenizer(texts: list[Document], vocab_size: int) -> bytes:
    model = io.BytesIO()
    options = {**TRAINING_OPTIONS, "vocab_size": vocab_size, "num_threads": 1, "minloglevel": 2}
    options["hard_vocab_limit"] = False
    lines = iter([document.text for document in texts])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **options)
    return model.getvalue()


@pytest.fixture(scope="session")
def tokenizer() -> bytes:
    return train_tokenizer(documents(seed=9, count=80), 384)


def write_tokens(folder: Path, texts: Iterable[Document], tokenizer: bytes, shards: int = 2) -> Path:
    """A finished tokens dataset in `folder`: documents dealt to `shards` shards in turn."""
    folder.mkdir(parents=True)
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    vocab_size = processor.get_piece_size()
    names = [f"part-{shard:05d}" for shard in range(shards)]
    writers = [TokenShardWriter(folder, name, "uint16", vocab_size, EOD) for name in names]
    rows = []
    for i, document in enumerate(texts):
        ids = np.array([*processor.encode(document.text), EOD], np.uint16)
        place = {"shard": f"{names[i % shards]}.bin", "offset": writers[i % shards].add(ids), "length": len(ids)}
        size = len(document.text.encode())
        about = {"id": f"doc-{i}", "url": f"https://example.org/{i}", "file_path": "test", "warc_offset": i}
        columns = {"domain": document.domain, "source": document.source, "repeats": document.repeats}
        rows.append({**about, **columns, **place, "bytes": size, "language": "en"})
    rows.sort(key=lambda row: str(row["shard"]))  # as `tokenize` has them
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_COLUMNS), folder / "documents.parquet")
    with DocumentTableWriter() as numbers:
        for shard, name in enumerate(names):
            mine = [row for row in rows if row["shard"] == f"{name}.bin"]
            if mine:
                numbers.add(pa.RecordBatch.from_pylist(mine, DOCUMENT_COLUMNS), shard)
        files = [numbers.write(folder / DOCUMENT_TABLE)]
    (folder / "tokenizer.model").write_bytes(tokenizer)
    others = [folder / name for name in ("documents.parquet", "tokenizer.model")]
    files += [FileRef(path.name, path.stat().st_size, sha256_file(path)) for path in others]
    written = [made for writer in writers if (made := writer.close())]
    model = {"name": "tokenizer.model", "sha256": hashlib.sha256(tokenizer).hexdigest()}
    manifest = Manifest(
        header=Header(
            Kind.TOKENS,
            "tokenize",
            RecipeRef("test", "0" * 64),
            {"tokenizer": {**model, "vocab_size": vocab_size, "eod": EOD}},
            (),
        ),
        schema=(),
        table=write_files(
            folder,
            [Shard(made.bin.path, made.documents, made.bin.bytes, 0, made.tokens, made.bin.sha256) for made in written],
            files=files,
        ),
        counts={"in": len(rows), "out": len(rows), "tokens": sum(made.tokens for made in written)},
    )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, tokenizer: bytes) -> Path:
    return write_tokens(tmp_path_factory.mktemp("data") / "tokens", documents(), tokenizer)


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory, tokenizer: bytes) -> Path:
    return write_tokens(tmp_path_factory.mktemp("data") / "other", documents(seed=5, count=40), tokenizer)


def small_body(**sections: dict[str, Any]) -> dict[str, Any]:
    """A faithful model, as small as one can be: two super-blocks, shared KV, fine-grained experts, random k."""
    body: dict[str, Any] = {
        "model": {
            **{"d_model": 16, "n_heads": 4, "n_kv_heads": 2, "head_dim": 8, "window": 4},
            **{"d_ff": 32, "n_experts": 16, "d_ff_expert": 4, "d_ff_shared": 16},
            "layers": [layer.__dict__ for layer in hybrid_layers(2)],
        },
        "top_k": {"full_k": 4, "min_k": 1},
        "data": {"sequence_length": 32, "global_batch_size": 4, "seed": 3},
        "schedule": {"warmup_steps": 2, "trunk_steps": 8, "decay_steps": 4},
        "optimizer": {"learning_rate": 3e-3},
        "run": {"seed": 1, "threads": 1, "checkpoint_interval_steps": 3},
        "execution": {"micro_batch_size": 2},
    }
    for name, section in sections.items():
        body[name] = body.get(name, {}) | section
    return body


def with_random_zeros(model: Transformer) -> Transformer:
    """A new model's layers are the identity (`initialise`): give the projections that are zero values, so that every
    path through the model shows in its output."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.3, generator=generator)
    return model


def small_config(**sections: dict[str, Any]) -> Config:
    return Config.from_dict(small_body(**sections))


def write_config(folder: Path, **sections: dict[str, Any]) -> Path:
    """`small_body(**sections)` as a TOML file in `folder`."""
    path = folder / f"config-{len(list(folder.glob('config-*')))}.toml"
    path.write_text(toml_text(small_body(**sections)))
    return path


def toml_text(sections: dict[str, Any]) -> str:
    lines = []
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{field} = {_toml(value)}" for field, value in section.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[..., Path]:
    return lambda **sections: write_config(tmp_path, **sections)


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value)
