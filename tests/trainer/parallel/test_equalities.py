"""Loss and every gradient are the same with any number of ranks, and with experts on one rank or on several.

Others shipped faults of exactly this kind without an error: gradients of experts doubled (pytorch #160285) or divided
(Megatron-LM #5956) by the ranks that share them.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer.conftest import small_config
from tests.trainer.parallel.spawn import SECONDS, on_ranks
from tests.trainer.test_equalities import BASE, B, Step, batch, largest_difference, state_of
from trainer.config import Config
from trainer.parallel.layout import RankPart, part_of
from trainer.parallel.ranks import joined
from trainer.policies import draw_k
from trainer.prepare import prepare
from trainer.state import CPU, TrainingState
from trainer.train import accumulate_gradients, train_step

MESHES = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]  # ranks, and how many of them share experts
SEQUENCE_BY_SEQUENCE = {"micro_batch_size": 1}


@contextmanager
def state_on(config: Config, dtype: torch.dtype = torch.float32) -> Iterator[TrainingState]:
    """The state of `state_of`, of which this rank holds its part."""
    whole = state_of(config, dtype)
    tensors = whole.tensors()
    with joined(CPU, config.execution.expert_parallel) as ranks:
        torch.set_default_dtype(dtype)
        state = TrainingState.restore(
            whole.header(), lambda name, first, count: rows_of(tensors[name], first, count), config, CPU, ranks
        )
        state.model.dtype = whole.model.dtype
        prepare(state.model, config.execution)
        yield state


def rows_of(tensor: torch.Tensor, first: int, count: int) -> torch.Tensor:
    return tensor[first : first + count] if tensor.ndim else tensor


def step_on_rank(config: Config, dtype: torch.dtype) -> dict[str, Any]:
    """On a rank: forward and backward, and this rank's part of what they give."""
    with state_on(config, dtype) as state:
        share = state.ranks.share(B)
        k_MB = draw_k(config.top_k, config.run.seed, 5, range(B), config.model.n_moe_layers)
        result = accumulate_gradients(state, batch().rows(share.start, share.stop), k_MB[:, share])
        if config.execution.compile:
            assert torch._dynamo.utils.counters["frames"]["ok"] > 0
        grads = {
            name: held(part_of(parameter.grad, state.ranks))  # type: ignore[arg-type]
            for name, parameter in state.model.named_parameters()
        }
        return {"nats": result.nats_BL.numpy(), "load": result.load_MKE.numpy(), "grads": grads}


def held(part: RankPart) -> tuple[tuple[int, ...], int, np.ndarray]:
    return part.shape, part.first, part.rows.numpy()


def joined_parts(parts: Iterable[tuple[tuple[int, ...], int, np.ndarray]]) -> torch.Tensor:
    """The whole of which each rank has a part; each row is in one of them."""
    parts = sorted(parts, key=lambda part: part[1])
    rows = np.concatenate([rows for _, _, rows in parts])
    assert rows.shape == parts[0][0]
    return torch.from_numpy(rows)


def take(world_size: int, expert_parallel: int, dtype: torch.dtype, seconds: float = SECONDS, **sections: Any) -> Step:
    """The step of `tests.trainer.test_equalities.take`, on ranks."""
    execution = SEQUENCE_BY_SEQUENCE | sections.pop("execution", {}) | {"expert_parallel": expert_parallel}
    config = small_config(**BASE | sections, execution=execution)
    found = on_ranks(world_size, step_on_rank, config, dtype, seconds=seconds)
    grads = {name: [each["grads"][name] for each in found] for name in found[0]["grads"]}
    if world_size == 1:
        whole = {name: torch.from_numpy(parts[0][2]) for name, parts in grads.items()}
    else:
        whole = {name: joined_parts(parts) for name, parts in grads.items()}
    nats_BL = torch.from_numpy(np.concatenate([each["nats"] for each in found]))
    return Step(nats_BL, whole, torch.from_numpy(sum(each["load"] for each in found)))


@pytest.fixture(scope="module")
def alone() -> Step:
    return take(1, 1, torch.float64)


@pytest.mark.parametrize(("world_size", "expert_parallel"), MESHES[1:])
def test_ranks_change_the_order_of_sums_alone(alone: Step, world_size: int, expert_parallel: int) -> None:
    """In double precision, in which another order of sums changes the last of 15 digits; producers' wk and wv are among
    the gradients."""
    step = take(world_size, expert_parallel, torch.float64)
    assert torch.equal(step.load_MKE, alone.load_MKE)
    assert torch.allclose(step.nats_BL, alone.nats_BL, rtol=0, atol=1e-12)
    assert {"blocks.3.attention.wk", "blocks.3.attention.wv", "blocks.1.ffn.experts.w_in"} < step.grads.keys()
    assert largest_difference(step, alone) < 1e-11


