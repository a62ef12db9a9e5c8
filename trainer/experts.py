"""Feed-forward layers: one dense SwiGLU, and fine-grained routed experts beside a shared one.

Routing: sigmoid scores in fp32; the k experts with the largest score + bias are chosen; the chosen scores, without
the bias, are normalised to sum to one and weigh the experts (DeepSeek-V3, 2412.19437, section 2.1.2). The bias is no
parameter: after each optimizer step it moves against the load (`balanced_bias`), so that balance costs no gradient.
k may differ by layer, by micro-batch and, under a policy, by token: the ranking is nested, so a smaller k is always
a prefix of a larger one.

Execution: the (token, expert) pairs are sorted by expert, and one grouped matrix product does all experts. Gathering
rows and summing them back are each other's transpose, so both directions are gathers: no atomics, the same bits
each time.

Shapes: B sequences, L positions, T = B x L tokens, D width, E experts, F expert hidden, K experts per token,
N dispatched pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import KConfig, ModelConfig


@dataclass(frozen=True)
class KPolicy:
    """How many experts a token uses: `k` ("fixed"), or as many of its best `k` as the token needs.

    "threshold": those whose score is at least `value` times the best one's. "mass": the fewest whose share of the
    scores of the best `k` reaches `value`. Never fewer than `minimum`.
    """

    k: int
    kind: Literal["fixed", "threshold", "mass"] = "fixed"
    value: float = 0.0
    minimum: int = 1

    def keep(self, scores_TK: Tensor) -> Tensor | None:
        """Which of the ranked experts stay, or None for all."""
        if self.kind == "fixed":
            return None
        if self.kind == "threshold":
            keep_TK = scores_TK >= self.value * scores_TK[:, :1]
        else:
            share_TK = scores_TK / scores_TK.sum(1, keepdim=True)
            keep_TK = share_TK.cumsum(1) - share_TK < self.value
        keep_TK[:, : self.minimum] = True
        return keep_TK


def draw_policies(config: KConfig, layers: int, generator: torch.Generator) -> tuple[KPolicy, ...]:
    """One k for each expert layer: `train` with probability `full_mass`, else uniform in `minimum`..`train`."""
    full_M = torch.rand(layers, generator=generator, dtype=torch.float64) < config.full_mass
    other_M = torch.randint(config.minimum, config.train + 1, (layers,), generator=generator)
    return tuple(KPolicy(int(k)) for k in torch.where(full_M, config.train, other_M))


class Routing(NamedTuple):
    """What one expert layer did with one micro-batch: tokens by expert, and the sequence-wise balance loss."""

    load_E: Tensor
    sequence_loss: Tensor


class Dense(nn.Module):
    """SwiGLU (Shazeer 2020, 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(2 * hidden, width))
        self.w_out = nn.Parameter(torch.empty(width, hidden))

    def forward(self, x: Tensor) -> Tensor:
        gate, up = F.linear(x, self.w_in).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, self.w_out)


class Experts(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scale = config.routed_scale
        self.router = nn.Parameter(torch.empty(config.experts, config.width))
        self.bias_E: Tensor
        self.register_buffer("bias_E", torch.zeros(config.experts))
        self.w_in = nn.Parameter(torch.empty(config.experts, config.width, 2 * config.expert_hidden))
        self.w_out = nn.Parameter(torch.empty(config.experts, config.expert_hidden, config.width))
        self.shared = Dense(config.width, config.shared_hidden)

    def forward(self, x_BLD: Tensor, policy: KPolicy) -> tuple[Tensor, Routing]:
        x_TD = x_BLD.flatten(0, 1)
        scores_TE = F.linear(x_TD.float(), self.router.float()).sigmoid()
        chosen_TK = (scores_TE.detach() + self.bias_E).topk(policy.k, dim=1).indices
        weights_TK = scores_TE.gather(1, chosen_TK)
        keep_TK = policy.keep(weights_TK)
        if keep_TK is not None:
            weights_TK = weights_TK * keep_TK
        weights_TK = weights_TK * (self.scale / weights_TK.sum(1, keepdim=True))
        y_TD = self.routed(x_TD, chosen_TK, weights_TK, keep_TK)
        routing = _routing(scores_TE.view(*x_BLD.shape[:2], -1), chosen_TK, keep_TK)
        return y_TD.view_as(x_BLD) + self.shared(x_BLD), routing

    def routed(self, x_TD: Tensor, chosen_TK: Tensor, weights_TK: Tensor, keep_TK: Tensor | None) -> Tensor:
        """The weighted sum of the chosen experts, [T, D]."""
        E = self.router.shape[0]
        # A pair that the policy dropped sorts behind the last expert and is cut off.
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


def _routing(scores_BLE: Tensor, chosen_TK: Tensor, keep_TK: Tensor | None) -> Routing:
    """Load, and sum_e f_e P_e of each sequence (mean over sequences): f_e = 1 and P_e = 1 / E at perfect balance."""
    B, length, E = scores_BLE.shape
    pairs = chosen_TK + E * torch.arange(B).repeat_interleave(length)[:, None]
    load_BE = (pairs if keep_TK is None else pairs[keep_TK]).flatten().bincount(minlength=B * E).view(B, E)
    fraction_BE = load_BE * (E / load_BE.sum(1, keepdim=True))
    share_BE = (scores_BLE / scores_BLE.sum(2, keepdim=True)).mean(1)
    return Routing(load_BE.sum(0), (fraction_BE * share_BE).sum(1).mean())


def balanced_bias(bias_E: Tensor, load_E: Tensor, rate: float) -> Tensor:
    """The bias after one optimizer step: up by `rate` for experts under the mean load, down for those over it, and
    centred (Wang et al. 2024, algorithm 1). `load_E` is summed over the whole batch: all micro-batches and ranks."""
    load_E = load_E.double()
    moved_E = bias_E + rate * (load_E.mean() - load_E).sign().to(bias_E.dtype)
    return moved_E - moved_E.mean()


def load_imbalance(loads_E: Sequence[Tensor]) -> float:
    """Largest load over mean load, the mean of the layers; 1 is perfect balance."""
    return sum(float(load_E.max() / load_E.double().mean()) for load_E in loads_E) / len(loads_E)


def _sum_slots(rows_ND: Tensor, inverse_TK: Tensor) -> Tensor:
    """Sum over K of the rows that belong to each token; the index N stands for a dropped pair."""
    if inverse_TK.numel() > rows_ND.shape[0]:
        rows_ND = F.pad(rows_ND, (0, 0, 0, 1))
    return rows_ND.index_select(0, inverse_TK.flatten()).view(*inverse_TK.shape, -1).sum(1)


class _Dispatch(torch.autograd.Function):
    """[T, D] to [N, D]: each pair's copy of its token."""

    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, token_N: Tensor, inverse_TK: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_TK)
        return x_TD.index_select(0, token_N)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inverse_TK,) = ctx.saved_tensors
        return _sum_slots(grads[0], inverse_TK), None, None


class _Combine(torch.autograd.Function):
    """[N, D] to [T, D]: the transpose of `_Dispatch`. Its gradient is a gather, hence contiguous, which the grouped
    product needs (it fails on an expanded gradient)."""

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, token_N: Tensor, inverse_TK: Tensor) -> Tensor:
        ctx.save_for_backward(token_N)
        return _sum_slots(y_ND, inverse_TK)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (token_N,) = ctx.saved_tensors
        return grads[0].index_select(0, token_N), None, None
