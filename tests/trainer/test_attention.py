"""Attention over packed documents: each plan against the definition, and what its size and cost are."""

import math

import pytest
import torch
from torch import Tensor

from infra.errors import UsageError
from tests.trainer.conftest import REF, small_config, with_random_zeros
from trainer.attention import KV, apply_rope, rope_table
from trainer.config import hybrid_layers
from trainer.plans import (
    FLEX_BLOCK,
    FlexPlan,
    ReferencePlan,
    block_pairs,
    choose_backend,
    document_ends,
    documents_of,
    packed_plan,
    sliding_mask,
)
from trainer.policies import KPolicy
from trainer.state import TrainingState

CPU = torch.device("cpu")
SEGMENTS = torch.tensor([[0] * 19, [0] * 5 + [1] * 3 + [2] * 11])


def reference_attention(q: Tensor, kv: KV, segments: Tensor, window: int | None) -> Tensor:
    """The definition, position by position: the last `window` tokens of the same document, or all of them."""
    out = torch.zeros_like(q)
    for b in range(q.shape[0]):
        for t in range(q.shape[2]):
            first = 0 if window is None else max(0, t - window + 1)
            seen = [s for s in range(first, t + 1) if segments[b, s] == segments[b, t]]
            for h in range(q.shape[1]):
                g = h // (q.shape[1] // kv.k.shape[1])
                weights = (kv.k[b, g, seen] @ q[b, h, t] / math.sqrt(q.shape[3])).softmax(0)
                out[b, h, t] = weights @ kv.v[b, g, seen]
    return out


def random_qkv(length: int, seed: int = 0) -> tuple[Tensor, KV]:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, 4, length, 8, generator=generator)
    return q, KV(*(torch.randn(2, 2, length, 8, generator=generator) for _ in range(2)))


@pytest.mark.parametrize("window", [1, 4, 7, 19, 32])
def test_both_kinds_of_attention_are_the_definition(window: int) -> None:
    q, kv = random_qkv(19)
    config = small_config(model={"window": window}).model
    plan = packed_plan(config, SEGMENTS, CPU, torch.float32)
    assert torch.allclose(plan.attend("sliding", q, kv), reference_attention(q, kv, SEGMENTS, window), atol=1e-6)
    assert torch.allclose(plan.attend("full", q, kv), reference_attention(q, kv, SEGMENTS, None), atol=1e-6)


@pytest.mark.parametrize("window", [1, 100, 128, 129, 300, 1000])
def test_flex_attention_is_the_reference(window: int) -> None:
    length = 5 * FLEX_BLOCK - 7
    cuts = torch.tensor([[0, 37, 256, 300], [0, 1, 2, 639]])
    segments = (torch.arange(length)[None, :, None] >= cuts[:, None, :]).sum(2)
    config = small_config(model={"window": window}).model
    q, kv = random_qkv(length)
    reference = packed_plan(config, segments, CPU, torch.float32)
    with torch.no_grad():
        flex = packed_plan(config, segments, CPU, torch.float32, "flex")
        assert isinstance(flex, FlexPlan)
        for kind in ("sliding", "full"):
            assert torch.allclose(flex.attend(kind, q, kv), reference.attend(kind, q, kv), atol=1e-5)


