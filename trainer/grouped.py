"""The grouped matrix product of any precision, so that torch can trace, compile and differentiate it.

`F.grouped_mm` itself traces bfloat16 alone (torch 2.13). Other types go through an operator of ours that calls the same
kernel and says what comes out of it.

Shapes: N rows sorted by group, E groups, I in, O out.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def grouped_product(x_NI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    """x_NI[rows of e] @ w_EIO[e] for each group e, whose rows end at `ends_E[e]` (int32); [N, O]. Rows after the last
    end have no value."""
    if x_NI.dtype is torch.bfloat16:
        return F.grouped_mm(x_NI, w_EIO, offs=ends_E)
    return torch.ops.refinery.grouped_product(x_NI, w_EIO, ends_E)  # type: ignore[no-any-return]


@torch.library.custom_op("refinery::grouped_product", mutates_args=())
def _product(x_NI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    if x_NI.dtype is torch.float64:  # no kernel; tests take slopes in it
        out_NO = x_NI.new_zeros(len(x_NI), w_EIO.shape[2])
        for e, rows in enumerate(_rows(ends_E)):
            out_NO[rows] = x_NI[rows] @ w_EIO[e]
        return out_NO
    return F.grouped_mm(x_NI, w_EIO, offs=ends_E)


@torch.library.custom_op("refinery::grouped_outer", mutates_args=())
def _outer(x_NI: Tensor, y_NO: Tensor, ends_E: Tensor) -> Tensor:
    """x_NI[rows of e].T @ y_NO[rows of e] for each group e, [E, I, O]."""
    if x_NI.dtype is torch.float64:
        return torch.stack([x_NI[rows].T @ y_NO[rows] for rows in _rows(ends_E)])
    return F.grouped_mm(x_NI.t(), y_NO, offs=ends_E)


def _rows(ends_E: Tensor) -> list[slice]:
    ends = ends_E.tolist()
    return [slice(first, end) for first, end in zip([0, *ends], ends)]


@_product.register_fake
def _(x_NI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:  # noqa: ARG001
    return x_NI.new_empty(x_NI.shape[0], w_EIO.shape[2])


@_outer.register_fake
def _(x_NI: Tensor, y_NO: Tensor, ends_E: Tensor) -> Tensor:
    return x_NI.new_empty(ends_E.shape[0], x_NI.shape[1], y_NO.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_NO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x_NI, w_EIO, ends_E = ctx.saved_tensors
    needs_x, needs_w = ctx.needs_input_grad[:2]
    # The kernel takes no expanded gradient.
    grad_NO = grad_NO.contiguous()
    x_grad = torch.ops.refinery.grouped_product(grad_NO, w_EIO.mT, ends_E) if needs_x else None
    w_grad = torch.ops.refinery.grouped_outer(x_NI, grad_NO, ends_E) if needs_w else None
    return x_grad, w_grad, None


_product.register_autograd(_backward, setup_context=_keep)
