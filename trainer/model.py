"""The model: the whole forward pass, top to bottom.

A decoder-only transformer of the Yi-Lightning family: super-blocks of three sliding-window layers and one full layer,
the last layer full; full layers share a KV cache in pairs; the first layer's feed-forward is dense, the others are
fine-grained mixtures of experts with one shared expert. `ModelConfig.layers` says which layer is which.

Training and decoding run the same code with different KV stores (see `attention.py`).

Shapes: B sequences, L positions, D d_model, V vocabulary, T = B x L tokens, E experts.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.attention import Attention, KVStore, rms_norm
from trainer.config import LayerConfig, ModelConfig
from trainer.experts import FeedForward, KPolicy, MoE, RoutingStats

LOSS_CHUNK_TOKENS = 512
EMBEDDING_STD, HEAD_STD = 0.3, 0.02


class TransformerBlock(nn.Module):
    """One layer's parameters: pre-norm attention and a pre-norm feed-forward."""

    def __init__(self, config: ModelConfig, layer: LayerConfig, owns_kv: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Parameter(torch.ones(config.d_model))
        self.attention = Attention(config, layer, owns_kv)
        self.ffn_norm = nn.Parameter(torch.ones(config.d_model))
        self.ffn = MoE(config) if layer.ffn == "moe" else FeedForward(config.d_model, config.d_ff)


class Transformer(nn.Module):
    """The language model. Embedding and head are not tied."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(vocab_size, config.d_model))
        groups: set[int] = set()
        self.blocks = nn.ModuleList()
        for layer in config.layers:
            self.blocks.append(TransformerBlock(config, layer, owns_kv=layer.kv_group not in groups))
            groups.add(layer.kv_group)
        self.final_norm = nn.Parameter(torch.ones(config.d_model))
        self.head = nn.Parameter(torch.empty(vocab_size, config.d_model))

    def forward(self, tokens_BL: Tensor, kv: KVStore, policies: Sequence[KPolicy]) -> tuple[Tensor, list[RoutingStats]]:
        """Normalised hidden states [B, L, D], input of `logits`, and the routing statistics of each MoE layer.

        `policies`: how many experts a token uses, one policy per MoE layer.
        """
        x_BLD = F.embedding(tokens_BL, self.embedding)
        routings: list[RoutingStats] = []
        for block in self.layers():
            x_BLD = x_BLD + block.attention(rms_norm(x_BLD, block.attention_norm), kv)
            h_BLD = rms_norm(x_BLD, block.ffn_norm)
            if isinstance(block.ffn, MoE):
                y_BLD, routing = block.ffn(h_BLD, policies[len(routings)])
                routings.append(routing)
            else:
                y_BLD = block.ffn(h_BLD)
            x_BLD = x_BLD + y_BLD
        return rms_norm(x_BLD, self.final_norm), routings

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] to [..., V]."""
        return F.linear(hidden, self.head)

    def token_losses(self, hidden_BLD: Tensor, targets_BL: Tensor) -> Tensor:
        """Cross-entropy of each target in nats, [B, L]. Computed in chunks, whose logits fit the CPU's cache."""
        chunks = zip(
            torch.split(hidden_BLD.flatten(0, 1), LOSS_CHUNK_TOKENS),
            torch.split(targets_BL.flatten(), LOSS_CHUNK_TOKENS),
            strict=True,
        )
        losses = [F.cross_entropy(self.logits(h_TD), t_T, reduction="none") for h_TD, t_T in chunks]
        return torch.cat(losses).view_as(targets_BL)

    def layers(self) -> Iterator[TransformerBlock]:
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            yield block

    def moe_layers(self) -> list[MoE]:
        return [block.ffn for block in self.layers() if isinstance(block.ffn, MoE)]


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Set the initial weights: normal with variance 1 / fan-in, and zero for the projections back into the residual
    stream, so that every layer starts as the identity. Norm weights (1) and router biases (0) stay as built.

    Measured with one seed on 245k tokens of English: 2.905 bits per byte, against 2.945 with residual projections
    scaled by depth; another order of the data changes it by .01.
    """
    for name, parameter in model.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        with torch.no_grad():
            if kind in ("wo", "w_out"):
                parameter.zero_()
            elif kind == "embedding":
                parameter.normal_(0.0, EMBEDDING_STD, generator=generator)
            elif kind in ("head", "router"):
                parameter.normal_(0.0, HEAD_STD, generator=generator)
            elif not kind.endswith("_norm"):
                # Experts are stored [E, in, out], everything else [out, in].
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)


def parameter_group(name: str, parameter: Tensor) -> str:
    """The group of a parameter, one of `config.PARAMETER_GROUPS`, from its name and dimensions."""
    kind = name.rsplit(".", 1)[-1]
    if kind.endswith("_norm"):
        return "norm"
    if kind in ("embedding", "head"):
        return "embedding"
    if kind == "router":
        return "router"
    if ".attention." in name:
        return "attention"
    return "experts" if ".shared." in name or parameter.ndim == 3 else "dense"


def active_parameters(model: Transformer, k: int) -> int:
    """Parameters that one token uses with k routed experts in each MoE layer."""
    inactive = 0
    for moe in model.moe_layers():
        n_experts = moe.router.shape[0]
        per_expert = (moe.w_in.numel() + moe.w_out.numel()) // n_experts
        inactive += per_expert * (n_experts - k)
    return sum(parameter.numel() for parameter in model.parameters()) - inactive
