"""Attention over packed documents: the plan of a batch, made once from its document boundaries.

A token attends to itself and to earlier tokens of its own document, in sliding layers to the last `window` tokens.
No implementation makes a tensor of L x L:

- `reference`, for any device: sliding layers score blocks of W queries against two blocks of W keys; full layers go
  through the documents one by one.
- `flex`, for CUDA: FlexAttention, whose mask is known by blocks of 128 x 128 and evaluated inside the kernel.
- `varlen`, for CUDA in half precision: FlashAttention over the concatenated documents.

Shapes: B sequences, L positions, H query heads, G key/value heads, C head_dim, W window, M blocks of W, N blocks
of 128.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from infra.errors import UsageError
from trainer.attention import KV, AttentionPlan, Kind, Rope, rope_of
from trainer.config import ModelConfig

FLEX_BLOCK = 128
Backend = Literal["auto", "reference", "flex", "varlen"]


@dataclass(frozen=True)
class _Packed:
    """What all plans of packed documents have: the batch's own keys and values are all there are."""

    rope: Mapping[Kind, Rope]

    def store(self, kind: Kind, kv_in: KV | None, new: KV) -> KV:  # noqa: ARG002
        assert kv_in is None, "packed documents have no earlier keys"
        return new


@dataclass(frozen=True)
class ReferencePlan(_Packed):
    window: int
    sliding_mask: Tensor
    """`sliding_mask` of the segments."""

    documents: tuple[tuple[int, int, int], ...]
    """(sequence, first position, end) of each document."""

    # Compiled code would be compiled again for each batch's documents.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend(self, kind: Kind, q_BHLC: Tensor, kv: KV) -> Tensor:
        if kind == "sliding":
            return sliding_attention(q_BHLC, kv, self.sliding_mask, self.window)
        return document_attention(q_BHLC, kv, self.documents)


@dataclass(frozen=True)
class FlexPlan(_Packed):
    masks: Mapping[Kind, Any]
    """A BlockMask for each kind of layer."""

    kernel: Any
    """`flex_kernel` of the device."""

    def attend(self, kind: Kind, q_BHLC: Tensor, kv: KV) -> Tensor:
        o_BHLC: Tensor = self.kernel(q_BHLC, kv.k, kv.v, block_mask=self.masks[kind], enable_gqa=True)
        return o_BHLC


@dataclass(frozen=True)
class VarlenPlan(_Packed):
    window: int

    ends: Tensor
    """0, then the end of each document in the batch's B x L tokens: int32. Its length is a power of two plus one, the
    last end repeated, so that compiled code sees few shapes."""

    def attend(self, kind: Kind, q_BHLC: Tensor, kv: KV) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        B, _, length, _ = q_BHLC.shape
        q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHLC, kv.k, kv.v))
        size = (self.window - 1, 0) if kind == "sliding" else (-1, 0)
        # The longest document may be as long as a sequence; to know it would wait for the device.
        o = varlen_attn(q, k, v, self.ends, self.ends, length, length, window_size=size, enable_gqa=True)
        assert isinstance(o, Tensor)
        return o.view(B, length, *o.shape[1:]).transpose(1, 2)


def packed_plan(
    config: ModelConfig, segments_BL: Tensor, device: torch.device, dtype: torch.dtype, backend: Backend = "auto"
) -> AttentionPlan:
    """The plan of a batch whose documents are numbered by `segments_BL`, [B, L] on the CPU, ascending within a
    sequence. UsageError for a backend that the device or the precision does not have."""
    assert segments_BL.device.type == "cpu", "boundaries are read on the host"
    chosen = choose_backend(device, dtype, backend)
    rope = rope_of(config, torch.arange(segments_BL.shape[1], device=device))
    if chosen == "reference":
        # No token is further back than the sequence is long; scores are of blocks of the window's size.
        window = min(config.window, segments_BL.shape[1])
        mask = sliding_mask(segments_BL.to(device), window)
        return ReferencePlan(rope, window, mask, documents_of(segments_BL))
    if chosen == "varlen":
        return VarlenPlan(rope, config.window, document_ends(segments_BL).to(device, non_blocking=True))
    segments = segments_BL.to(device, non_blocking=True)
    masks: dict[Kind, Any] = {"sliding": block_mask(segments, config.window), "full": block_mask(segments, None)}
    return FlexPlan(rope, masks, flex_kernel(device.type == "cuda"))