def test_losses_of_a_sequence_are_the_same_bits_on_any_rank() -> None:
    """As each rank does what one process does for the same sequence; gradients are summed in another order."""
    alone, four = (take(ranks, 1, torch.float32) for ranks in (1, 4))
    assert torch.equal(alone.nats_BL, four.nats_BL) and torch.equal(alone.load_MKE, four.load_MKE)
    assert largest_difference(four, alone) < 1e-5


@pytest.mark.parametrize("kept", ["experts", "block"])
def test_recomputed_activations_change_no_bit_on_ranks(kept: str) -> None:
    """Rows travel to experts once more, in the backward pass."""
    plain, again = (take(2, 2, torch.float32, execution={"activation_checkpointing": how}) for how in ("none", kept))
    assert torch.equal(plain.nats_BL, again.nats_BL) and torch.equal(plain.load_MKE, again.load_MKE)
    for name, grad in plain.grads.items():
        assert torch.equal(grad, again.grads[name]), name


# Few blocks, as each takes a minute to compile: a sliding dense one, and two full ones with experts that share keys and
# values.
FEW_BLOCKS = [
    {"attention": "sliding", "kv_group": 0, "ffn": "dense"},
    {"attention": "full", "kv_group": 1, "ffn": "moe"},
    {"attention": "full", "kv_group": 1, "ffn": "moe"},
]


@pytest.mark.long
@pytest.mark.skipif(os.system("c++ --version > /dev/null 2>&1") != 0, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(
    ("expert_parallel", "kept"), [(1, "none"), (1, "block"), (2, "none"), (2, "experts"), (2, "block")]
)
def test_compiled_blocks_on_ranks_are_those_of_one_plain_process(expert_parallel: int, kept: str) -> None:
    """Every gradient, in double precision."""
    model = {"layers": FEW_BLOCKS}
    execution = {"compile": True, "activation_checkpointing": kept}
    plain = take(1, 1, torch.float64, model=model)
    compiled = take(2, expert_parallel, torch.float64, seconds=1200.0, model=model, execution=execution)
    assert torch.equal(plain.load_MKE, compiled.load_MKE)
    assert torch.allclose(plain.nats_BL, compiled.nats_BL, rtol=0, atol=1e-12)
    assert {"blocks.1.attention.wk", "blocks.1.attention.wv", "blocks.2.ffn.experts.w_in"} < plain.grads.keys()
    assert largest_difference(compiled, plain, least=25) < 1e-11


@pytest.mark.parametrize("expert_parallel", [1, 2])
def test_weights_gathered_in_bfloat16_are_those_that_products_take(expert_parallel: int) -> None:
    sections = {"run": {"compute_dtype": "bfloat16"}, "model": {"d_ff_expert": 8}}
    alone, two = (
        take(ranks, parallel, torch.float32, **sections) for ranks, parallel in ((1, 1), (2, expert_parallel))
    )
    assert torch.equal(alone.load_MKE, two.load_MKE)
    assert torch.allclose(alone.nats_BL, two.nats_BL, rtol=0, atol=0 if expert_parallel == 1 else 0.02)
    assert largest_difference(two, alone) < (1e-2 if expert_parallel == 1 else 3e-2)


def steps_on_rank(config: Config, optimizer_steps: int) -> dict[str, Any]:
    """On a rank: some optimizer steps on the same batch, and this rank's part of the state."""
    with state_on(config) as state:
        share = state.ranks.share(B)
        part = batch().rows(share.start, share.stop)
        rows = [train_step(state, part, state.cursor, ["all"]) for _ in range(optimizer_steps)]
        parts = {name: held(part_of(tensor.detach(), state.ranks)) for name, tensor in state.tensors().items()}
        return {"rows": rows, "parts": parts}


@pytest.mark.parametrize("muon", [[], ["attention", "experts", "dense"]])
def test_optimizer_steps_are_the_same_on_ranks(muon: list[str]) -> None:
    method = {"muon_groups": muon, "muon_learning_rate": 0.01} if muon else {}
    optimizer = BASE["optimizer"] | method | {"frozen_groups": ["embedding"]}
    sections = BASE | {"optimizer": optimizer}
    found = {}
    for world_size, expert_parallel in ((1, 1), (4, 2)):
        execution = SEQUENCE_BY_SEQUENCE | {"expert_parallel": expert_parallel}
        found[world_size] = on_ranks(world_size, steps_on_rank, small_config(**sections, execution=execution), 3)
    alone, four = found[1][0], found[4]
    assert all(each["rows"] == four[0]["rows"] for each in four)
    for row, other in zip(alone["rows"], four[0]["rows"], strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=1e-6)
        assert other["grad_norm"] == pytest.approx(row["grad_norm"], rel=1e-5)
        assert other["load_imbalance_by_k"] == row["load_imbalance_by_k"]
    for name, (shape, _, values) in alone["parts"].items():
        parts = [each["parts"][name] for each in four]
        same = all(part[2].shape == shape for part in parts)
        whole = parts[0][2] if same else joined_parts(parts).numpy()
        assert np.abs(whole - values).max() <= 2e-5 * max(1.0, np.abs(values).max()), name
