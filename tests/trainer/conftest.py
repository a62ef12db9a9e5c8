"""Small tokens datasets, written by hand in the format that `refinery tokenize` writes, and configurations."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import torch

from trainer.config import Config, hybrid_layers
from trainer.model import Transformer

EOD = 2
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


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    prefix = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([document.text for document in documents(seed=9, count=80)]),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=384,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return prefix.with_suffix(".model").read_bytes()


def write_tokens(folder: Path, texts: Iterable[Document], tokenizer: bytes, shards: int = 2) -> Path:
    """A finished tokens dataset in `folder`: documents dealt to `shards` shards in turn."""
    folder.mkdir(parents=True)
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    rows: list[dict[str, Any]] = []
    parts: list[list[list[int]]] = [[] for _ in range(shards)]
    offsets = [0] * shards
    for i, document in enumerate(texts):
        ids = [*processor.encode(document.text), EOD]
        shard = i % shards
        rows.append(
            {
                "id": f"doc-{i}",
                "url": f"https://example.org/{i}",
                "domain": document.domain,
                "source": document.source,
                "shard": f"part-{shard:05d}.bin",
                "offset": offsets[shard],
                "length": len(ids),
                "bytes": len(document.text.encode()),
                "repeats": document.repeats,
                "language": "en",
                "file_path": "test",
                "warc_offset": i,
            }
        )
        offsets[shard] += len(ids)
        parts[shard].append(ids)
    pq.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")
    (folder / "tokenizer.model").write_bytes(tokenizer)
    described = [write_shard(folder, i, part) for i, part in enumerate(parts)]
    manifest = {
        "format": "refinery.dataset/1",
        "kind": "tokens",
        "stage": "tokenize",
        "recipe": {"name": "test", "sha256": "0" * 64},
        "params": {
            "tokenizer": {
                "name": "tokenizer.model",
                "sha256": hashlib.sha256(tokenizer).hexdigest(),
                "vocab_size": processor.get_piece_size(),
                "eod": EOD,
            }
        },
        "inputs": [],
        "schema": [],
        "shards": described,
        "ledger": [],
        "files": [],
        "counts": {"in": len(rows), "out": len(rows), "tokens": sum(offsets)},
        "rejected_by": {},
        "languages": {},
        "domains": {},
        "funnel": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_shard(folder: Path, number: int, part: list[list[int]]) -> dict[str, Any]:
    """A Megatron-Core indexed dataset: 16-bit tokens, one sequence a document."""
    path = folder / f"part-{number:05d}.bin"
    content = np.concatenate([np.array(ids, np.uint16) for ids in part]).tobytes() if part else b""
    lengths = np.array([len(ids) for ids in part], np.int32)
    pointers = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)[:-1])) * 2 if part else np.zeros(0)
    path.write_bytes(content)
    path.with_suffix(".idx").write_bytes(
        b"MMIDIDX\x00\x00"
        + struct.pack("<QBQQ", 1, 8, len(part), len(part) + 1)
        + lengths.tobytes()
        + pointers.astype(np.int64).tobytes()
        + np.arange(len(part) + 1, dtype=np.int64).tobytes()
    )
    return {
        "path": path.name,
        "rows": len(part),
        "bytes": len(content),
        "chars": 0,
        "tokens": len(content) // 2,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


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
            "d_model": 16,
            "n_heads": 4,
            "n_kv_heads": 2,
            "head_dim": 8,
            "window": 4,
            "d_ff": 32,
            "n_experts": 16,
            "d_ff_expert": 4,
            "d_ff_shared": 16,
            "layers": [layer.__dict__ for layer in hybrid_layers(2)],
        },
        "top_k": {"full_k": 4, "min_k": 1},
        "data": {"sequence_length": 32, "global_batch_size": 4, "micro_batch_size": 2, "seed": 3},
        "schedule": {"warmup_steps": 2, "trunk_steps": 8, "decay_steps": 4},
        "optimizer": {"learning_rate": 3e-3},
        "run": {"seed": 1, "threads": 1, "checkpoint_interval_steps": 3},
    }
    for name, section in sections.items():
        body[name] = body[name] | section
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
    lines = []
    for name, section in small_body(**sections).items():
        lines += [f"[{name}]", *(f"{field} = {_toml(value)}" for field, value in section.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[..., Path]:
    return lambda **sections: write_config(tmp_path, **sections)


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value)
