"""Sliding and full attention, the caches, and their size."""

import math

import pytest
import torch

from tests.trainer.conftest import small_config, with_random_zeros
from trainer.attention import (
    CachedKV,
    PackedKV,
    full_mask,
    kv_bytes,
    kv_bytes_per_token,
    sliding_attention,
    sliding_mask,
)
from trainer.config import LayerConfig, ModelConfig, hybrid_layers
from trainer.data.tokens import DataRef
from trainer.experts import KPolicy
from trainer.generate import decode_step
from trainer.state import TrainingState

REF = DataRef("0" * 64, "0" * 64, vocab_size=64, eod_id=2)
SEGMENTS = torch.tensor([[0] * 19, [0] * 5 + [1] * 3 + [2] * 11])


def reference_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor, window: int
) -> torch.Tensor:
    """The definition, position by position: the last `window` tokens of the same document."""
    out = torch.zeros_like(q)
    for b in range(q.shape[0]):
        for t in range(q.shape[2]):
            seen = [s for s in range(max(0, t - window + 1), t + 1) if segments[b, s] == segments[b, t]]
            for h in range(q.shape[1]):
                g = h // (q.shape[1] // k.shape[1])
                weights = (k[b, g, seen] @ q[b, h, t] / math.sqrt(q.shape[3])).softmax(0)
                out[b, h, t] = weights @ v[b, g, seen]
    return out


@pytest.mark.parametrize("window", [1, 4, 7, 19, 32])
def test_sliding_attention_is_the_definition(window: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 19, 8, generator=generator)
    k, v = (torch.randn(2, 2, 19, 8, generator=generator) for _ in range(2))
    out = sliding_attention(q, k, v, sliding_mask(SEGMENTS, window), window)
    assert torch.allclose(out, reference_attention(q, k, v, SEGMENTS, window), atol=1e-6)


def test_full_mask_is_causal_and_within_the_document() -> None:
    mask = full_mask(SEGMENTS)[1, 0]
    assert mask[4].nonzero().flatten().tolist() == [0, 1, 2, 3, 4]
    assert mask[7].nonzero().flatten().tolist() == [5, 6, 7]
    assert mask[8].nonzero().flatten().tolist() == [8]


def test_sliding_attention_is_linear_in_length() -> None:
    """Elements of the score matrices: 2 L W, so that twice the length costs twice, not four times."""
    sizes = [sliding_mask(torch.zeros(1, length, dtype=torch.int64), 16).numel() for length in (256, 512, 1024)]
    assert sizes == [2 * 256 * 16, 2 * 512 * 16, 2 * 1024 * 16]


def test_a_document_does_not_attend_to_its_neighbours() -> None:
    state = TrainingState.create(small_config(), REF)
    with_random_zeros(state.model)
    policies = [KPolicy(4)] * state.config.model.n_moe_layers
    tokens = torch.randint(3, 64, (1, 20), generator=torch.Generator().manual_seed(1))
    alone, _ = state.model(tokens[:, 8:], PackedKV(torch.zeros(1, 12, dtype=torch.int64), 4), policies)
    packed, _ = state.model(tokens, PackedKV(torch.tensor([[0] * 8 + [1] * 12]), 4), policies)
    assert torch.allclose(packed[:, 8:], alone, atol=1e-5)
    mixed, _ = state.model(tokens, PackedKV(torch.zeros(1, 20, dtype=torch.int64), 4), policies)
    assert not torch.allclose(mixed[:, 8:], alone, atol=1e-2)


@pytest.mark.parametrize("policy", [KPolicy(4), KPolicy(2), KPolicy(8, "top_p", 0.5)])
def test_decoding_equals_training_beyond_two_windows(policy: KPolicy) -> None:
    config = small_config()
    state = TrainingState.create(config, REF)
    with_random_zeros(state.model)
    length = 5 * config.model.window + 3
    tokens = torch.randint(3, 64, (2, length), generator=torch.Generator().manual_seed(2))
    kv = PackedKV(torch.zeros(2, length, dtype=torch.int64), config.model.window)
    with torch.inference_mode():
        hidden, _ = state.model(tokens, kv, [policy] * config.model.n_moe_layers)
        expected = state.model.logits(hidden)
        cache = CachedKV(config.model, 2, length)
        for t in range(length):
            logits = decode_step(state.model, tokens[:, t : t + 1], cache, policy)
            assert (logits - expected[:, t]).abs().max() < 1e-5, f"position {t}"


@pytest.mark.parametrize(("windows", "saving"), [(1, 0.125), (4, 0.6875), (16, 0.828125), (32, 1 - 1 / 8 - 3 / 128)])
def test_kv_saving_is_the_formula_to_the_byte(windows: int, saving: float) -> None:
    config = small_config().model
    length = windows * config.window
    twin = ModelConfig(**{**config.__dict__, "layers": tuple(LayerConfig("full", i, "moe") for i in range(8))})
    assert 1 - kv_bytes(config, length) / kv_bytes(twin, length) == saving
    for each in (config, twin):
        assert CachedKV(each, 3, length).allocated_bytes == 3 * kv_bytes(each, length)
    assert kv_bytes_per_token(config, length) == kv_bytes(config, length) / length


def test_only_the_first_layer_of_a_pair_has_keys_and_values() -> None:
    state = TrainingState.create(small_config(), REF)
    blocks = list(state.model.layers())
    assert [layer.kv_group for layer in hybrid_layers(2)] == [0, 1, 2, 6, 3, 4, 5, 6]
    assert [hasattr(block.attention, "wk") for block in blocks] == [True] * 7 + [False]