@pytest.mark.parametrize("window", [1, 128, 129, 130, 257, None])
def test_block_pairs_are_those_of_the_whole_mask(window: int | None) -> None:
    length = 4 * FLEX_BLOCK + 3
    segments = torch.zeros(2, length, dtype=torch.int64)
    segments[1, 130:] = 1
    position = torch.arange(length)
    near = position[:, None] >= position[None, :]
    if window is not None:
        near &= position[:, None] - position[None, :] < window
    mask = near & (segments[:, :, None] == segments[:, None, :])
    N = -(-length // FLEX_BLOCK)
    padded = torch.zeros(2, N * FLEX_BLOCK, N * FLEX_BLOCK, dtype=torch.bool)
    padded[:, :length, :length] = mask
    blocks = padded.view(2, N, FLEX_BLOCK, N, FLEX_BLOCK)
    partial, whole = block_pairs(segments, window)
    assert torch.equal(whole, blocks.all(4).all(2))
    assert torch.equal(partial, blocks.any(4).any(2) & ~whole)


def test_documents_and_their_ends() -> None:
    assert documents_of(SEGMENTS) == ((0, 0, 19), (1, 0, 5), (1, 5, 8), (1, 8, 19))
    assert document_ends(SEGMENTS).tolist() == [0, 19, 24, 27, 38]
    assert document_ends(SEGMENTS[1:]).tolist() == [0, 5, 8, 19, 19]


def test_a_backend_that_cannot_run_is_refused() -> None:
    assert choose_backend(CPU, torch.float32, "auto") == "reference"
    assert choose_backend(torch.device("cuda"), torch.bfloat16, "auto") == "varlen"
    assert choose_backend(torch.device("cuda"), torch.float32, "auto") == "flex"
    with pytest.raises(UsageError, match="needs CUDA"):
        choose_backend(CPU, torch.bfloat16, "varlen")
    with pytest.raises(UsageError, match="no backward pass"):
        choose_backend(CPU, torch.float32, "flex")


def test_sliding_attention_is_linear_in_length() -> None:
    """Elements of the score matrices: 2 L W, so that twice the length costs twice, not four times."""
    sizes = [sliding_mask(torch.zeros(1, length, dtype=torch.int64), 16).numel() for length in (256, 512, 1024)]
    assert sizes == [2 * 256 * 16, 2 * 512 * 16, 2 * 1024 * 16]


def test_a_window_longer_than_the_sequence_costs_what_the_sequence_does() -> None:
    plan = packed_plan(small_config(model={"window": 1 << 40}).model, SEGMENTS, CPU, torch.float32)
    assert isinstance(plan, ReferencePlan)
    assert plan.sliding_mask.numel() == 2 * 2 * 19 * 19
    q, kv = random_qkv(19)
    assert torch.allclose(plan.attend("sliding", q, kv), plan.attend("full", q, kv), atol=1e-6)


def test_rope_keeps_the_precision_and_depends_on_distance_alone() -> None:
    x = torch.randn(1, 1, 2, 8, generator=torch.Generator().manual_seed(0))
    near, far = (apply_rope(x, rope_table(torch.tensor([t, t + 3]), 8, 1e4)) for t in (0, 100_000))
    assert torch.allclose(near[..., 0, :] @ near[..., 1, :].mT, far[..., 0, :] @ far[..., 1, :].mT, atol=1e-4)
    assert apply_rope(x.bfloat16(), rope_table(torch.arange(2), 8, 1e4)).dtype is torch.bfloat16


def test_a_document_does_not_attend_to_its_neighbours() -> None:
    state = TrainingState.create(small_config(), REF)
    with_random_zeros(state.model)
    config = state.config.model
    policies = [KPolicy(4)] * config.n_moe_layers
    tokens = torch.randint(3, 64, (1, 20), generator=torch.Generator().manual_seed(1))

    def hidden(tokens: Tensor, segments: list[int]) -> Tensor:
        plan = packed_plan(config, torch.tensor([segments]), CPU, torch.float32)
        return state.model(tokens, plan, policies).hidden_BLD

    alone = hidden(tokens[:, 8:], [0] * 12)
    packed = hidden(tokens, [0] * 8 + [1] * 12)
    assert torch.allclose(packed[:, 8:], alone, atol=1e-5)
    assert not torch.allclose(hidden(tokens, [0] * 20)[:, 8:], alone, atol=1e-2)


def test_only_the_first_layer_of_a_pair_has_keys_and_values() -> None:
    state = TrainingState.create(small_config(), REF)
    assert [layer.kv_group for layer in hybrid_layers(2)] == [0, 1, 2, 6, 3, 4, 5, 6]
    assert [hasattr(block.attention, "wk") for block in state.model.layers()] == [True] * 7 + [False]
