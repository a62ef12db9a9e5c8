"""Loss and every gradient are the same however a step is carried out: passes, recomputation, compilation, precision.

Others shipped faults of exactly this kind without an error: shared keys and values that trained on 150 of 420 gradients
under recomputation (unsloth-zoo #1275), loads that recomputation counted twice (torchtitan #3686).
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.conftest import REF, small_config, with_random_zeros
from trainer.config import Config, ExecutionConfig
from trainer.data.pack import Batch, plain_batch
from trainer.plans import Backend, packed_plan
from trainer.policies import DrawnK, draw_k
from trainer.prepare import prepare
from trainer.state import TrainingState
from trainer.train import accumulate_gradients

B, L = 4, 24


class Step(NamedTuple):
    """What one step computes: the loss of each target, the gradient of each parameter, and the loads."""

    nats_BL: Tensor
    grads: dict[str, Tensor]
    load_MKE: Tensor


def batch() -> Batch:
    drawn = np.random.Generator(np.random.Philox(3))
    tokens = drawn.integers(3, 64, (B, L + 1))
    segments = np.cumsum(drawn.random((B, L)) < 0.15, axis=1)
    return plain_batch(tokens[:, :-1], tokens[:, 1:], segments)


def state_of(config: Config, dtype: torch.dtype = torch.float32) -> TrainingState:
    state = TrainingState.create(config, REF)
    with_random_zeros(state.model)
    state.model.to(dtype)
    if dtype is torch.float64:
        state.model.dtype = dtype
    return state


def take(config: Config, ready: Callable[[TrainingState], None] | None = None) -> Step:
    """Forward and backward over the batch; `ready` changes the model before it."""
    state = state_of(config)
    prepare(state.model, config.execution)
    if ready:
        ready(state)
    k_MB = draw_k(config.top_k, config.run.seed, 5, range(B), config.model.n_moe_layers)
    result = accumulate_gradients(state, batch(), k_MB)
    grads = {name: parameter.grad.clone() for name, parameter in state.model.named_parameters()}  # type: ignore[union-attr]
    return Step(result.nats_BL, grads, result.load_MKE)


def largest_difference(a: Step, b: Step, least: int = 50) -> float:
    """Largest difference of any gradient, over the largest value of that gradient. There are over `least` of them."""
    assert a.grads.keys() == b.grads.keys() and len(a.grads) > least
    return max(
        float((a.grads[name] - grad).abs().max() / grad.abs().max().clamp(min=1e-12)) for name, grad in b.grads.items()
    )


BASE: dict[str, Any] = {
    "top_k": {"full_k": 4, "min_k": 1, "draw": "sequence"},
    "optimizer": {"z_loss_weight": 1e-3},
    "load_balancing": {"sequence_loss_weight": 0.1},
}


@pytest.mark.parametrize("kept", ["experts", "block"])
def test_recomputed_activations_change_no_bit(kept: str) -> None:
    plain = take(small_config(**BASE))
    again = take(small_config(**BASE, execution={"activation_checkpointing": kept}))
    assert torch.equal(plain.nats_BL, again.nats_BL)
    assert torch.equal(plain.load_MKE, again.load_MKE)
    for name, grad in plain.grads.items():
        assert torch.equal(grad, again.grads[name]), name


@pytest.mark.parametrize("draw", ["layer", "sequence"])
@pytest.mark.parametrize("mode", ["bias", "losses"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_passes_change_the_last_bits_alone(draw: str, mode: str, size: int) -> None:
    sections = BASE | {"top_k": BASE["top_k"] | {"draw": draw}}
    # Two of the three losses are over all tokens of a pass, so that they do depend on passes: they get no weight.
    sections["load_balancing"] = {"mode": mode, "expert_loss_weight": 0.0, "group_loss_weight": 0.0, "groups": 4}
    whole = take(small_config(**sections, execution={"micro_batch_size": B}))
    passes = take(small_config(**sections, execution={"micro_batch_size": size}))
    assert torch.equal(whole.load_MKE, passes.load_MKE)
    assert torch.allclose(whole.nats_BL, passes.nats_BL, atol=1e-5)
    assert largest_difference(passes, whole) < 2e-5


@pytest.mark.long
@pytest.mark.skipif(os.system("c++ --version > /dev/null 2>&1") != 0, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("kept", ["none", "block"])
def test_compiled_blocks_change_the_last_bits_alone(kept: str) -> None:
    torch._dynamo.reset()
    plain = take(small_config(**BASE))
    compiled = take(small_config(**BASE, execution={"compile": True, "activation_checkpointing": kept}))
    assert torch.equal(plain.load_MKE, compiled.load_MKE)
    assert torch.allclose(plain.nats_BL, compiled.nats_BL, atol=1e-5)
    assert largest_difference(compiled, plain) < 2e-5


@pytest.mark.long
@pytest.mark.skipif(os.system("c++ --version > /dev/null 2>&1") != 0, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(("backend", "breaks"), [("flex", 0), ("reference", 5)])
def test_another_batch_or_k_compiles_nothing_again(backend: Backend, breaks: int) -> None:
    """FlexAttention, which runs on a CPU without gradients, breaks no graph; the reference's loop over documents does,
    in each of the five blocks that are compiled (others are equal to them)."""
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    state = TrainingState.create(small_config(model={"head_dim": 16, "window": 16}), REF)
    prepare(state.model, ExecutionConfig(compile=True))
    frames = []
    with torch.no_grad():
        for seed in range(3):
            drawn = np.random.Generator(np.random.Philox(seed))
            segments = torch.from_numpy(np.cumsum(drawn.random((2, 256)) < 0.05, axis=1))
            tokens = torch.from_numpy(drawn.integers(3, 64, (2, 256)))
            plan = packed_plan(state.config.model, segments, state.device, torch.float32, backend)
            state.model(tokens, plan, [DrawnK(4, torch.tensor([1 + seed, 4]))] * 7)
            frames.append(dict(counters["frames"]))
    assert frames[0]["ok"] > 0 and frames[1:] == frames[:1] * 2
    assert sum(counters["graph_break"].values()) == breaks


def test_gradients_of_shared_keys_and_values_are_the_slope_of_the_loss() -> None:
    """In double precision: the producers' wk and wv, which two layers use, and the reader's own weights."""
    config = small_config(load_balancing={"sequence_loss_weight": 0.0})
    state = state_of(config, torch.float64)
    part = batch()
    k_MB = draw_k(config.top_k, 1, 5, range(B), config.model.n_moe_layers)

    def loss() -> float:
        state.optimizer.zero_grad()
        return float(accumulate_gradients(state, part, k_MB).nats_BL.double().mean())

    loss()
    names = [f"blocks.3.attention.{name}" for name in ("wk", "wv", "k_norm", "wq")]
    names += ["blocks.7.attention.wq", "blocks.7.attention.wo", "blocks.0.attention.wk"]
    parameters = dict(state.model.named_parameters())
    directions = {name: torch.randn(parameters[name].shape, dtype=torch.float64) for name in names}
    grads = {name: parameters[name].grad.clone() for name in names}  # type: ignore[union-attr]
    for name, direction in directions.items():
        with torch.no_grad():
            values = []
            for sign in (1, -2):
                parameters[name] += sign * 1e-5 * direction
                with torch.enable_grad():
                    values.append(loss())
            parameters[name] += 1e-5 * direction
        slope = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(float((grads[name] * direction).sum()), rel=1e-5, abs=1e-9), name


def test_bfloat16_is_near_float32_and_keeps_float32_where_it_must() -> None:
    sections = BASE | {"model": {"d_ff_expert": 8}}
    plain = take(small_config(**sections))
    half = take(small_config(**sections, run={"compute_dtype": "bfloat16"}))
    assert all(grad.dtype is torch.float32 for grad in half.grads.values())
    assert half.nats_BL.dtype is torch.float32
    assert float((half.nats_BL - plain.nats_BL).abs().mean()) < 0.05
    cosine = [
        float(torch.nn.functional.cosine_similarity(half.grads[name].flatten(), grad.flatten(), dim=0))
        for name, grad in plain.grads.items()
    ]
    assert np.median(cosine) > 0.98
