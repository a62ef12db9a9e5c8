"""Texts do not depend on the batch, end with the document, and are drawn as asked."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from infra.errors import UsageError
from mixers.tokenizer import Tokenizer
from tests.pipeline.command import refinery
from tests.trainer.conftest import EOD, REF, small_config, with_random_zeros, write_config
from trainer.api import Sampling, generate, train
from trainer.baselines import open_tokenizer
from trainer.cache import Caches, kv_bytes
from trainer.generate import continue_tokens, decode_step, encode, for_inference, prefill
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.sampling import random_streams
from trainer.state import TrainingState

PROMPTS = ["the river", "", "my neighbour remembers an old song", "the river", "in"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("run")
    schedule = {"warmup_steps": 5, "trunk_steps": 40, "decay_steps": 0}
    model = {"d_ff_expert": 8}
    train(write_config(root, schedule=schedule, model=model), data, root / "run")
    return root / "run"


def small_model() -> Transformer:
    return with_random_zeros(TrainingState.create(small_config(model={"d_ff_expert": 8}), REF).model)


def test_a_prompt_is_continued_alone_as_among_others(run: Path) -> None:
    rows = generate(run, PROMPTS, 25, sampling=Sampling(seed=1))
    assert [row.prompt for row in rows] == PROMPTS
    assert rows == generate(run, PROMPTS, 25, sampling=Sampling(seed=1), batch_size=2)
    assert [rows[2]] == generate(run, [PROMPTS[2]], 25, sampling=Sampling(seed=1))
    assert rows[0] == generate(run, ["the river"], 25, sampling=Sampling(seed=1))[0] != rows[3]
    assert rows != generate(run, PROMPTS, 25, sampling=Sampling(seed=2))
    greedy = [generate(run, PROMPTS, 25, sampling=Sampling(0.0, seed=seed)) for seed in (1, 2)]
    assert greedy[0] == greedy[1] and greedy[0][0] == greedy[0][3]
    assert generate(run, ["the river"], 25, sampling=Sampling(5.0, top_k=1)) == greedy[0][:1]


def test_documents_end(run: Path) -> None:
    """Those of the data have at most seven sentences."""
    rows = generate(run, [""] * 12, 400)
    ended = [row for row in rows if row.ended]
    assert len(ended) > 6 and all(0 <= row.tokens < 400 for row in ended)
    assert all(row.tokens == 400 for row in rows if not row.ended)
    assert not any("</s>" in row.text for row in rows)
    assert [row.text for row in generate(run, [""] * 12, 3)] == [
        row.text for row in generate(run, [""] * 12, 3, batch_size=5)
    ]


def test_generation_in_bfloat16(run: Path) -> None:
    """The greedy text is that of the model, position by position, whose products are in bfloat16."""
    (row,) = generate(run, ["the river"], 10, dtype="bfloat16", sampling=Sampling(0.0))
    assert row.tokens and row == generate(run, ["the river"], 10, dtype="bfloat16", sampling=Sampling(0.0))[0]
    with pytest.raises(UsageError, match="use float32 or bfloat16"):
        generate(run, [""], dtype="float16")


def test_caches_in_bfloat16_hold_what_the_forward_pass_has() -> None:
    model = for_inference(small_model(), torch.bfloat16)
    dtypes = {parameter.dtype for name, parameter in model.named_parameters() if "router" in name}
    assert dtypes == {torch.float32} and model.head.dtype is torch.bfloat16
    tokens = torch.randint(3, 64, (2, 20), generator=torch.Generator().manual_seed(2))
    plan = packed_plan(model.config, torch.zeros(2, 20, dtype=torch.int64), torch.device("cpu"), model.dtype)
    with torch.inference_mode():
        out = model(tokens, plan, [KPolicy(16)] * model.config.n_moe_layers)
        expected = model.logits(out.hidden_BLD)
        caches = Caches(model.config, 2, 20, model.dtype)
        logits = [prefill(model, tokens[:, :3].tolist(), caches, KPolicy(16))]
        logits += [decode_step(model, tokens[:, t : t + 1], caches, KPolicy(16)) for t in range(3, 20)]
    assert caches.allocated_bytes == 2 * kv_bytes(model.config, 20, 2)
    assert (torch.stack(logits, 1) - expected[:, 2:]).abs().max() < 0.03 * expected.abs().max()


def test_weights_in_bfloat16_are_what_products_round_them_to() -> None:
    """Bit for bit."""
    ours, cast = small_model(), for_inference(small_model(), torch.bfloat16)
    ours.dtype = torch.bfloat16
    tokens = torch.randint(3, 64, (2, 20), generator=torch.Generator().manual_seed(2))
    plan = packed_plan(ours.config, torch.zeros(2, 20, dtype=torch.int64), torch.device("cpu"), ours.dtype)
    policies = [KPolicy(4)] * ours.config.n_moe_layers
    with torch.inference_mode():
        one, other = (model.logits(model(tokens, plan, policies).hidden_BLD) for model in (ours, cast))
    assert torch.equal(one, other)


def test_bfloat16_is_refused_for_rows_that_it_cannot_have() -> None:
    model = TrainingState.create(small_config(), REF).model
    with pytest.raises(UsageError, match="use float32"):
        for_inference(model, torch.bfloat16)


def test_a_sequence_that_ended_stays_so() -> None:
    """A model whose most likely token is the end, in the middle of a batch."""
    model = small_model()
    with torch.no_grad():
        model.head.zero_()
    prompts = [[EOD, 5], [EOD], [EOD, 7, 9]]
    given = [KPolicy(4), Sampling(temperature=0.0), random_streams(prompts, 0)]
    with torch.inference_mode():
        assert continue_tokens(model, prompts, 4, *given, eod_id=0) == [[0]] * 3
        assert continue_tokens(model, prompts, 4, *given, eod_id=EOD) == [[0] * 4] * 3
        given[1] = dataclasses.replace(given[1], temperature=1.0)
        for row in continue_tokens(model, prompts, 200, *given, eod_id=EOD):
            assert EOD not in row[:-1] and (row[-1] == EOD or len(row) == 200)


def test_prompts_are_encoded_as_documents_are(tmp_path: Path, tokenizer: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tokenizer)
    theirs = Tokenizer(tmp_path / "tokenizer.model")
    for text in ("", "the river\u2581near", "\u2581", " a  b\u2581\u2581"):
        ids = encode(open_tokenizer(tokenizer), text)
        assert ids == theirs.encode_batch([text])[0].tolist()
        assert theirs.decode(ids) == text


@pytest.mark.parametrize("given", [{"tokens": 0}, {"batch_size": 0}, {"k": 17}, {"sampling": Sampling(top_p=2)}])
def test_numbers_out_of_range_are_refused(given: dict[str, object], run: Path) -> None:
    with pytest.raises(UsageError):
        generate(run, [""], **given)  # type: ignore[arg-type]


def test_the_command_line_takes_a_file_of_prompts(run: Path, tmp_path: Path) -> None:
    """And says what the function does, JSON line by line."""
    (tmp_path / "prompts.txt").write_text("the river\n\nin\u2028the\n")
    words = ["--tokens", 8, "--top-p", 0.9, "--top-k", 20, "--seed", 3, "--policy", "top_p=0.5"]
    lines = refinery("generate", "--checkpoint", run, "--prompts", tmp_path / "prompts.txt", *words)
    sampling = Sampling(top_p=0.9, top_k=20, seed=3)
    rows = generate(run, ["the river", "", "in\u2028the"], 8, policy="top_p=0.5", sampling=sampling)
    assert [json.loads(line) for line in lines.removesuffix("\n").split("\n")] == [row._asdict() for row in rows]
    given = ["generate", "--checkpoint", run, "--prompt", "the river"]
    assert refinery(*given, *words) == rows[0].text + "\n"
    assert json.loads(refinery(*given, *words, "--json")) == rows[0]._asdict()
    assert "not both" in refinery(*given, "--prompts", tmp_path / "prompts.txt", code=2)
    (tmp_path / "empty.txt").touch()
    for name in ("empty.txt", "missing.txt"):
        assert name in refinery("generate", "--checkpoint", run, "--prompts", tmp_path / name, code=2)


def test_the_command_line_exports(run: Path, tmp_path: Path) -> None:
    given = ["export-model", run, "--out", tmp_path / "exported", "--dtype", "bfloat16", "--json"]
    answer = json.loads(refinery(*given))
    assert (tmp_path / "exported" / "model.safetensors").stat().st_size == answer["bytes"]
    assert "exists already" in refinery(*given, code=2)
    assert "float16" in refinery("export-model", run, "--out", tmp_path / "other", "--dtype", "float16", code=2)
