"""Feed-forward layers: a dense SwiGLU, and a mixture of fine-grained routed experts with one shared expert.

Routing: sigmoid scores in fp32; the k experts with the largest score + bias are chosen; their scores, without the
bias, are normalised to sum to 1 and weight the experts' outputs (DeepSeek-V3, 2412.19437, section 2.1.2). The bias is
not a parameter: after each optimizer step `updated_bias` moves it against the load, so balancing needs no gradient.
k may differ by layer, by micro-batch and, under a `KPolicy`, by token. The chosen experts are ranked, so a smaller k
uses a prefix of the experts of a larger k.

Execution: (token, expert) pairs are sorted by expert, and one grouped matrix product runs all experts. Gathering rows
and summing them back are each other's transpose, so forward and backward are both gathers: without atomics, the same
input gives the same bits.

Shapes: B sequences, L positions, T = B x L tokens, D d_model, E experts, F d_ff_expert, K experts per token,
N dispatched (token, expert) pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import ModelConfig, TopKConfig


@dataclass(frozen=True)
class KPolicy:
    """How many routed experts a token uses: `k` of them ("fixed"), or fewer where the scores allow it.

    "min_p" keeps the experts whose score is at least `value` times the token's best score (llama.cpp #4470).
    "top_p" keeps the fewest whose scores sum to at least `value` of the scores of the best `k` (2403.07652).
    Both keep at least `minimum` experts and at most `k`.
    """

    k: int
    kind: Literal["fixed", "min_p", "top_p"] = "fixed"
    value: float = 0.0
    minimum: int = 1

    def keep(self, scores_TK: Tensor) -> Tensor | None:
        """Which of the chosen experts to keep, [T, K] of bool, given their scores best first. None for all."""
        if self.kind == "fixed":
            return None
        if self.kind == "min_p":
            keep_TK = scores_TK >= self.value * scores_TK[:, :1]
        else:
            share_TK = scores_TK / scores_TK.sum(1, keepdim=True)
            keep_TK = share_TK.cumsum(1) - share_TK < self.value
        keep_TK[:, : self.minimum] = True
        return keep_TK


def sample_policies(config: TopKConfig, layers: int, generator: torch.Generator) -> tuple[KPolicy, ...]:
    """A fixed k for each of `layers` MoE layers: `full_k` with probability `full_k_probability`, else uniform in
    `min_k`..`full_k`."""
    full_M = torch.rand(layers, generator=generator, dtype=torch.float64) < config.full_k_probability
    other_M = torch.randint(config.min_k, config.full_k + 1, (layers,), generator=generator)
    return tuple(KPolicy(int(k)) for k in torch.where(full_M, config.full_k, other_M))


class RoutingStats(NamedTuple):
    """Of one MoE layer and one micro-batch: tokens routed to each expert, and the sequence-wise balance loss."""

    load_E: Tensor
    sequence_loss: Tensor


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, 2002.05202). `w_in` stacks the gate and up projections."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(2 * d_ff, d_model))
        self.w_out = nn.Parameter(torch.empty(d_model, d_ff))

    def forward(self, x: Tensor) -> Tensor:
        gate, up = F.linear(x, self.w_in).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, self.w_out)


class MoE(nn.Module):
    """Routed SwiGLU experts, stored [E, in, out], and one shared expert that every token uses."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scale = config.routed_scaling_factor
        self.router = nn.Parameter(torch.empty(config.n_experts, config.d_model))
        self.bias_E: Tensor
        self.register_buffer("bias_E", torch.zeros(config.n_experts))
        self.w_in = nn.Parameter(torch.empty(config.n_experts, config.d_model, 2 * config.d_ff_expert))
        self.w_out = nn.Parameter(torch.empty(config.n_experts, config.d_ff_expert, config.d_model))
        self.shared = FeedForward(config.d_model, config.d_ff_shared)

    def forward(self, x_BLD: Tensor, policy: KPolicy) -> tuple[Tensor, RoutingStats]:
        x_TD = x_BLD.flatten(0, 1)
        scores_TE = F.linear(x_TD.float(), self.router.float()).sigmoid()
        chosen_TK = (scores_TE.detach() + self.bias_E).topk(policy.k, dim=1).indices
        weights_TK = scores_TE.gather(1, chosen_TK)
        keep_TK = policy.keep(weights_TK)
        if keep_TK is not None:
            weights_TK = weights_TK * keep_TK
        weights_TK = weights_TK * (self.scale / weights_TK.sum(1, keepdim=True))
        y_TD = self.routed(x_TD, chosen_TK, weights_TK, keep_TK)
        routing = _routing_stats(scores_TE.view(*x_BLD.shape[:2], -1), chosen_TK, keep_TK)
        return y_TD.view_as(x_BLD) + self.shared(x_BLD), routing

    def routed(self, x_TD: Tensor, chosen_TK: Tensor, weights_TK: Tensor, keep_TK: Tensor | None) -> Tensor:
        """The weighted sum of the chosen experts' outputs, [T, D]."""
        E = self.router.shape[0]
        # Pairs that the policy dropped sort after the last expert and are cut off.
        expert_N = chosen_TK.flatten() if keep_TK is None else chosen_TK.where(keep_TK, E).flatten()
        rows = expert_N.numel() if keep_TK is None else int(keep_TK.sum())
        order_N = expert_N.argsort(stable=True)
        inverse_TK = torch.empty_like(order_N)
        inverse_TK[order_N] = torch.arange(order_N.numel())
        inverse_TK = inverse_TK.clamp(max=rows).view_as(chosen_TK)
        order_N = order_N[:rows]
        token_N = order_N // chosen_TK.shape[1]
        ends_E = expert_N.bincount(minlength=E)[:E].cumsum(0).to(torch.int32)

        x_ND: Tensor = _Dispatch.apply(x_TD, token_N, inverse_TK)  # type: ignore[no-untyped-call]
        gate, up = F.grouped_mm(x_ND, self.w_in, offs=ends_E).chunk(2, dim=-1)
        h_NF = F.silu(gate) * up * weights_TK.flatten()[order_N, None]
        y_ND = F.grouped_mm(h_NF, self.w_out, offs=ends_E)
        y_TD: Tensor = _Combine.apply(y_ND, token_N, inverse_TK)  # type: ignore[no-untyped-call]
        return y_TD


