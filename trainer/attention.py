"""Attention: sliding layers in blocks (linear in length), full layers, caches for decoding, and their size in bytes.

A layer asks a KV store for its context and does not know whether it trains or decodes: `PackedKV` holds the keys
and values of whole packed sequences, `CachedKV` those of the tokens decoded so far (a ring of `window` slots for a
sliding group). Both are written once per KV group, by the group's first layer, and read by all its layers.

A token sees the tokens before it, itself, and nothing of another document packed into the same sequence.

Shapes: B sequences, L positions, D width, H query heads, G key/value heads, C head width, W window, M blocks of W.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import Layer, ModelConfig

BYTES_PER_VALUE = 4


class KVStore(Protocol):
    """Where one forward pass puts keys and values and attends to them."""

    @property
    def positions_L(self) -> Tensor: ...

    def put(self, group: int, k_BGLC: Tensor, v_BGLC: Tensor) -> None: ...

    def attend(self, layer: Layer, q_BHLC: Tensor) -> Tensor: ...


class Attention(nn.Module):
    """Grouped-query attention with normalised queries and keys (QK-norm) and RoPE.

    Only the first layer of a KV group (`produces`) has Wk and Wv; the others bring their own queries.
    """

    def __init__(self, config: ModelConfig, layer: Layer, produces: bool) -> None:
        super().__init__()
        self.layer, self.produces, self.head_width = layer, produces, config.head_width
        self.base = config.rope_base_sliding if layer.attention == "sliding" else config.rope_base_full
        inner, kv_inner = config.heads * config.head_width, config.kv_heads * config.head_width
        self.wq = nn.Parameter(torch.empty(inner, config.width))
        self.wo = nn.Parameter(torch.empty(config.width, inner))
        self.q_norm = nn.Parameter(torch.ones(config.head_width))
        if produces:
            self.wk = nn.Parameter(torch.empty(kv_inner, config.width))
            self.wv = nn.Parameter(torch.empty(kv_inner, config.width))
            self.k_norm = nn.Parameter(torch.ones(config.head_width))

    def forward(self, x_BLD: Tensor, kv: KVStore) -> Tensor:
        rope = rope_table(kv.positions_L, self.head_width, self.base)
        if self.produces:
            k_BGLC = rotate(rms_norm(self.split(F.linear(x_BLD, self.wk)), self.k_norm), rope)
            kv.put(self.layer.kv_group, k_BGLC, self.split(F.linear(x_BLD, self.wv)))
        q_BHLC = rotate(rms_norm(self.split(F.linear(x_BLD, self.wq)), self.q_norm), rope)
        o_BHLC = kv.attend(self.layer, q_BHLC)
        y_BLD: Tensor = F.linear(o_BHLC.transpose(1, 2).flatten(2), self.wo)
        return y_BLD

    def split(self, x: Tensor) -> Tensor:
        """[B, L, heads x C] to [B, heads, L, C]."""
        return x.view(*x.shape[:2], -1, self.head_width).transpose(1, 2)


class PackedKV:
    """Whole sequences of packed documents. `segments_BL` numbers the documents of each sequence (from 0)."""

    def __init__(self, segments_BL: Tensor, window: int) -> None:
        self.segments_BL, self.window = segments_BL, window
        self.positions_L = torch.arange(segments_BL.shape[1])
        self.groups: dict[int, tuple[Tensor, Tensor]] = {}
        self.full_mask = full_mask(segments_BL)
        self.sliding_mask = sliding_mask(segments_BL, window)

    def put(self, group: int, k_BGLC: Tensor, v_BGLC: Tensor) -> None:
        assert group not in self.groups, "a KV group is written once, by its first layer"
        self.groups[group] = (k_BGLC, v_BGLC)

    def attend(self, layer: Layer, q_BHLC: Tensor) -> Tensor:
        k_BGLC, v_BGLC = self.groups[layer.kv_group]
        if layer.attention == "sliding":
            return sliding_attention(q_BHLC, k_BGLC, v_BGLC, self.sliding_mask, self.window)
        return F.scaled_dot_product_attention(q_BHLC, k_BGLC, v_BGLC, attn_mask=self.full_mask, enable_gqa=True)


def full_mask(segments_BL: Tensor) -> Tensor:
    """[B, 1, L, L], true where a query (row) may see a key: not later, and of its own document."""
    same = segments_BL[:, None, :, None] == segments_BL[:, None, None, :]
    return same.tril_()


def sliding_mask(segments_BL: Tensor, window: int) -> Tensor:
    """[B x M, 1, W, 2W]: a query of block m against the keys of blocks m - 1 and m; what it sees is W wide at most."""
    B, length = segments_BL.shape
    # Padding in front belongs to no document; padding behind sees itself, so that no row of the mask is empty.
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
    """Attention over the last `window` tokens in 2 L W products instead of L squared.

    Each block of W queries meets its own and the previous block of keys; `sliding_mask` cuts the band out.
    """
    B, _, length, _ = q_BHLC.shape
    behind = -length % window
    q = _blocks(F.pad(q_BHLC, (0, 0, 0, behind)), window)
    k = _with_previous(_blocks(F.pad(k_BGLC, (0, 0, window, behind)), window), B)
    v = _with_previous(_blocks(F.pad(v_BGLC, (0, 0, window, behind)), window), B)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    o_BMHWC = o.view(B, -1, *o.shape[1:])
    return o_BMHWC.transpose(1, 2).flatten(2, 3)[:, :, :length]


def _blocks(x: Tensor, window: int) -> Tensor:
    """[B, heads, M x W, C] to [B x M, heads, W, C]."""
    return x.reshape(*x.shape[:2], -1, window, x.shape[3]).transpose(1, 2).flatten(0, 1)


def _with_previous(x: Tensor, B: int) -> Tensor:
    """[B x (M + 1), G, W, C] to [B x M, G, 2W, C]: each block behind the one before it."""
    blocks = x.view(B, -1, *x.shape[1:])
    return torch.cat((blocks[:, :-1], blocks[:, 1:]), dim=3).flatten(0, 1)


class CachedKV:
    """The keys and values of the tokens decoded so far: one cache per KV group, a ring of W slots for sliding ones.

    Keys are turned by RoPE before they are stored, so the order of the slots does not matter. Decodes one token of
    each of `sequences` at a time; `advance()` after each. At most `capacity` tokens.
    """

    def __init__(self, config: ModelConfig, sequences: int, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.caches: dict[int, tuple[Tensor, Tensor]] = {}
        for layer in config.layers:
            slots = min(config.window, capacity) if layer.attention == "sliding" else capacity
            shape = (sequences, config.kv_heads, slots, config.head_width)
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

    def attend(self, layer: Layer, q_BHLC: Tensor) -> Tensor:
        k_cache, v_cache = self.caches[layer.kv_group]
        used = min(self.length + 1, k_cache.shape[2])
        return F.scaled_dot_product_attention(q_BHLC, k_cache[:, :, :used], v_cache[:, :, :used], enable_gqa=True)

    def advance(self) -> None:
        self.length += 1

    @property
    def live_bytes(self) -> int:
        """Bytes of the tensors that are really held."""
        return sum(tensor.nbytes for pair in self.caches.values() for tensor in pair)


def kv_bytes(config: ModelConfig, length: int) -> int:
    """Bytes of one sequence's caches at a context of `length` tokens: 2 x G x C x 4 for each slot of each KV group."""
    kinds = {layer.kv_group: layer.attention for layer in config.layers}
    slots = sum(min(config.window, length) if kind == "sliding" else length for kind in kinds.values())
    return 2 * config.kv_heads * config.head_width * BYTES_PER_VALUE * slots


def kv_bytes_per_token(config: ModelConfig, length: int) -> float:
    """`kv_bytes` by token of context. With three sliding layers to a full one, full layers in pairs and L = 16 W it
    is 17.19 % of what a full cache in every layer needs: 1/8 + 3/4 x 1/16."""
    return kv_bytes(config, length) / length


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), gain, eps=1e-6)


def rope_table(positions_L: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines [L, C / 2] of the angle position x base^(-2i / C) (RoFormer, 2104.09864, section 3.2)."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    angles = positions_L.to(torch.float64)[:, None] * base**-exponents
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + C / 2) of the last dimension of [B, heads, L, C]."""
    cos, sin = rope
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
