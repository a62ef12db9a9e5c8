"""Experts on several ranks: rows travel to the rank that has their expert, and the outputs back.

Shapes: N rows here by expert of the layer, M rows that came here, D features, E experts of the layer, R ep ranks,
H = E / R experts of a rank.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import ModelConfig
from trainer.dispatch import gather_rows
from trainer.experts import Experts


class ParallelExperts(Experts):
    """This rank's experts of a layer, in the place of all of them.

    Its gradients are sums over the rows of all ranks that send here, so they are divided by nothing (pytorch #160285
    and Megatron-LM #5956 are what happens otherwise).
    """

    all_here = False

    def __init__(self, config: ModelConfig, group: dist.ProcessGroup) -> None:
        """`group`: the ranks that share the layer's experts, in order."""
        super().__init__(config)
        self.group = group
        share = config.n_experts // group.size()
        self.w_in = nn.Parameter(self.w_in.detach()[:share].clone())
        self.w_out = nn.Parameter(self.w_out.detach()[:share].clone())

    # It waits for the device and has other shapes at each call.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x_ND: Tensor, weight_N: Tensor, ends_E: Tensor) -> Tensor:
        R = self.group.size()
        sent_RH = ends_E.long().diff(prepend=ends_E.new_zeros(1)).view(R, -1)
        came_RH = torch.empty_like(sent_RH)
        dist.all_to_all_single(came_RH, sent_RH, group=self.group)
        # The one time that a step waits for the device before its end: without dropping tokens, the host must know how
        # many rows to make room for.
        sent, came = torch.stack((sent_RH.sum(1), came_RH.sum(1))).tolist()
        x_MD = exchange(x_ND[: sum(sent)], sent, came, self.group)
        weight_M = exchange(weight_N[: sum(sent)], sent, came, self.group)
        # They come by rank and expert, and are computed by expert.
        expert_M = torch.arange(R * came_RH.shape[1], device=x_ND.device) % came_RH.shape[1]
        order_M = expert_M.repeat_interleave(came_RH.flatten(), output_size=sum(came)).argsort(stable=True)
        place_M1 = order_M.argsort()[:, None]
        y_MD = super().forward(
            gather_rows(x_MD, order_M, place_M1, whole=True),
            gather_rows(weight_M, order_M, place_M1, whole=True),
            came_RH.sum(0).cumsum(0).to(torch.int32),
        )
        y_MD = gather_rows(y_MD, place_M1[:, 0], order_M[:, None], whole=True)
        y_ND = exchange(y_MD, came, sent, self.group)
        return F.pad(y_ND, (0, 0, 0, len(x_ND) - len(y_ND)))


def exchange(x: Tensor, sent: list[int], came: list[int], group: dist.ProcessGroup) -> Tensor:
    """Send the first `sent[0]` rows of `x` to rank 0 of the group, the next `sent[1]` to rank 1, and so on; returns the
    rows that came, `came[r]` from rank r. Differentiable: gradients travel back."""
    out: Tensor = _Exchange.apply(x, sent, came, group)  # type: ignore[no-untyped-call]
    return out


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sent: list[int], came: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.counts = sent, came, group
        return _all_to_all(x, sent, came, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        sent, came, group = ctx.counts
        return _all_to_all(grads[0], came, sent, group), None, None, None


def _all_to_all(x: Tensor, sent: list[int], came: list[int], group: dist.ProcessGroup) -> Tensor:
    out = x.new_empty((sum(came), *x.shape[1:]))
    dist.all_to_all_single(out, x.contiguous(), came, sent, group)
    return out
