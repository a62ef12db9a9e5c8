"""Routing, execution, balance and policies."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.trainer.conftest import small_config, with_random_zeros
from trainer.balance import balance_loss, cell_loss, load_imbalance, updated_bias
from trainer.config import LoadBalancingConfig, TopKConfig
from trainer.dispatch import plan_dispatch
from trainer.experts import Experts, MoE, Routing
from trainer.few_tokens import PAIRS_PER_EXPERT
from trainer.model import Transformer, initialise
from trainer.policies import DrawnK, KPolicy, Policy, draw_k


def experts_layer(seed: int = 0) -> MoE:
    model = Transformer(small_config().model, 64)
    initialise(model, torch.Generator().manual_seed(seed))
    with_random_zeros(model)
    layer = model.moe_layers()[0]
    with torch.no_grad():
        layer.router.bias_E.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(seed))
        layer.router.weight.mul_(20.0)
    return layer


def dense_reference(layer: MoE, x_TD: Tensor, policy: Policy) -> Tensor:
    """Every expert on every token, then the weighted sum over the chosen ones: what the routing means."""
    scores_TE = (x_TD @ layer.router.weight.T).sigmoid()
    ranked = (scores_TE + layer.router.bias_E).argsort(1, descending=True)[:, : policy.most]
    chosen = scores_TE.gather(1, ranked)
    keep = policy.keep(chosen)
    used = chosen if keep is None else chosen * keep
    weights_TE = torch.zeros_like(scores_TE).scatter(1, ranked, used / used.sum(1, keepdim=True))
    gate, up = torch.einsum("td,edf->tef", x_TD, layer.experts.w_in).chunk(2, dim=2)
    return torch.einsum("tef,efd,te->td", F.silu(gate) * up, layer.experts.w_out, weights_TE) + layer.shared(x_TD)


POLICIES: list[Policy] = [
    KPolicy(1), KPolicy(4), KPolicy(16), KPolicy(8, "min_p", 0.9), KPolicy(8, "top_p", 0.4, minimum=2),
    DrawnK(6, torch.tensor([1, 6, 3])),
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("recompute", [False, True])
def test_grouped_execution_is_the_dense_definition_both_ways(policy: Policy, recompute: bool) -> None:
    layer = experts_layer()
    layer.recompute = recompute
    x = torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y, routing = layer(x, policy, None)
    expected = dense_reference(layer, x.view(30, 16), policy).view_as(x)
    assert torch.allclose(y, expected, atol=1e-5)
    inputs = [x, layer.experts.w_in, layer.experts.w_out, layer.router.weight]
    # The gradient of a sum is expanded, which the grouped product does not take as it is.
    for got, wanted in zip(torch.autograd.grad(y.sum(), inputs), torch.autograd.grad(expected.sum(), inputs)):
        assert torch.allclose(got, wanted, atol=1e-4)
    assert routing.load_KE.sum() == routing.load_BE.sum() <= 30 * policy.most
    fixed = isinstance(policy, KPolicy) and policy.kind == "fixed"
    assert fixed == (routing.load_KE.sum() == 30 * policy.most)


@pytest.mark.parametrize("policy", POLICIES[1:5])
def test_few_pairs_without_gradients_are_the_same(policy: Policy) -> None:
    """Each token alone, as in decoding, and one that is padding."""
    layer = experts_layer()
    x = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, _ = layer(x.expand(20, -1, -1), policy, None)
        for t in range(6):
            assert torch.allclose(layer(x[:, t : t + 1], policy, None)[0][0, 0], expected[0, t], atol=1e-6)
        padding, routing = layer(x[:, :1], policy, torch.zeros(1, 1, dtype=torch.bool))
    assert torch.equal(padding, layer.shared(x[:, :1])) and routing.load_KE.sum() == 0


@pytest.mark.parametrize(
    ("tokens", "dtype"), [*((n, torch.float32) for n in (1, 3, 16, 17)), *((n, torch.bfloat16) for n in (1, 4))]
)
def test_few_tokens_are_summed_as_many_are(tokens: int, dtype: torch.dtype) -> None:
    """Up to the most pairs that have a way of their own (4 for each of 16 experts), and beyond. Some pairs have no
    expert, and two tokens have the same experts."""
    layer, generator = experts_layer(), torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, 16, generator=generator)
    expert = torch.stack([torch.randperm(17, generator=generator)[:4] for _ in range(tokens)])
    expert[-1] = expert[0]
    weights = torch.rand(tokens, 4, generator=generator).where(expert < 16, 0.0)
    assert (tokens * 4 > PAIRS_PER_EXPERT * 16) == (tokens == 17)
    grouped = layer.routed(x, expert, weights)
    with torch.no_grad():
        few = layer.routed(x.to(dtype), expert, weights)
        alone = layer.routed(x[-1:].to(dtype), expert[-1:], weights[-1:])
    assert few.dtype is dtype
    assert torch.allclose(few.float(), grouped, atol=1e-6 if dtype is torch.float32 else 0.05)
    if tokens < 17 and dtype is torch.float32:
        assert torch.equal(few[-1:], alone)


def test_experts_that_are_elsewhere_are_asked_for_few_tokens_too() -> None:
    class Elsewhere(Experts):
        all_here = False

        def forward(self, x_ND: Tensor, weight_N: Tensor, ends_E: Tensor) -> Tensor:
            return super().forward(x_ND, weight_N, ends_E) + 1.0

    layer = experts_layer()
    x = torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        here, _ = layer(x, KPolicy(4), None)
        layer.experts.__class__ = Elsewhere
        there, _ = layer(x, KPolicy(4), None)
    assert torch.allclose(there, here + 4.0, atol=1e-5)


def test_padding_uses_no_expert_and_counts_nowhere() -> None:
    layer = experts_layer()
    x = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(1))
    real = torch.ones(2, 10, dtype=torch.bool)
    real[1, 4:] = False
    y, routing = layer(x, KPolicy(4), real)
    alone, first = layer(x[1:, :4], KPolicy(4), None)
    assert torch.allclose(y[1:, :4], alone, atol=1e-6)
    assert torch.allclose(y[1, 4:], layer.shared(x[1, 4:]), atol=1e-6)
    assert routing.load_BE.sum(1).tolist() == [40, 16] == [40, int(first.load_KE.sum())]
    assert torch.equal(routing.used_BL, 4 * real)
    assert torch.allclose(routing.score_BE[1], first.score_BE[0], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 5), st.sampled_from([1, 8]))
def test_each_kept_pair_has_one_row_of_its_expert(seed: int, K: int, E: int, align: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    expert_TK = torch.randint(0, E + 1, (7, K), generator=generator)
    pair_N, row_TK, ends_E, whole = plan_dispatch(expert_TK, E, align)
    kept = expert_TK.flatten() < E
    rows = row_TK.flatten()[kept]
    assert (row_TK.flatten()[~kept] == len(pair_N)).all()
    assert torch.equal(pair_N[rows], kept.nonzero().flatten())
    assert sorted(rows.tolist()) == (pair_N < 7 * K).nonzero().flatten().tolist()
    expert_of_row = torch.searchsorted(ends_E.long(), rows, right=True)
    assert torch.equal(expert_of_row, expert_TK.flatten()[kept])
    assert (ends_E % align == 0).all()
    assert whole == (bool(kept.all()) and len(pair_N) == 7 * K)


def test_scores_that_underflow_still_weigh() -> None:
    layer = experts_layer()
    x = torch.ones(1, 1, 16)
    with torch.no_grad():
        layer.router.weight.fill_(-100.0)
        layer.router.weight[3] += 0.01
    y, _ = layer(x, KPolicy(4), None)
    assert (x[0] @ layer.router.weight.T).sigmoid().max() == 0.0
    assert y.isfinite().all() and not torch.allclose(y, layer.shared(x))


def test_the_bias_chooses_but_does_not_weigh() -> None:
    layer = experts_layer()
    x = torch.randn(1, 20, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        layer.router.bias_E.zero_()[5] = 10.0
        y, routing = layer(x, KPolicy(2), None)
    assert routing.load_KE[0, 5] == 20
    assert torch.allclose(y, dense_reference(layer, x[0], KPolicy(2))[None], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 15), st.integers(0, 1000))
def test_a_smaller_k_is_a_prefix_of_a_larger_one(k: int, seed: int) -> None:
    layer = experts_layer()
    x = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(seed))
    fewer, more = (layer(x, KPolicy(number), None)[1].load_KE for number in (k, k + 1))
    assert torch.equal(fewer, more[:k])
    assert int(more[k].sum()) == 12


def test_policies_keep_what_they_say() -> None:
    scores = torch.tensor([[0.8, 0.5, 0.3, 0.2], [0.9, 0.05, 0.03, 0.02]])
    assert KPolicy(4).keep(scores) is None
    assert KPolicy(4, "min_p", 0.5).keep(scores).tolist() == [[True, True, False, False], [True] + [False] * 3]
    assert KPolicy(4, "top_p", 0.7).keep(scores).tolist() == [[True, True, False, False], [True] + [False] * 3]
    assert KPolicy(4, "top_p", 0.1, minimum=3).keep(scores).tolist() == [[True, True, True, False]] * 2
    assert KPolicy(4, "table", table=(4, 1)).for_layers(2) == [KPolicy(4), KPolicy(1)]
    assert KPolicy(4, "min_p", 0.5).for_layers(2) == [KPolicy(4, "min_p", 0.5)] * 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["min_p", "top_p"]), st.floats(0.05, 1.0), st.integers(1, 3))
def test_policies_count_by_the_scores_and_keep_by_rank(seed: int, kind: str, value: float, minimum: int) -> None:
    """Under a bias the rank is not that of the scores: as many are kept whatever it is, and always the first."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(5, 6, generator=generator)
    policy = KPolicy(6, kind, value, minimum)  # type: ignore[arg-type]
    keep = policy.keep(scores)
    ranked = scores.sort(1, descending=True).values
    in_order = policy.keep(ranked)
    assert keep is not None and in_order is not None and torch.equal(keep, in_order)
    number = keep.sum(1)
    assert (keep.int().diff(dim=1) <= 0).all() and (number >= minimum).all()
    if kind == "min_p":
        assert torch.equal(number, (scores >= value * scores.amax(1, keepdim=True)).sum(1).clamp(min=minimum))
    else:
        # The best `number` are enough, and one less is not.
        mass = ranked.cumsum(1) / ranked.sum(1, keepdim=True)
        assert (mass.gather(1, number[:, None] - 1)[:, 0] >= value - 1e-6).all()
        fewer = mass.gather(1, (number - 2).clamp(min=0)[:, None])[:, 0]
        assert ((fewer < value + 1e-6) | (number == minimum)).all()


