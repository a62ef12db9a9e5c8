"""Attention: sliding-window layers (linear in length), full layers, KV caches for decoding, and their size in bytes.

`Attention` computes queries, and keys and values in the first layer of a KV group; a `KVStore` holds keys and values
and computes the attention. Training and evaluation use `PackedKV`, which holds whole packed sequences; decoding uses
`CachedKV`, which holds the tokens so far (a ring of `window` slots for sliding groups). Each KV group is written once
in a forward pass, by its first layer, and read by all its layers: that is the whole of KV sharing.

A token attends to itself and to earlier tokens of its own document, never to another document of the same sequence.

Shapes: B sequences, L positions, D d_model, H query heads, G key/value heads, C head_dim, W window, M blocks of W.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import LayerConfig, ModelConfig

BYTES_PER_VALUE = 4


class KVStore(Protocol):
    """The keys and values of one forward pass, by KV group."""

    @property
    def positions_L(self) -> Tensor:
        """Position of each token of the forward pass in its sequence, from 0."""
        ...

    def put(self, group: int, k_BGLC: Tensor, v_BGLC: Tensor) -> None:
        """Store the keys and values of a group. Keys are rotated by RoPE already."""
        ...

    def attend(self, layer: LayerConfig, q_BHLC: Tensor) -> Tensor:
        """Attention of `q_BHLC` over the stored keys and values of the layer's group, [B, H, L, C]."""
        ...


