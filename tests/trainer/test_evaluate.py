"""Bits per byte, and the baselines."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from infra.errors import UsageError
from tests.trainer.conftest import (
    Document,
    documents,
    sentences,
    small_config,
    train_tokenizer,
    write_config,
    write_tokens,
)
from trainer.api import evaluate, train
from trainer.baselines import texts, unigram_bits
from trainer.cache import kv_bytes_per_token
from trainer.checkpoint import read_checkpoint
from trainer.data.tokens import TokenDataset
from trainer.loss import token_losses
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.run_files import find_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("run")
    schedule = {"warmup_steps": 5, "trunk_steps": 80, "decay_steps": 0}
    train(write_config(root, schedule=schedule, run={"checkpoint_interval_steps": 80}), data, root / "run")
    return root / "run"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, tokenizer: bytes) -> Path:
    return write_tokens(tmp_path_factory.mktemp("held") / "tokens", documents(seed=7, count=16), tokenizer)


def test_bits_per_byte_is_the_definition(run: Path, held: Path) -> None:
    """Each document alone through the model, if it fits a sequence, gives the same bits as packed."""
    answer = evaluate(run, held, [4])
    state = read_checkpoint(find_checkpoint(run)).state()
    dataset = TokenDataset(held)
    policies = [KPolicy(4)] * state.config.model.n_moe_layers
    bits: dict[str, list[float]] = {}
    domains = [dataset.documents.domain_names[code] for code in dataset.documents.domain_codes.tolist()]
    for i, domain in enumerate(domains):
        tokens = dataset.tokens(i, 0, int(dataset.documents.lengths[i])).astype(np.int64)
        targets = torch.from_numpy(tokens)[None]
        inputs = torch.cat((torch.tensor([[dataset.ref.eod_id]]), targets[:, :-1]), 1)
        with torch.inference_mode():
            plan = packed_plan(state.config.model, torch.zeros_like(inputs), state.device, torch.float32)
            hidden = state.model(inputs, plan, policies).hidden_BLD
            nats = float(token_losses(hidden[0], state.model.head, targets[0]).total)
        bits.setdefault(domain, []).append(nats / np.log(2))
    sizes = dict.fromkeys(bits, 0)
    for domain, size in zip(domains, dataset.documents.bytes.tolist(), strict=True):
        sizes[domain] += size
    # Documents cut by the end of a sequence lose context, so the packed figure may be a little worse.
    for domain, value in answer["bits_per_byte"].items():
        assert value == pytest.approx(sum(bits[domain]) / sizes[domain], rel=0.15)
    pooled = (bits["science"], bits["code"])
    expected = sum(map(sum, pooled)) / (sizes["science"] + sizes["code"])
    assert answer["iq"] == pytest.approx(expected, rel=0.15)
    assert answer["eq"] == answer["bits_per_byte"]["literature"]


def test_the_model_beats_unigram(run: Path, held: Path) -> None:
    answer = evaluate(run, held, [4, 2])
    assert answer["overall"] < answer["baselines"]["unigram"]["overall"]
    assert answer["active_experts"] == 4 and answer["by_k"]["2"]["active_experts"] == 2
    assert answer["kv_bytes_per_token"] == kv_bytes_per_token(small_config().model, 32)
    assert len(answer["by_k"]["4"]["load_imbalance"]) == 7
    assert evaluate(run, held)["overall"] == answer["overall"]


def test_policies_use_fewer_experts(run: Path, held: Path) -> None:
    half = evaluate(run, held, [4], "top_p=0.6")
    assert 1.0 <= half["active_experts"] < 4.0 and half["policy"] == "top_p=0.6"
    with pytest.raises(UsageError, match="over 0 and at most 1"):
        evaluate(run, held, [4], "top_p=0")
    with pytest.raises(UsageError, match="k may be 1 to 16"):
        evaluate(run, held, [17])


def test_baselines_are_their_definitions(tmp_path: Path, tokenizer: bytes, run: Path) -> None:
    rows = [Document(sentences(1, 5), "science"), Document("x = 1\n  y\tz é中", "code")]
    folder = write_tokens(tmp_path / "d", rows, tokenizer)
    dataset = TokenDataset(folder)
    assert texts(dataset) == [row.text for row in rows]
    answer = evaluate(run, folder)["baselines"]
    text = rows[0].text.encode()
    assert answer["gzip"]["bits_per_byte"]["science"] == 8 * len(gzip.compress(text, 9, mtime=0)) / len(text)
    assert answer["gzip"]["eq"] is None
    uniform = unigram_bits(dataset, np.zeros(dataset.ref.vocab_size, np.int64))
    assert uniform == pytest.approx(dataset.documents.lengths * np.log2(dataset.ref.vocab_size))


def test_another_tokenizer_is_refused(tmp_path: Path, run: Path) -> None:
    other = train_tokenizer(documents(seed=1, count=40), 300)
    folder = write_tokens(tmp_path / "d", documents(count=4), other)
    with pytest.raises(UsageError, match="another tokenizer"):
        evaluate(run, folder)