def test_balance_moves_against_the_load_and_stays_centred() -> None:
    bias = updated_bias(torch.zeros(4), torch.tensor([10, 2, 2, 2]), 0.001)
    assert bias[0] < 0 < bias[1] == bias[2] == bias[3]
    assert abs(float(bias.sum())) < 1e-9
    assert (updated_bias(torch.zeros(4), torch.full((4,), 7), 0.001) == 0).all()
    assert load_imbalance(torch.tensor([[10, 2, 2, 2], [4, 4, 4, 4]])).tolist() == [2.5, 1.0]


def test_balance_evens_the_load() -> None:
    """A thousand updates at the default rate bring the imbalance of a crowded layer under 1.5."""
    layer = experts_layer()
    x = torch.randn(8, 32, 16, generator=torch.Generator().manual_seed(3))

    def load() -> Tensor:
        load_E: Tensor = layer(x, KPolicy(4), None)[1].load_KE.sum(0)
        return load_E

    with torch.inference_mode():
        before = load_imbalance(load()[None])
        for _ in range(1000):
            layer.router.bias_E.copy_(updated_bias(layer.router.bias_E, load(), 1e-3))
        after = load_imbalance(load()[None])
    assert before > 1.5 > after


def test_balance_losses_are_one_at_perfect_balance_and_grow() -> None:
    even = torch.full((2, 8), 0.125)
    assert torch.allclose(cell_loss(torch.full((2, 8), 6), even), torch.ones(2))
    crowded = torch.tensor([[1.0] + [0.0] * 7] * 2)
    assert torch.allclose(cell_loss(crowded * 48, crowded), torch.full((2,), 8.0))


