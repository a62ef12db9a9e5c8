"""The model: the whole forward pass, top to bottom.

A decoder-only transformer of the Yi-Lightning family: super-blocks of three sliding-window layers and one full layer,
the last layer full; full layers share a KV cache in pairs; the first layer's feed-forward is dense, the others are
fine-grained mixtures of experts with one shared expert. `ModelConfig.layers` says which layer is which.

Weights are fp32; the embedding hands on the compute dtype, and every product takes the precision of its input. The
router, RoPE and the loss are fp32.

Shapes: B sequences, L positions, D d_model, V vocabulary, K experts chosen per token, E experts.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.attention import KV, Attention, AttentionPlan, linear, rms_norm, wide
from trainer.config import LayerConfig, ModelConfig
from trainer.experts import FeedForward, MoE, Routing
from trainer.policies import Policy

EMBEDDING_STD, HEAD_STD = 0.3, 0.02


class BlockOutput(NamedTuple):
    """Of one layer: the residual stream [B, L, D], the KV of its group, and its routing (None in dense layers)."""

    x_BLD: Tensor
    kv_out: KV
    routing: Routing | None


class ModelOutput(NamedTuple):
    """Of a forward pass."""

    hidden_BLD: Tensor
    """Normalised, the input of the head."""

    routings: list[Routing]
    """Of each MoE layer."""

    kvs: dict[int, KV]
    """Keys and values of each KV group."""


class TransformerBlock(nn.Module):
    """One layer: pre-norm attention and a pre-norm feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: LayerConfig, owns_kv: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Parameter(torch.ones(config.d_model))
        self.attention = Attention(config, layer, owns_kv)
        self.ffn_norm = nn.Parameter(torch.ones(config.d_model))
        self.ffn = MoE(config) if layer.ffn == "moe" else FeedForward(config.d_model, config.d_ff)

    def forward(
        self, x_BLD: Tensor, kv_in: KV | None, plan: AttentionPlan, policy: Policy | None, real_BL: Tensor | None
    ) -> BlockOutput:
        y_BLD, kv_out = self.attention(rms_norm(x_BLD, self.attention_norm), kv_in, plan)
        x_BLD = x_BLD + y_BLD
        h_BLD = rms_norm(x_BLD, self.ffn_norm)
        if isinstance(self.ffn, MoE):
            assert policy is not None
            y_BLD, routing = self.ffn(h_BLD, policy, real_BL)
            return BlockOutput(x_BLD + y_BLD, kv_out, routing)
        return BlockOutput(x_BLD + self.ffn(h_BLD), kv_out, None)


class Transformer(nn.Module):
    """The language model. Embedding and head are not tied."""

    def __init__(self, config: ModelConfig, vocab_size: int, dtype: torch.dtype = torch.float32) -> None:
        """`dtype`: what the forward pass computes in; parameters are fp32."""
        super().__init__()
        self.config, self.dtype = config, dtype
        self.recompute_blocks = False  # execution.activation_checkpointing "block"
        self.embedding = nn.Parameter(torch.empty(vocab_size, config.d_model))
        groups: set[int] = set()
        self.blocks = nn.ModuleList()
        for layer in config.layers:
            self.blocks.append(TransformerBlock(config, layer, owns_kv=layer.kv_group not in groups))
            groups.add(layer.kv_group)
        self.final_norm = nn.Parameter(torch.ones(config.d_model))
        self.head = nn.Parameter(torch.empty(vocab_size, config.d_model))

    def forward(
        self,
        tokens_BL: Tensor,
        plan: AttentionPlan,
        policies: Sequence[Policy],
        caches: Mapping[int, KV] | None = None,
        real_BL: Tensor | None = None,
    ) -> ModelOutput:
        """`policies`: how many experts a token uses, one per MoE layer. `caches`: earlier keys and values by KV group,
        in decoding. `real_BL`: which positions are no padding; None when all are."""
        x_BLD = F.embedding(tokens_BL, self.embedding).to(self.dtype)
        kvs, routings = dict(caches or {}), []
        left = iter(policies)
        for block, layer in zip(self.layers(), self.config.layers, strict=True):
            run = block
            if self.recompute_blocks and torch.is_grad_enabled():
                run = partial(checkpoint, block, use_reentrant=False)  # type: ignore[assignment]
            policy = next(left) if layer.ffn == "moe" else None
            x_BLD, kvs[layer.kv_group], routing = run(x_BLD, kvs.get(layer.kv_group), plan, policy, real_BL)
            if routing is not None:
                routings.append(routing)
        return ModelOutput(rms_norm(x_BLD, self.final_norm), routings, kvs)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] to [..., V], in fp32."""
        return wide(linear(hidden, self.head))

    def layers(self) -> Iterator[TransformerBlock]:
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            yield block

    def moe_layers(self) -> list[MoE]:
        return [block.ffn for block in self.layers() if isinstance(block.ffn, MoE)]


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Set the initial weights, of a model on the CPU: normal with variance 1 / fan-in, and zero for the projections
    back into the residual stream, so that every layer starts as the identity; norm weights are 1. Router biases (0)
    stay as built.

    Measured with one seed on 245k tokens of English: 2.905 bits per byte, against 2.945 with residual projections
    scaled by depth; another order of the data changes it by .01.
    """
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            draw_initial(name, parameter, generator)


def draw_initial(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """Set the initial value of the parameter `name`. Parameters are drawn in the order of the model."""
    kind = name.rsplit(".", 1)[-1]
    if kind.endswith("_norm"):
        parameter.fill_(1.0)
    elif kind in ("wo", "w_out"):
        parameter.zero_()
    elif kind == "embedding":
        parameter.normal_(0.0, EMBEDDING_STD, generator=generator)
    elif kind == "head" or ".router." in name:
        parameter.normal_(0.0, HEAD_STD, generator=generator)
    else:
        # Experts are stored [E, in, out], everything else [out, in].
        parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)


def parameter_group(name: str) -> str:
    """The group of a parameter, one of `config.PARAMETER_GROUPS`, from its name in the model."""
    parts = name.split(".")
    if parts[-1].endswith("_norm"):
        return "norm"
    if len(parts) == 1:
        return parts[0]
    if "router" in parts:
        return "router"
    if "attention" in parts:
        return "attention"
    return "experts" if "experts" in parts or "shared" in parts else "dense"
