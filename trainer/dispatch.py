"""From tokens to the rows of the experts' grouped products and back, by gathers alone.

Pairs of token and expert are sorted by expert; the rows of an expert lie together, and each expert's number of rows may
be rounded up, as grouped products in 16-bit types need. Pairs that are not kept have no row. Gathering rows and summing
them back are each other's transpose, so forward and backward are both gathers: without atomics, the same input gives
the same bits. All shapes but the number of rows depend on nothing that the device computes.

Shapes: T tokens, K experts per token, P = T x K pairs, E experts, N rows, D features.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Dispatch(NamedTuple):
    """Where each pair's row is, and which pair each row is of."""

    pair_N: Tensor
    """The pair of each row; P for a row of padding."""

    row_TK: Tensor
    """The row of each pair; N for a pair that was not kept."""

    ends_E: Tensor
    """The end of each expert's rows, int32. Rows after the last end are computed by nothing."""

    whole: bool
    """Whether each pair is known to have a row, and each row a pair: known only where no device is waited for."""


def plan_dispatch(expert_TK: Tensor, n_experts: int, align: int = 1) -> Dispatch:
    """`expert_TK`: the expert of each pair, `n_experts` for a pair that is not kept. `align`: each expert's number of
    rows is rounded up to a multiple of it."""
    T, K = expert_TK.shape
    P, device = T * K, expert_TK.device
    expert_P = expert_TK.flatten()
    order_P = expert_P.argsort(stable=True)
    sorted_P = expert_P[order_P]
    first_E = torch.searchsorted(sorted_P, torch.arange(n_experts + 1, device=device))
    sizes_E = first_E.diff()
    rounded_E = (sizes_E + (align - 1)) // align * align
    ends_E = rounded_E.cumsum(0)
    rows = P if align == 1 else -(-(P + n_experts * (align - 1)) // align) * align
    whole = False
    if device.type == "cpu" and not torch.compiler.is_compiling():  # no device to wait for
        rows = int(ends_E[-1])
        whole = int(sizes_E.sum()) == rows == P
    shift_E = F.pad(ends_E - rounded_E - first_E[:-1], (0, 1))
    row_P = torch.where(sorted_P < n_experts, torch.arange(P, device=device) + shift_E[sorted_P], rows)
    pair_N = torch.full((rows + 1,), P, dtype=torch.int64, device=device)
    pair_N[row_P] = order_P
    row_TK = torch.empty_like(expert_P)
    row_TK[order_P] = row_P
    return Dispatch(pair_N[:rows], row_TK.view(T, K), ends_E.to(torch.int32), whole)


def gather_rows(x: Tensor, source_N: Tensor, rows_SK: Tensor, whole: bool = False) -> Tensor:
    """x[source_N], [S, ...] to [N, ...], with zeros where the source is S; differentiable by `rows_SK`, the rows that
    each source was copied to (N for none). `whole`: neither an S nor an N is among them."""
    gathered: Tensor = _Gather.apply(x, source_N, rows_SK, whole)  # type: ignore[no-untyped-call]
    return gathered


def sum_rows(y_ND: Tensor, rows_TK: Tensor, source_N: Tensor, whole: bool = False) -> Tensor:
    """The sum of each token's rows, [T, D]; the transpose of `gather_rows`."""
    summed: Tensor = _Sum.apply(y_ND, rows_TK, source_N, whole)  # type: ignore[no-untyped-call]
    return summed


def _take(x: Tensor, index: Tensor, whole: bool) -> Tensor:
    """x[index] over the first dimension, with zeros at index len(x)."""
    if not whole:
        x = torch.cat((x, x.new_zeros(1, *x.shape[1:])))
    return x.index_select(0, index)


def _sums(x: Tensor, rows_SK: Tensor, whole: bool) -> Tensor:
    """The sum of the rows of `x` that each line of `rows_SK` names."""
    if rows_SK.shape[1] == 1:
        return _take(x, rows_SK[:, 0], whole)
    if whole and x.dim() == 2 and x.dtype is torch.float32:
        return F.embedding_bag(rows_SK, x, mode="sum")  # without the rows between, a fourth of the time
    return _take(x, rows_SK.flatten(), whole).view(*rows_SK.shape, *x.shape[1:]).sum(1)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, source_N: Tensor, rows_SK: Tensor, whole: bool) -> Tensor:
        ctx.save_for_backward(rows_SK)
        ctx.whole = whole
        return _take(x, source_N, whole)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (rows_SK,) = ctx.saved_tensors
        return _sums(grads[0], rows_SK, ctx.whole), None, None, None


class _Sum(torch.autograd.Function):
    """Its gradient is a gather and so contiguous; the grouped product fails on an expanded gradient."""

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, rows_TK: Tensor, source_N: Tensor, whole: bool) -> Tensor:
        ctx.save_for_backward(source_N)
        ctx.whole = whole
        return _sums(y_ND, rows_TK, whole)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (source_N,) = ctx.saved_tensors
        return _take(grads[0], source_N, ctx.whole), None, None, None
