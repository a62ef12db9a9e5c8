"""The chunked loss against its definition, value and gradients."""

import pytest
import torch
import torch.nn.functional as F

from trainer.loss import CHUNK, token_losses


@pytest.mark.parametrize("tokens", [1, CHUNK, 2 * CHUNK + 3])
@pytest.mark.parametrize("z_weight", [0.0, 0.3])
@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_the_definition(tokens: int, z_weight: float, padded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, 8, generator=generator, requires_grad=True)
    head = torch.randn(50, 8, generator=generator, requires_grad=True)
    target = torch.randint(50, (tokens,), generator=generator)
    real = torch.arange(tokens) % 3 != 1 if padded else None
    losses = token_losses(hidden, head, target, z_weight, real)
    logits = hidden @ head.T
    nats = F.cross_entropy(logits, target, reduction="none")
    used = torch.ones(tokens) if real is None else real.float()
    total = ((nats + z_weight * logits.logsumexp(1).square()) * used).sum()
    assert torch.allclose(losses.nats_T, nats * used, atol=1e-5)
    assert torch.allclose(losses.total, total, rtol=1e-5)
    got = torch.autograd.grad(0.1 * losses.total, (hidden, head))
    for mine, wanted in zip(got, torch.autograd.grad(0.1 * total, (hidden, head)), strict=True):
        assert torch.allclose(mine, wanted, rtol=1e-4, atol=1e-5)


def test_a_frozen_head_or_a_frozen_body_needs_no_gradient() -> None:
    hidden, head = torch.randn(5, 8), torch.randn(20, 8)
    target = torch.arange(5)
    assert not token_losses(hidden, head, target).total.requires_grad
    for frozen, trained in ((hidden, head), (head, hidden)):
        trained.requires_grad_()
        token_losses(hidden, head, target).total.backward()
        assert frozen.grad is None and trained.grad is not None
        trained.requires_grad_(False).grad = None