def _routing_stats(scores_BLE: Tensor, chosen_TK: Tensor, keep_TK: Tensor | None) -> RoutingStats:
    """The load, and the mean over sequences of sum_e f_e P_e, which is 1 at perfect balance (f_e = 1, P_e = 1 / E)."""
    B, length, E = scores_BLE.shape
    pairs = chosen_TK + E * torch.arange(B).repeat_interleave(length)[:, None]
    load_BE = (pairs if keep_TK is None else pairs[keep_TK]).flatten().bincount(minlength=B * E).view(B, E)
    fraction_BE = load_BE * (E / load_BE.sum(1, keepdim=True))
    share_BE = (scores_BLE / scores_BLE.sum(2, keepdim=True)).mean(1)
    return RoutingStats(load_BE.sum(0), (fraction_BE * share_BE).sum(1).mean())


def updated_bias(bias_E: Tensor, load_E: Tensor, rate: float) -> Tensor:
    """The selection bias after one optimizer step: `rate` up for experts under the mean load, `rate` down for experts
    over it, then centred (Wang et al. 2024, 2408.15664, algorithm 1).

    `load_E`: tokens per expert, summed over the whole global batch (all micro-batches and ranks).
    """
    load_E = load_E.double()
    moved_E = bias_E + rate * (load_E.mean() - load_E).sign().to(bias_E.dtype)
    return moved_E - moved_E.mean()


def load_imbalance(loads_E: Sequence[Tensor]) -> float:
    """Largest load over mean load, averaged over layers; 1 is perfect balance."""
    return sum(float(load_E.max() / load_E.double().mean()) for load_E in loads_E) / len(loads_E)


def _sum_slots(rows_ND: Tensor, inverse_TK: Tensor) -> Tensor:
    """Sum over K of each token's rows, [T, D]. Index N means a dropped pair, which adds zero."""
    if inverse_TK.numel() > rows_ND.shape[0]:
        rows_ND = F.pad(rows_ND, (0, 0, 0, 1))
    return rows_ND.index_select(0, inverse_TK.flatten()).view(*inverse_TK.shape, -1).sum(1)


class _Dispatch(torch.autograd.Function):
    """[T, D] to [N, D]: a copy of the token's row for each pair."""

    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, token_N: Tensor, inverse_TK: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_TK)
        return x_TD.index_select(0, token_N)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inverse_TK,) = ctx.saved_tensors
        return _sum_slots(grads[0], inverse_TK), None, None


class _Combine(torch.autograd.Function):
    """[N, D] to [T, D]: the transpose of `_Dispatch`. Its gradient is a gather and so contiguous; the grouped product
    fails on an expanded gradient."""

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, token_N: Tensor, inverse_TK: Tensor) -> Tensor:
        ctx.save_for_backward(token_N)
        return _sum_slots(y_ND, inverse_TK)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (token_N,) = ctx.saved_tensors
        return grads[0].index_select(0, token_N), None, None
