"""Feed-forward layers: a dense SwiGLU, and a mixture of fine-grained routed experts with one shared expert.

Routing: sigmoid scores in fp32; the k experts with the largest score + bias are chosen; their scores, without the
bias, are normalised to sum to 1 and weight the experts' outputs (DeepSeek-V3, 2412.19437, section 2.1.2). How many of
them a token keeps is its `Policy`'s part (`policies.py`), how the load is balanced that of `balance.py`. One grouped
matrix product runs all experts (`dispatch.py`).

Shapes: B sequences, L positions, T = B x L tokens, D d_model, E experts, F d_ff_expert, K experts chosen per token,
N rows of the grouped products.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.attention import linear, wide
from trainer.config import ModelConfig
from trainer.dispatch import gather_rows, plan_dispatch, sum_rows
from trainer.few_tokens import PAIRS_PER_EXPERT, sum_of_few
from trainer.grouped import grouped_product
from trainer.policies import Policy


class Routing(NamedTuple):
    """What balancing and reports need of one MoE layer's routing. Padding is in none of it."""

    load_KE: Tensor
    """Tokens that use expert e as their (k + 1)-th: int64."""

    load_BE: Tensor
    """Tokens of each sequence that use each expert: int64."""

    score_BE: Tensor
    """Mean over a sequence's tokens of the scores, each token's normalised to sum to 1. Differentiable."""

    used_BL: Tensor
    """Experts that each token uses: int64."""


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, 2002.05202). `w_in` stacks the gate and up projections."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(2 * d_ff, d_model))
        self.w_out = nn.Parameter(torch.empty(d_model, d_ff))

    def forward(self, x: Tensor) -> Tensor:
        gate, up = linear(x, self.w_in).chunk(2, dim=-1)
        return linear(F.silu(gate) * up, self.w_out)


class Router(nn.Module):
    """Scores of the experts. The bias is not a parameter: balancing moves it, and it chooses but does not weigh."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.n_experts, config.d_model))
        self.bias_E: Tensor
        self.register_buffer("bias_E", torch.zeros(config.n_experts))

    def forward(self, x_TD: Tensor) -> Tensor:
        """Logits [T, E] in fp32."""
        return F.linear(wide(x_TD), wide(self.weight))


class Experts(nn.Module):
    """Routed SwiGLU experts, stored [E, in, out]."""

    all_here = True
    """Whether this process holds all experts of the layer, so that their weights may be read outside `forward`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(config.n_experts, config.d_model, 2 * config.d_ff_expert))
        self.w_out = nn.Parameter(torch.empty(config.n_experts, config.d_ff_expert, config.d_model))

    def forward(self, x_ND: Tensor, weight_N: Tensor, ends_E: Tensor) -> Tensor:
        """Rows sorted by expert, `ends_E` the end of each expert's; the outputs [N, D], times `weight_N` in fp32."""
        gate, up = grouped_product(x_ND, self.w_in.to(x_ND.dtype), ends_E).chunk(2, dim=-1)
        h_NF = (F.silu(gate) * up * weight_N[:, None]).to(x_ND.dtype)
        return grouped_product(h_NF, self.w_out.to(x_ND.dtype), ends_E)


