"""Routing, execution, balance and policies."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.trainer.conftest import small_config, with_random_zeros
from trainer.config import TopKConfig
from trainer.experts import KPolicy, MoE, load_imbalance, sample_policies, updated_bias
from trainer.model import Transformer, initialise


def experts_layer(seed: int = 0) -> MoE:
    model = Transformer(small_config().model, 64)
    initialise(model, torch.Generator().manual_seed(seed))
    with_random_zeros(model)
    layer = model.moe_layers()[0]
    with torch.no_grad():
        layer.bias_E.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(seed))
        layer.router.mul_(20.0)
    return layer


def dense_reference(layer: MoE, x_TD: Tensor, policy: KPolicy) -> Tensor:
    """Every expert on every token, then the weighted sum over the chosen ones: what the routing means."""
    scores_TE = (x_TD @ layer.router.T).sigmoid()
    ranked = (scores_TE + layer.bias_E).argsort(1, descending=True)[:, : policy.k]
    chosen = scores_TE.gather(1, ranked)
    keep = policy.keep(chosen)
    kept = chosen if keep is None else chosen * keep
    weights_TE = torch.zeros_like(scores_TE).scatter(1, ranked, kept / kept.sum(1, keepdim=True))
    gate, up = torch.einsum("td,edf->tef", x_TD, layer.w_in).chunk(2, dim=2)
    return torch.einsum("tef,efd,te->td", F.silu(gate) * up, layer.w_out, weights_TE) + layer.shared(x_TD)


POLICIES = [KPolicy(1), KPolicy(4), KPolicy(16), KPolicy(8, "min_p", 0.9), KPolicy(8, "top_p", 0.4, minimum=2)]


@pytest.mark.parametrize("policy", POLICIES)
def test_grouped_execution_is_the_dense_definition_both_ways(policy: KPolicy) -> None:
    layer = experts_layer()
    x = torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y, routing = layer(x, policy)
    expected = dense_reference(layer, x.view(30, 16), policy).view_as(x)
    assert torch.allclose(y, expected, atol=1e-5)
    inputs = [x, layer.w_in, layer.w_out, layer.router]
    # The gradient of a sum is expanded, which the grouped product does not take as it is.
    for got, wanted in zip(torch.autograd.grad(y.sum(), inputs), torch.autograd.grad(expected.sum(), inputs)):
        assert torch.allclose(got, wanted, atol=1e-4)
    assert routing.load_E.sum() <= 30 * policy.k
    assert (policy.kind != "fixed") == (routing.load_E.sum() < 30 * policy.k)


def test_the_bias_chooses_but_does_not_weigh() -> None:
    layer = experts_layer()
    x = torch.randn(1, 20, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        layer.bias_E.zero_()[5] = 10.0
        _, routing = layer(x, KPolicy(2))
    assert routing.load_E[5] == 20
    assert torch.allclose(layer(x, KPolicy(2))[0], dense_reference(layer, x[0], KPolicy(2))[None], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 15), st.integers(0, 1000))
def test_a_smaller_k_is_a_prefix_of_a_larger_one(k: int, seed: int) -> None:
    layer = experts_layer()
    x = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(seed))
    fewer, more = (layer(x, KPolicy(number))[1].load_E for number in (k, k + 1))
    assert (fewer <= more).all()
    assert int(more.sum() - fewer.sum()) == 12


def test_policies_keep_what_they_say() -> None:
    scores = torch.tensor([[0.8, 0.5, 0.3, 0.2], [0.9, 0.05, 0.03, 0.02]])
    assert KPolicy(4).keep(scores) is None
    assert KPolicy(4, "min_p", 0.5).keep(scores).tolist() == [[True, True, False, False], [True] + [False] * 3]
    assert KPolicy(4, "top_p", 0.7).keep(scores).tolist() == [[True, True, False, False], [True] + [False] * 3]
    assert KPolicy(4, "top_p", 0.1, minimum=3).keep(scores).tolist() == [[True, True, True, False]] * 2


def test_balance_moves_against_the_load_and_stays_centred() -> None:
    bias = updated_bias(torch.zeros(4), torch.tensor([10, 2, 2, 2]), 0.001)
    assert bias[0] < 0 < bias[1] == bias[2] == bias[3]
    assert abs(float(bias.sum())) < 1e-9
    assert (updated_bias(torch.zeros(4), torch.full((4,), 7), 0.001) == 0).all()
    assert load_imbalance([torch.tensor([10, 2, 2, 2]), torch.tensor([4, 4, 4, 4])]) == (2.5 + 1.0) / 2


def test_balance_evens_the_load() -> None:
    """A thousand updates at the default rate bring the imbalance of a crowded layer under 1.5."""
    layer = experts_layer()
    x = torch.randn(8, 32, 16, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        before = load_imbalance([layer(x, KPolicy(4))[1].load_E])
        for _ in range(1000):
            layer.bias_E.copy_(updated_bias(layer.bias_E, layer(x, KPolicy(4))[1].load_E, 1e-3))
        after = load_imbalance([layer(x, KPolicy(4))[1].load_E])
    assert before > 1.5 > after


def test_sequence_loss_is_one_at_perfect_balance_and_grows() -> None:
    layer = experts_layer()
    with torch.no_grad():
        layer.router.zero_()
        layer.bias_E.copy_(torch.arange(16) * -1.0)
    x = torch.randn(2, 8, 16)
    with torch.inference_mode():
        assert abs(float(layer(x, KPolicy(4))[1].sequence_loss) - 1.0) < 1e-5
        layer.router[0] = 100.0
        assert float(layer(x.abs(), KPolicy(4))[1].sequence_loss) > 1.05


def test_k_is_drawn_as_configured() -> None:
    config = TopKConfig(full_k=12, min_k=2, full_k_probability=0.5)
    generator = torch.Generator().manual_seed(4)
    drawn = [policy.k for _ in range(500) for policy in sample_policies(config, 7, generator)]
    share = {k: drawn.count(k) / len(drawn) for k in range(1, 14)}
    assert share[1] == share[13] == 0.0
    assert abs(share[12] - (0.5 + 0.5 / 11)) < 0.03
    assert all(abs(share[k] - 0.5 / 11) < 0.02 for k in range(2, 12))
    assert {policy.k for policy in sample_policies(TopKConfig(5, 2, 1.0), 50, generator)} == {5}