class Attention(nn.Module):
    """Grouped-query attention with RMS-normalised queries and keys (QK-norm) and RoPE.

    Only the first layer of a KV group (`owns_kv`) has wk, wv and k_norm; the others compute queries alone.
    """

    def __init__(self, config: ModelConfig, layer: LayerConfig, owns_kv: bool) -> None:
        super().__init__()
        self.layer, self.owns_kv, self.head_dim = layer, owns_kv, config.head_dim
        self.rope_theta = config.rope_theta_sliding if layer.attention == "sliding" else config.rope_theta_full
        d_q, d_kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.wq = nn.Parameter(torch.empty(d_q, config.d_model))
        self.wo = nn.Parameter(torch.empty(config.d_model, d_q))
        self.q_norm = nn.Parameter(torch.ones(config.head_dim))
        if owns_kv:
            self.wk = nn.Parameter(torch.empty(d_kv, config.d_model))
            self.wv = nn.Parameter(torch.empty(d_kv, config.d_model))
            self.k_norm = nn.Parameter(torch.ones(config.head_dim))

    def forward(self, x_BLD: Tensor, kv: KVStore) -> Tensor:
        rope = rope_table(kv.positions_L, self.head_dim, self.rope_theta)
        if self.owns_kv:
            k_BGLC = apply_rope(rms_norm(self.split_heads(F.linear(x_BLD, self.wk)), self.k_norm), rope)
            kv.put(self.layer.kv_group, k_BGLC, self.split_heads(F.linear(x_BLD, self.wv)))
        q_BHLC = apply_rope(rms_norm(self.split_heads(F.linear(x_BLD, self.wq)), self.q_norm), rope)
        o_BHLC = kv.attend(self.layer, q_BHLC)
        y_BLD: Tensor = F.linear(o_BHLC.transpose(1, 2).flatten(2), self.wo)
        return y_BLD

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, L, heads x C] to [B, heads, L, C]."""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


class PackedKV:
    """Keys and values of whole packed sequences. `segments_BL` numbers the documents of each sequence, from 0."""

    def __init__(self, segments_BL: Tensor, window: int) -> None:
        self.segments_BL, self.window = segments_BL, window
        self.positions_L = torch.arange(segments_BL.shape[1])
        self.groups: dict[int, tuple[Tensor, Tensor]] = {}
        self.full_mask = full_mask(segments_BL)
        self.sliding_mask = sliding_mask(segments_BL, window)

    def put(self, group: int, k_BGLC: Tensor, v_BGLC: Tensor) -> None:
        assert group not in self.groups, "a KV group is written once, by its first layer"
        self.groups[group] = (k_BGLC, v_BGLC)

    def attend(self, layer: LayerConfig, q_BHLC: Tensor) -> Tensor:
        k_BGLC, v_BGLC = self.groups[layer.kv_group]
        if layer.attention == "sliding":
            return sliding_attention(q_BHLC, k_BGLC, v_BGLC, self.sliding_mask, self.window)
        return F.scaled_dot_product_attention(q_BHLC, k_BGLC, v_BGLC, attn_mask=self.full_mask, enable_gqa=True)


def full_mask(segments_BL: Tensor) -> Tensor:
    """[B, 1, L, L], true where a query (row) attends to a key (column): not a later one, and of its own document."""
    same = segments_BL[:, None, :, None] == segments_BL[:, None, None, :]
    return same.tril_()


def sliding_mask(segments_BL: Tensor, window: int) -> Tensor:
    """[B x M, 1, W, 2W], true where a query of block m attends to a key of blocks m - 1 and m: at most W of the 2W."""
    B, length = segments_BL.shape
    # Padding in front belongs to no document; padding at the end attends to itself, so that no row is all false.
    keys = F.pad(segments_BL, (window, 0), value=-1)
    keys = F.pad(keys, (0, -length % window), value=-2)
    M = keys.shape[1] // window - 1
    queries_BMW = keys[:, window:].reshape(B, M, window)
    keys_BMX = keys.unfold(1, 2 * window, window)
    row, column = torch.arange(window)[:, None], torch.arange(2 * window)[None, :]
    band = (column > row) & (column <= row + window)
    mask = (queries_BMW[:, :, :, None] == keys_BMX[:, :, None, :]) & band
    return mask.view(B * M, 1, window, 2 * window)


def sliding_attention(q_BHLC: Tensor, k_BGLC: Tensor, v_BGLC: Tensor, mask: Tensor, window: int) -> Tensor:
    """Attention over the last `window` tokens, with 2 L W scores instead of L squared; [B, H, L, C].

    Scores each block of W queries against its own and the previous block of keys; `mask` (`sliding_mask`) selects the
    band of the window.
    """
    B, _, length, _ = q_BHLC.shape
    padding = -length % window
    q = _blocks(F.pad(q_BHLC, (0, 0, 0, padding)), window)
    k = _with_previous(_blocks(F.pad(k_BGLC, (0, 0, window, padding)), window), B)
    v = _with_previous(_blocks(F.pad(v_BGLC, (0, 0, window, padding)), window), B)
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


class CachedKV:
    """Keys and values of the tokens decoded so far: one cache per KV group, a ring of W slots for sliding groups.

    Decodes one token of each of `sequences` sequences at a time, up to `capacity` tokens; call `advance` after each.
    Keys are rotated by RoPE before they are stored, so the order of the slots does not matter.
    """

    def __init__(self, config: ModelConfig, sequences: int, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.caches: dict[int, tuple[Tensor, Tensor]] = {}
        for layer in config.layers:
            slots = min(config.window, capacity) if layer.attention == "sliding" else capacity
            shape = (sequences, config.n_kv_heads, slots, config.head_dim)
            self.caches.setdefault(layer.kv_group, (torch.zeros(shape), torch.zeros(shape)))

    @property
    def positions_L(self) -> Tensor:
        return torch.tensor([self.length])

    def put(self, group: int, k_BGLC: Tensor, v_BGLC: Tensor) -> None:
        assert self.length < self.capacity, "the cache is full"
        k_cache, v_cache = self.caches[group]
        slot = self.length % k_cache.shape[2]
        k_cache[:, :, slot] = k_BGLC[:, :, 0]
        v_cache[:, :, slot] = v_BGLC[:, :, 0]

    def attend(self, layer: LayerConfig, q_BHLC: Tensor) -> Tensor:
        k_cache, v_cache = self.caches[layer.kv_group]
        used = min(self.length + 1, k_cache.shape[2])
        return F.scaled_dot_product_attention(q_BHLC, k_cache[:, :, :used], v_cache[:, :, :used], enable_gqa=True)

    def advance(self) -> None:
        """Go on to the next position, once all layers have decoded this one."""
        self.length += 1

    @property
    def allocated_bytes(self) -> int:
        """Bytes of the cache's tensors."""
        return sum(tensor.nbytes for pair in self.caches.values() for tensor in pair)


def kv_bytes(config: ModelConfig, length: int) -> int:
    """Bytes of one sequence's KV caches at a context of `length` tokens: 2 x G x C x 4 per slot of each KV group."""
    kinds = {layer.kv_group: layer.attention for layer in config.layers}
    slots = sum(min(config.window, length) if kind == "sliding" else length for kind in kinds.values())
    return 2 * config.n_kv_heads * config.head_dim * BYTES_PER_VALUE * slots


def kv_bytes_per_token(config: ModelConfig, length: int) -> float:
    """`kv_bytes` per token of context.

    With three sliding layers per full layer, full layers in pairs and L = 16 W, this is 1/8 + 3/4 x 1/16 = 17.19 % of
    the cache of a model whose layers are all full and share nothing.
    """
    return kv_bytes(config, length) / length


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm over the last dimension (1910.07467)."""
    return F.rms_norm(x, (x.shape[-1],), weight, eps=1e-6)


def rope_table(positions_L: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines [L, C / 2] of the angles position x theta^(-2i / C) (RoFormer, 2104.09864, section 3.2)."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    angles = positions_L.to(torch.float64)[:, None] * theta**-exponents
    return angles.cos().float(), angles.sin().float()


def apply_rope(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the pairs (i, i + C / 2) of the last dimension of [B, heads, L, C]."""
    cos, sin = rope
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
