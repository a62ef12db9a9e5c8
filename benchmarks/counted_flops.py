"""FLOPs that torch counts: its own counter, with what that lacks of the trainer's products.

torch's counter takes attention without its mask, and knows neither grouped products nor attention on a CPU. Here a
query is charged for the keys that it attends to, whatever an implementation computes beside them; the backward pass of
attention for twice the forward pass, as of all products: scores that it computes again are not model FLOPs.

Shapes: B sequences, H query heads, L queries, S keys, C head_dim.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import trainer.grouped  # noqa: F401  its operators are counted

aten: Any = torch.ops.aten


def grouped_product(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """[N, D] x [E, D, F] forward and by the rows, [D, N] x [N, F] by the weights: two FLOPs a multiplication."""
    assert a.dim() == 2, "products of the trainer"
    return 2 * a.shape[0] * a.shape[1] * b.shape[-1]


def grouped_outer(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """[N, I] and [N, O] to [E, I, O]."""
    return 2 * a.shape[0] * a.shape[1] * b.shape[1]


def attention(q: Tensor, k: Tensor, v: Tensor, *args: Any, **kwargs: Any) -> int:  # noqa: ARG001
    """Two products, of the queries with the keys and of the weights with the values."""
    causal = kwargs.get("is_causal", args[1] if len(args) > 1 else False)
    return 4 * q.shape[1] * q.shape[3] * attended_pairs(q, k, causal, kwargs.get("attn_mask"))


def attention_backward(grad: Tensor, q: Tensor, k: Tensor, *args: Any, **kwargs: Any) -> int:  # noqa: ARG001
    """Four products: the gradients of queries, keys, weights and values."""
    return 8 * q.shape[1] * q.shape[3] * attended_pairs(q, k, args[4], kwargs.get("attn_mask"))


def attended_pairs(q: Tensor, k: Tensor, causal: bool, mask: Tensor | None) -> int:
    """Pairs of a query and a key that it attends to, over the batch and one head."""
    if mask is not None:
        return int((mask == 0).sum()) if mask.is_floating_point() else int(mask.sum())
    B, _, L, _ = q.shape
    return B * L * (L + 1) // 2 if causal else B * L * k.shape[2]


def raw(formula: Callable[..., int]) -> Callable[..., int]:
    """Marks a formula that the counter hands tensors, not shapes."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


FORMULAS = {
    aten._grouped_mm: raw(grouped_product),
    torch.ops.refinery.grouped_product: raw(grouped_product),
    torch.ops.refinery.grouped_outer: raw(grouped_outer),
    aten._scaled_dot_product_flash_attention_for_cpu: raw(attention),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: raw(attention_backward),
}


def counted_flops(work: Callable[[], Any]) -> int:
    """FLOPs of the products that `work` does."""
    counter = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with counter:
        work()
    return int(counter.get_total_flops())
