"""Grouped-query attention: queries in every layer, keys and values in the first layer of each KV group.

Keys and values are a value that blocks hand on, `KV`: a layer that owns its group's returns new ones, the other layers
of the group take them as an argument. How they are stored and attended to is the `AttentionPlan`'s part: packed
documents in training and evaluation (`plans.py`), caches in decoding (`cache.py`). The plan is made once a batch.

Shapes: B sequences, L positions, S keys, D d_model, H query heads, G key/value heads, C head_dim.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import LayerConfig, ModelConfig

Kind = Literal["sliding", "full"]


class KV(NamedTuple):
    """Keys, rotated by RoPE, and values of one KV group: [B, G, S, C] each."""

    k: Tensor
    v: Tensor


class Rope(NamedTuple):
    """Cosines and sines of each position's angles, in fp32: [..., L, C / 2], broadcast over [B, heads, L, C / 2]."""

    cos: Tensor
    sin: Tensor


class AttentionPlan(Protocol):
    """What attention needs to know of a batch: positions, documents, windows."""

    @property
    def rope(self) -> Mapping[Kind, Rope]:
        """RoPE of the batch's positions, by kind of layer."""
        ...

    def store(self, kind: Kind, kv_in: KV | None, new: KV) -> KV:
        """The keys and values to attend to, once the batch's own `new` [B, G, L, C] are added to `kv_in`."""
        ...

    def attend(self, kind: Kind, q_BHLC: Tensor, kv: KV) -> Tensor:
        """Attention of the batch's queries, [B, H, L, C]."""
        ...


class Attention(nn.Module):
    """Grouped-query attention with RMS-normalised queries and keys (QK-norm) and RoPE.

    Only the first layer of a KV group (`owns_kv`) has wk, wv and k_norm; the others compute queries alone.
    """

    def __init__(self, config: ModelConfig, layer: LayerConfig, owns_kv: bool) -> None:
        super().__init__()
        self.kind: Kind = layer.attention
        self.owns_kv, self.head_dim = owns_kv, config.head_dim
        d_q, d_kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.wq = nn.Parameter(torch.empty(d_q, config.d_model))
        self.wo = nn.Parameter(torch.empty(config.d_model, d_q))
        self.q_norm = nn.Parameter(torch.ones(config.head_dim))
        if owns_kv:
            self.wk = nn.Parameter(torch.empty(d_kv, config.d_model))
            self.wv = nn.Parameter(torch.empty(d_kv, config.d_model))
            self.k_norm = nn.Parameter(torch.ones(config.head_dim))

    def forward(self, x_BLD: Tensor, kv_in: KV | None, plan: AttentionPlan) -> tuple[Tensor, KV]:
        """The output [B, L, D], and the keys and values that the group's next layers take."""
        rope = plan.rope[self.kind]
        if self.owns_kv:
            k_BGLC = apply_rope(rms_norm(self.split_heads(linear(x_BLD, self.wk)), self.k_norm), rope)
            kv = plan.store(self.kind, kv_in, KV(k_BGLC, self.split_heads(linear(x_BLD, self.wv))))
        else:
            assert kv_in is not None, "the first layer of a KV group comes before its others"
            kv = kv_in
        q_BHLC = apply_rope(rms_norm(self.split_heads(linear(x_BLD, self.wq)), self.q_norm), rope)
        o_BHLC = plan.attend(self.kind, q_BHLC, kv)
        return linear(o_BHLC.transpose(1, 2).flatten(2), self.wo), kv

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, L, heads x C] to [B, heads, L, C]."""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """`x` [..., in] times `weight` [out, in], in the precision of `x`: weights are kept in fp32."""
    return F.linear(x, weight.to(x.dtype))


def wide(x: Tensor) -> Tensor:
    """`x` in fp32; in fp64, in which tests compare, if it is so already."""
    return x if x.dtype is torch.float64 else x.float()


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm over the last dimension (1910.07467), in the precision of `x`."""
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), eps=1e-6)


def rope_table(positions: Tensor, head_dim: int, theta: float) -> Rope:
    """Angles position x theta^(-2i / C) (RoFormer, 2104.09864, section 3.2) of `positions` [...]: [..., C / 2] each, on
    the device of the positions."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64, device=positions.device) / head_dim
    angles = positions.to(torch.float64)[..., None] * theta**-exponents
    return Rope(angles.cos().float(), angles.sin().float())


def rope_of(config: ModelConfig, positions: Tensor) -> dict[Kind, Rope]:
    """`rope_table` for each kind of layer."""
    thetas: dict[Kind, float] = {"sliding": config.rope_theta_sliding, "full": config.rope_theta_full}
    return {kind: rope_table(positions, config.head_dim, theta) for kind, theta in thetas.items()}


def apply_rope(x: Tensor, rope: Rope) -> Tensor:
    """Rotate the pairs (i, i + C / 2) of the last dimension of [B, heads, L, C]: in fp32, then in that of `x` again."""
    a, b = wide(x).chunk(2, dim=-1)
    rotated = torch.cat((a * rope.cos - b * rope.sin, b * rope.cos + a * rope.sin), dim=-1)
    return rotated.to(x.dtype)