def choose_backend(device: torch.device, dtype: torch.dtype, backend: Backend) -> Backend:
    """What `backend` means on a device. UsageError for one that does not run there."""
    if backend == "auto":
        if device.type != "cuda":
            return "reference"
        return "flex" if dtype is torch.float32 else "varlen"
    if backend == "varlen" and (device.type != "cuda" or dtype is torch.float32):
        raise UsageError("execution.attention varlen needs CUDA and run.compute_dtype bfloat16: use auto")
    if backend == "flex" and device.type == "cpu" and torch.is_grad_enabled():
        raise UsageError("execution.attention flex has no backward pass on a CPU: use auto")
    return backend


# ------------------------------------------------------------------------------------------------------- reference


def documents_of(segments_BL: Tensor) -> tuple[tuple[int, int, int], ...]:
    """(sequence, first position, end) of each run of one number."""
    length = segments_BL.shape[1]
    first_BL = torch.ones_like(segments_BL, dtype=torch.bool)
    first_BL[:, 1:] = segments_BL[:, 1:] != segments_BL[:, :-1]
    starts: list[list[int]] = first_BL.nonzero().tolist()
    ends = [after[1] if after[0] == row[0] else length for row, after in zip(starts, [*starts[1:], [-1, 0]])]
    return tuple((row, first, end) for (row, first), end in zip(starts, ends, strict=True))