def test_the_three_losses_see_experts_groups_and_sequences() -> None:
    """Each sequence uses one group, and the two groups are even together: only the partition's loss is not 1."""
    load = torch.tensor([[3, 3, 0, 0], [0, 0, 3, 3]])
    routing = Routing(torch.zeros(2, 4, dtype=torch.int64), load, load / 6, torch.zeros(2, 1, dtype=torch.int64))
    weights = {"expert_loss_weight": 0.0, "group_loss_weight": 0.0, "partition_loss_weight": 0.0}
    for name, expected in (("expert", 1.0), ("group", 1.0), ("partition", 2.0)):
        config = LoadBalancingConfig("losses", groups=2, **weights | {f"{name}_loss_weight": 1.0})
        assert float(balance_loss(config, [routing])) == pytest.approx(expected)
    bias = LoadBalancingConfig("bias", sequence_loss_weight=0.5)
    assert float(balance_loss(bias, [routing, routing])) == pytest.approx(2 * 0.5 * 2.0)


def test_k_is_drawn_as_configured() -> None:
    config = TopKConfig(full_k=12, min_k=2, full_k_probability=0.5)
    drawn = [int(k) for step in range(500) for k in draw_k(config, 4, step, [0], 7)[:, 0]]
    share = {k: drawn.count(k) / len(drawn) for k in range(1, 14)}
    assert share[1] == share[13] == 0.0
    assert abs(share[12] - (0.5 + 0.5 / 11)) < 0.03
    assert all(abs(share[k] - 0.5 / 11) < 0.02 for k in range(2, 12))
    assert (draw_k(TopKConfig(5, 2, 1.0), 1, 3, range(8), 50) == 5).all()


@settings(deadline=None)
@given(st.integers(0, 2**62), st.integers(0, 10**6), st.integers(1, 8))
def test_k_does_not_depend_on_how_the_batch_is_dealt(seed: int, step: int, parts: int) -> None:
    layer, sequence = (TopKConfig(12, 2, 0.5, draw) for draw in ("layer", "sequence"))  # type: ignore[arg-type]
    for config in (layer, sequence):
        whole = draw_k(config, seed, step, range(8), 5)
        dealt = [draw_k(config, seed, step, range(r * 8 // parts, (r + 1) * 8 // parts), 5) for r in range(parts)]
        assert (whole == np.concatenate(dealt, axis=1)).all()
    assert (draw_k(layer, seed, step, [0], 5)[:, 0] == draw_k(layer, seed, step, range(8), 5).T).all()
    assert (draw_k(sequence, seed, step, range(8), 5) == draw_k(sequence, seed, step, range(8), 1)).all()
