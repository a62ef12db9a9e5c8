"""Parameters and FLOPs of a configuration, without making the model.

Tests hold each formula to live models: to their parameters, and to the FLOPs that torch counts. Bytes of KV caches are
in `cache.py`, bytes of a training step in `memory.py`.

Shapes: D d_model, V vocabulary, H query heads, G key/value heads, C head_dim, L positions, W window.
"""

from typing import NamedTuple

from trainer.config import LayerConfig, ModelConfig, TopKConfig


class Parameters(NamedTuple):
    """Numbers of parameters."""

    total: int
    """All of them."""

    active: int
    """Those that one token uses with k routed experts in each MoE layer."""

    embedding: int
    """Those of the embedding table, whose rows are looked up: part of both others."""


def parameters(config: ModelConfig, vocab_size: int, k: int) -> Parameters:
    """Numbers of parameters, with k experts per token."""
    D, embedding = config.d_model, vocab_size * config.d_model
    total = 2 * embedding + D + sum(layer_parameters(config))
    inactive = config.n_moe_layers * (config.n_experts - k) * 3 * D * config.d_ff_expert
    return Parameters(total, total - inactive, embedding)


def layer_parameters(config: ModelConfig) -> list[int]:
    """Numbers of parameters of each layer."""
    D, d_q, d_kv = config.d_model, config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    dense = 3 * D * config.d_ff
    moe = config.n_experts * (3 * D * config.d_ff_expert + D) + 3 * D * config.d_ff_shared
    return [
        2 * D * d_q + config.head_dim + (2 * D * d_kv + config.head_dim if owns else 0)
        + (dense if layer.ffn == "dense" else moe) + 2 * D
        for layer, owns in zip(config.layers, owns_kv(config), strict=True)
    ]  # fmt: skip


def group_parameters(config: ModelConfig) -> dict[str, int]:
    """Numbers of parameters in layers of the groups that Muon may update (`config.MUON_GROUPS`), norms left out."""
    D, d_q, d_kv = config.d_model, config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    moe = config.n_moe_layers
    return {
        "attention": 2 * D * (len(config.layers) * d_q + sum(owns_kv(config)) * d_kv),
        "dense": (len(config.layers) - moe) * 3 * D * config.d_ff,
        "experts": moe * 3 * D * (config.n_experts * config.d_ff_expert + config.d_ff_shared),
        "router": moe * config.n_experts * D,
    }


def owns_kv(config: ModelConfig) -> list[bool]:
    """Whether each layer is the first of its KV group, which computes keys and values."""
    groups = [layer.kv_group for layer in config.layers]
    return [groups.index(group) == i for i, group in enumerate(groups)]


def forward_flops(config: ModelConfig, vocab_size: int, length: int, k: float) -> float:
    """FLOPs of the forward pass of one token, the mean over a sequence of `length` tokens that is one document: two
    for each multiplication of the products (norms, RoPE and the like are left out).

    4 H C per key that a query attends to: a mean of (L + 1) / 2 in full layers, of about W in sliding ones.
    """
    D = config.d_model
    d_q, d_kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    total = 2.0 * D * vocab_size
    for layer, owns in zip(config.layers, owns_kv(config), strict=True):
        total += 2 * D * (2 * d_q + (2 * d_kv if owns else 0))
        total += 4 * d_q * mean_keys(config, layer, length)
        if layer.ffn == "dense":
            total += 6 * D * config.d_ff
        else:
            total += 2 * D * config.n_experts + 6 * D * (config.d_ff_shared + k * config.d_ff_expert)
    return total


def training_flops(config: ModelConfig, vocab_size: int, length: int, k: float) -> float:
    """FLOPs of one token in training: forward, and twice that backward. Activations that are computed again are not
    counted, as in model FLOPs utilisation (PaLM, 2204.02311, appendix B)."""
    return 3 * forward_flops(config, vocab_size, length, k)


def mean_keys(config: ModelConfig, layer: LayerConfig, length: int) -> float:
    """Keys that a query attends to, the mean over a document of `length` tokens."""
    if layer.attention == "full" or length <= config.window:
        return (length + 1) / 2
    W = config.window
    return (W * (W + 1) / 2 + (length - W) * W) / length


def expected_k(config: TopKConfig) -> float:
    """Experts that a token uses in training, the mean over draws."""
    return config.full_k_probability * config.full_k + (1 - config.full_k_probability) * (
        (config.min_k + config.full_k) / 2
    )