def document_attention(q_BHLC: Tensor, kv: KV, documents: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Causal attention within each document, [B, H, L, C]: scores of the sum of squared lengths, none of them kept."""
    parts: list[list[Tensor]] = [[] for _ in range(q_BHLC.shape[0])]
    for row, first, end in documents:
        q, k, v = (x[row : row + 1, :, first:end] for x in (q_BHLC, kv.k, kv.v))
        parts[row].append(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
    return torch.cat([torch.cat(row, dim=2) for row in parts])


def sliding_mask(segments_BL: Tensor, window: int) -> Tensor:
    """[B x M, 1, W, 2W], true where a query of block m attends to a key of blocks m - 1 and m: at most W of the 2W."""
    B, length = segments_BL.shape
    # Padding in front belongs to no document; padding at the end attends to itself, so that no row is all false.
    keys = F.pad(segments_BL, (window, 0), value=-1)
    keys = F.pad(keys, (0, -length % window), value=-2)
    M = keys.shape[1] // window - 1
    queries_BMW = keys[:, window:].reshape(B, M, window)
    keys_BMX = keys.unfold(1, 2 * window, window)
    row = torch.arange(window, device=segments_BL.device)[:, None]
    column = torch.arange(2 * window, device=segments_BL.device)[None, :]
    band = (column > row) & (column <= row + window)
    mask = (queries_BMW[:, :, :, None] == keys_BMX[:, :, None, :]) & band
    return mask.view(B * M, 1, window, 2 * window)


def sliding_attention(q_BHLC: Tensor, kv: KV, mask: Tensor, window: int) -> Tensor:
    """Attention over the last `window` tokens, with 2 L W scores instead of L squared; [B, H, L, C].

    Scores each block of W queries against its own and the previous block of keys; `mask` (`sliding_mask`) selects the
    band of the window.
    """
    B, _, length, _ = q_BHLC.shape
    padding = -length % window
    q = _blocks(F.pad(q_BHLC, (0, 0, 0, padding)), window)
    k, v = (_with_previous(_blocks(F.pad(x, (0, 0, window, padding)), window), B) for x in kv)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    o_BMHWC = o.view(B, -1, *o.shape[1:])
    return o_BMHWC.transpose(1, 2).flatten(2, 3)[:, :, :length]


def _blocks(x: Tensor, window: int) -> Tensor:
    """[B, heads, M x W, C] to [B x M, heads, W, C]."""
    return x.reshape(*x.shape[:2], -1, window, x.shape[3]).transpose(1, 2).flatten(0, 1)


def _with_previous(x: Tensor, B: int) -> Tensor:
    """[B x (M + 1), G, W, C] to [B x M, G, 2W, C]: each block after the block before it."""
    blocks = x.view(B, -1, *x.shape[1:])
    return torch.cat((blocks[:, :-1], blocks[:, 1:]), dim=3).flatten(0, 1)


# ---------------------------------------------------------------------------------------------------- flex, varlen


@cache
def flex_kernel(compiled: bool) -> Any:
    """FlexAttention: compiled, as it must be on a device, or the slow definition."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False) if compiled else flex_attention


def block_mask(segments_BL: Tensor, window: int | None) -> Any:
    """The BlockMask of causal attention within documents, over the last `window` tokens or all of them. Made from the
    first and last document of each block of 128 positions, without a mask of L x L."""
    from torch.nn.attention.flex_attention import BlockMask

    length = segments_BL.shape[1]

    def allowed(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:  # noqa: ARG001
        near = (i >= j) if window is None else (i >= j) & (i - j < window)
        return near & (segments_BL[b, i] == segments_BL[b, j])

    partial_BNN, whole_BNN = block_pairs(segments_BL, window)
    listed = [_listed(pairs) for pairs in (partial_BNN, whole_BNN)]
    (partial_number, partial_index), (whole_number, whole_index) = listed
    return BlockMask.from_kv_blocks(
        partial_number, partial_index, whole_number, whole_index,
        BLOCK_SIZE=FLEX_BLOCK, mask_mod=allowed, seq_lengths=(length, length),
    )  # fmt: skip


def block_pairs(segments_BL: Tensor, window: int | None) -> tuple[Tensor, Tensor]:
    """Which blocks of 128 queries (rows) attend to some, and which to all, tokens of which blocks of keys: two disjoint
    [B, N, N] of bool."""
    length = segments_BL.shape[1]
    padded = F.pad(segments_BL, (0, -length % FLEX_BLOCK), value=-1)
    blocks_BNX = padded.view(len(padded), -1, FLEX_BLOCK)
    # Positions beyond the end count for no block but make it partial.
    last_BN = blocks_BNX.amax(2)
    first_BN = blocks_BNX[:, :, 0]
    one_BN = (first_BN == last_BN) & (blocks_BNX[:, :, -1] == last_BN)
    number = torch.arange(first_BN.shape[1], device=segments_BL.device)
    row, column = number[:, None], number[None, :]
    some_BNN = (column <= row) & (last_BN[:, None, :] >= first_BN[:, :, None])
    all_BNN = (column < row) & one_BN[:, :, None] & one_BN[:, None, :] & (first_BN[:, :, None] == first_BN[:, None, :])
    if window is not None:
        some_BNN = some_BNN & ((row - column - 1) * FLEX_BLOCK + 1 < window)
        all_BNN = all_BNN & ((row - column + 1) * FLEX_BLOCK - 1 < window)
    return some_BNN & ~all_BNN, all_BNN


def _listed(pairs_BNN: Tensor) -> tuple[Tensor, Tensor]:
    """The number of true columns in each row, and the columns, true ones first: [B, 1, N] and [B, 1, N, N] of int32."""
    order = pairs_BNN.to(torch.int8).argsort(dim=2, descending=True, stable=True)
    return pairs_BNN.sum(2, dtype=torch.int32)[:, None], order.to(torch.int32)[:, None]


def document_ends(segments_BL: Tensor) -> Tensor:
    """`VarlenPlan.ends` of a batch, on the CPU."""
    length = segments_BL.shape[1]
    ends = [row * length + end for row, _, end in documents_of(segments_BL)]
    size = 1 << (len(ends) - 1).bit_length()
    return torch.tensor([0, *ends, *[ends[-1]] * (size - len(ends))], dtype=torch.int32)
