"""Decoding through the caches equals the forward pass, and the caches have the bytes of the formula."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainer.conftest import REF, small_config, with_random_zeros
from trainer.cache import Caches, kv_bytes, kv_bytes_per_token
from trainer.config import LayerConfig, ModelConfig
from trainer.generate import decode_step, prefill
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.state import TrainingState

POLICIES = [KPolicy(4), KPolicy(2), KPolicy(8, "top_p", 0.5)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("prompt", [1, 3, 11])
def test_decoding_equals_the_forward_pass_beyond_two_windows(policy: KPolicy, prompt: int) -> None:
    config = small_config()
    model = with_random_zeros(TrainingState.create(config, REF).model)
    length = 5 * config.model.window + 3
    tokens = torch.randint(3, 64, (2, length), generator=torch.Generator().manual_seed(2))
    plan = packed_plan(config.model, torch.zeros(2, length, dtype=torch.int64), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        out = model(tokens, plan, [policy] * config.model.n_moe_layers)
        expected = model.logits(out.hidden_BLD)
        caches = Caches(config.model, 2, length)
        logits = prefill(model, tokens[:, :prompt].tolist(), caches, policy)
        for t in range(prompt, length):
            assert (logits - expected[:, t - 1]).abs().max() < 1e-5, f"position {t - 1}"
            logits = decode_step(model, tokens[:, t : t + 1], caches, policy)
        assert (logits - expected[:, -1]).abs().max() < 1e-5


def test_a_step_through_the_caches_has_the_loss_and_every_gradient_of_the_forward_pass() -> None:
    """Of the last token, beyond two windows: gradients go back through what the rings hold, to the keys and values that
    two layers share."""
    config = small_config()
    model = with_random_zeros(TrainingState.create(config, REF).model)
    length, policy = 5 * config.model.window + 3, KPolicy(4)
    tokens = torch.randint(3, 64, (2, length + 1), generator=torch.Generator().manual_seed(2))

    def backward(logits_BV: Tensor) -> tuple[float, dict[str, Tensor]]:
        model.zero_grad()
        loss = F.cross_entropy(logits_BV, tokens[:, -1])
        loss.backward()
        return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}  # type: ignore[union-attr]

    plan = packed_plan(config.model, torch.zeros(2, length, dtype=torch.int64), torch.device("cpu"), torch.float32)
    out = model(tokens[:, :-1], plan, policy.for_layers(config.model.n_moe_layers))
    loss, grads = backward(model.logits(out.hidden_BLD[:, -1]))
    caches = Caches(config.model, 2, length)
    prefill(model, tokens[:, : length - 1].tolist(), caches, policy)
    cached_loss, cached = backward(decode_step(model, tokens[:, length - 1 : length], caches, policy))
    assert cached_loss == pytest.approx(loss, abs=1e-5)
    assert len(grads) > 50 and all(grad.any() for name, grad in grads.items() if name.endswith(("wk", "wv")))
    for name, grad in grads.items():
        assert torch.allclose(cached[name], grad, rtol=0, atol=2e-5 * float(grad.abs().max())), name


def test_prompts_of_other_lengths_share_a_batch() -> None:
    config = small_config()
    model = with_random_zeros(TrainingState.create(config, REF).model)
    drawn = torch.randint(3, 64, (3, 40), generator=torch.Generator().manual_seed(3))
    prompts = [drawn[0, :14].tolist(), drawn[1, :2].tolist(), drawn[2, :9].tolist()]
    new = drawn[:, 20:32]
    with torch.inference_mode():
        together = Caches(config.model, 3, 30)
        logits = [prefill(model, prompts, together, KPolicy(4))]
        logits += [decode_step(model, new[:, t : t + 1], together, KPolicy(4)) for t in range(12)]
        for row, prompt in enumerate(prompts):
            alone = Caches(config.model, 1, 30)
            assert (prefill(model, [prompt], alone, KPolicy(4)) - logits[0][row]).abs().max() < 1e-5
            for t in range(12):
                one = decode_step(model, new[row : row + 1, t : t + 1], alone, KPolicy(4))
                assert (one - logits[t + 1][row]).abs().max() < 1e-5, f"token {t} of prompt {row}"


@pytest.mark.parametrize(("windows", "saving"), [(1, 0.125), (4, 0.6875), (16, 0.828125), (32, 1 - 1 / 8 - 3 / 128)])
def test_kv_saving_is_the_formula_to_the_byte(windows: int, saving: float) -> None:
    config = small_config().model
    length = windows * config.window
    twin = ModelConfig(**{**config.__dict__, "layers": tuple(LayerConfig("full", i, "moe") for i in range(8))})
    assert 1 - kv_bytes(config, length) / kv_bytes(twin, length) == saving
    for each in (config, twin):
        assert Caches(each, 3, length).allocated_bytes == 3 * kv_bytes(each, length)
        assert Caches(each, 3, length, torch.bfloat16).allocated_bytes == 3 * kv_bytes(each, length, 2)
    assert kv_bytes_per_token(config, length) == kv_bytes(config, length) / length