class MoE(nn.Module):
    """Routed experts, and one shared expert that every token uses."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_experts, self.scale = config.n_experts, config.routed_scaling_factor
        self.recompute = False  # execution.activation_checkpointing "experts"
        self.counts = True  # whether the routing is counted; generation needs none
        self.router = Router(config)
        self.experts = Experts(config)
        self.shared = FeedForward(config.d_model, config.d_ff_shared)

    def forward(self, x_BLD: Tensor, policy: Policy, real_BL: Tensor | None) -> tuple[Tensor, Routing | None]:
        """`real_BL`: which positions are no padding; None when all are. No routing where it is not counted."""
        x_TD = x_BLD.flatten(0, 1)
        logits_TE = self.router(x_TD)
        log_scores_TE = F.logsigmoid(logits_TE)
        scores_TE = logits_TE.detach().sigmoid()
        chosen_TK = (scores_TE + self.router.bias_E).topk(policy.most, dim=1).indices
        keep_TK = (
            None if policy.keeps_all and real_BL is None else kept(policy, scores_TE.gather(1, chosen_TK), real_BL)
        )
        chosen_log_TK = log_scores_TE.gather(1, chosen_TK)
        if keep_TK is not None:
            chosen_log_TK = chosen_log_TK.masked_fill(~keep_TK, -torch.inf)
            chosen_log_TK = chosen_log_TK.where(keep_TK.any(1, keepdim=True), 0.0)
        # The softmax of log scores is the scores over their sum, also where all of them would underflow.
        weights_TK = chosen_log_TK.softmax(1)
        if self.scale != 1.0:
            weights_TK = self.scale * weights_TK
        if real_BL is not None:
            weights_TK = weights_TK.where(real_BL.view(-1, 1), 0.0)
        expert_TK = chosen_TK if keep_TK is None else chosen_TK.where(keep_TK, self.n_experts)
        if self.recompute and torch.is_grad_enabled():
            y_TD = checkpoint(self.routed, x_TD, expert_TK, weights_TK, use_reentrant=False)
        else:
            y_TD = self.routed(x_TD, expert_TK, weights_TK)
        routing = _routing(log_scores_TE.view(*x_BLD.shape[:2], -1), expert_TK, real_BL) if self.counts else None
        return y_TD.view_as(x_BLD) + self.shared(x_BLD), routing

    def routed(self, x_TD: Tensor, expert_TK: Tensor, weights_TK: Tensor) -> Tensor:
        """The weighted sum of the experts' outputs, [T, D]. Expert E is none."""
        K, E = expert_TK.shape[1], self.n_experts
        here = x_TD.device.type == "cpu" and self.experts.all_here
        if here and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            if x_TD.dtype is torch.float32 and expert_TK.numel() <= PAIRS_PER_EXPERT * E:
                return sum_of_few(x_TD, expert_TK, weights_TK, self.experts.w_in, self.experts.w_out)
            if x_TD.dtype.itemsize == 2 and expert_TK.numel() <= E:
                return self.routed_few(x_TD, expert_TK, weights_TK)
        # Grouped products in 16-bit types sum over rows in the backward pass, in multiples of 16 bytes.
        align = 8 if x_TD.dtype.itemsize == 2 else 1
        pair_N, row_TK, ends_E, whole = plan_dispatch(expert_TK, E, align)
        token_N = pair_N // K
        x_ND = gather_rows(x_TD, token_N, row_TK, whole)
        weight_N = gather_rows(weights_TK.flatten(), pair_N, row_TK.view(-1, 1), whole)
        return sum_rows(self.experts(x_ND, weight_N, ends_E), row_TK, token_N, whole)

    def routed_few(self, x_TD: Tensor, expert_TK: Tensor, weights_TK: Tensor) -> Tensor:
        """The same of fewer pairs than there are experts, on a CPU in bfloat16, which `few_tokens.py` does not know. A
        token's product with an expert's matrix is a bag of the matrix's rows that the token's features weigh: one call
        has all pairs and copies no weights. A call costs as much as its arithmetic, so there are few, in place."""
        (T, K), experts = expert_TK.shape, self.experts
        w_in, w_out = (weight.to(x_TD.dtype).flatten(0, 1) for weight in (experts.w_in, experts.w_out))
        expert_P = expert_TK.flatten()
        x_PD = x_TD[:, None].expand(T, K, -1).reshape(T * K, -1)
        rows_PD = rows_of_experts(self.n_experts, x_TD.shape[1]).index_select(0, expert_P)
        gate, up = F.embedding_bag(rows_PD, w_in, mode="sum", per_sample_weights=x_PD).chunk(2, dim=1)
        h_PF = F.silu(gate).mul_(up).mul_(weights_TK.view(-1, 1))
        rows_PF = rows_of_experts(self.n_experts, h_PF.shape[1]).index_select(0, expert_P)
        return F.embedding_bag(rows_PF.view(T, -1), w_out, mode="sum", per_sample_weights=h_PF.view(T, -1))


@cache
def rows_of_experts(n_experts: int, rows: int) -> Tensor:
    """The numbers of each expert's rows among those of all, int32 [E + 1, rows]. Those of expert E, who is none, are
    some other's: what they give has weight 0."""
    numbers = torch.arange(n_experts * rows, dtype=torch.int32).view(n_experts, rows)
    return torch.cat((numbers, numbers[:1]))


def kept(policy: Policy, scores_TK: Tensor, real_BL: Tensor | None) -> Tensor | None:
    """`policy.keep`, and nothing for padding."""
    keep_TK = policy.keep(scores_TK)
    if real_BL is None:
        return keep_TK
    real_T1 = real_BL.flatten()[:, None]
    return real_T1.expand_as(scores_TK) if keep_TK is None else keep_TK & real_T1


def _routing(log_scores_BLE: Tensor, expert_TK: Tensor, real_BL: Tensor | None) -> Routing:
    B, length, E = log_scores_BLE.shape
    K, device = expert_TK.shape[1], expert_TK.device
    rank_K = torch.arange(K, device=device)
    sequence_T1 = torch.arange(B, device=device).repeat_interleave(length)[:, None]
    # One column more, for pairs that were not kept. Sums of integers are the same in any order.
    load_KE = _counts((rank_K * (E + 1) + expert_TK).flatten(), K * (E + 1)).view(K, E + 1)[:, :E]
    load_BE = _counts((sequence_T1 * (E + 1) + expert_TK).flatten(), B * (E + 1)).view(B, E + 1)[:, :E]
    used_BL = (expert_TK < E).sum(1).view(B, length)
    share_BLE = log_scores_BLE.softmax(2)
    if real_BL is None:
        return Routing(load_KE, load_BE, share_BLE.mean(1), used_BL)
    total_BE = (share_BLE * real_BL[:, :, None]).sum(1)
    return Routing(load_KE, load_BE, total_BE / real_BL.sum(1).clamp(min=1)[:, None], used_BL)


def _counts(index: Tensor, size: int) -> Tensor:
    """How often each number below `size` occurs, int64 [size]."""
    return torch.zeros(size, dtype=torch.int64, device=index.device).scatter_add_(0, index, torch.ones_like(index))
