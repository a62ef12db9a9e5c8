"""Cross-entropy over a vocabulary without ever holding all logits, with the z-loss.

Logits are made for some tokens at a time. Their gradient is known as soon as they are, so it is folded into the
gradients of the hidden states and of the head at once, and no logits are kept or made again.

Shapes: T tokens, D d_model, V vocabulary.
"""

from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.attention import wide

# The tokens whose logits are made at once; on a CPU fewer, so that these numbers stay in its cache.
CHUNK: Final = 512
CPU_LOGITS: Final = 1 << 21
LEAST_CHUNK: Final = 32


class TokenLosses(NamedTuple):
    """What the head says of each target."""

    total: Tensor
    """Sum over tokens of the cross-entropy and z_weight times the squared log normaliser: a scalar to differentiate."""

    nats_T: Tensor
    """Cross-entropy of each target, fp32; not differentiable. 0 where `real_T` is false."""


def token_losses(
    hidden_TD: Tensor, head_VD: Tensor, target_T: Tensor, z_weight: float = 0.0, real_T: Tensor | None = None
) -> TokenLosses:
    """The loss of each target. Products are in the precision of `hidden_TD`, all else in fp32."""
    if not torch.is_grad_enabled():
        # A Function is told that a parameter needs its gradient in this case too, and would compute it.
        head_VD = head_VD.detach()
    total, nats_T = _Loss.apply(hidden_TD, head_VD, target_T, z_weight, real_T)  # type: ignore[no-untyped-call]
    return TokenLosses(total, nats_T)


def tokens_at_once(device: str, vocab_size: int) -> int:
    """How many tokens' logits are made at once on the kind of device `cpu` or `cuda`."""
    return min(CHUNK, max(LEAST_CHUNK, CPU_LOGITS // vocab_size)) if device == "cpu" else CHUNK


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_TD: Tensor, head_VD: Tensor, target_T: Tensor, z_weight: float, real_T: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weight_VD = head_VD.to(hidden_TD.dtype)
        needs_hidden, needs_head = ctx.needs_input_grad[:2]
        hidden_grad = torch.empty_like(hidden_TD) if needs_hidden else None
        head_grad = torch.zeros_like(head_VD) if needs_head else None
        nats_T = wide(hidden_TD.new_empty(target_T.shape))
        total = nats_T.new_zeros(())
        chunk = tokens_at_once(hidden_TD.device.type, len(head_VD))
        for first in range(0, len(target_T), chunk):
            part = slice(first, first + chunk)
            h_TD, t_T1 = hidden_TD[part], target_T[part, None]
            logits_TV = wide(F.linear(h_TD, weight_VD))
            log_p_TV = logits_TV.log_softmax(1)
            nats_T1 = -log_p_TV.gather(1, t_T1)
            log_sum_T1 = logits_TV.gather(1, t_T1) + nats_T1
            used_T1 = torch.ones_like(nats_T1) if real_T is None else real_T[part, None].to(nats_T1.dtype)
            nats_T[part] = (nats_T1 * used_T1)[:, 0]
            total += ((nats_T1 + z_weight * log_sum_T1.square()) * used_T1).sum()
            if not (needs_hidden or needs_head):
                continue
            # d/dlogits of nats is p - onehot, that of the squared normaliser 2 log_sum p.
            grad_TV = log_p_TV.exp_()
            if z_weight or real_T is not None:
                grad_TV.mul_(used_T1 * (1 + 2 * z_weight * log_sum_T1))
            grad_TV.scatter_add_(1, t_T1, -used_T1)
            grad_TV = grad_TV.to(hidden_TD.dtype)
            if hidden_grad is not None:
                hidden_grad[part] = grad_TV @ weight_VD
            if head_grad is not None:
                head_grad += grad_TV.T @ h_TD
        ctx.save_for_backward(*(x for x in (hidden_grad, head_grad) if x is not None))
        ctx.needs = needs_hidden, needs_head
        ctx.mark_non_differentiable(nats_T)
        return total, nats_T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        saved = list(ctx.saved_tensors)
        needs_hidden, needs_head = ctx.needs
        hidden_grad = saved.pop(0) if needs_hidden else None
        head_grad = saved.pop(0) if needs_head else None
        scale = grads[0]
        return (
            None if hidden_grad is None else hidden_grad * scale.to(hidden_grad.dtype),
            None if head_grad is None else head_grad * scale,
            None, None, None,
        )  # fmt: skip
