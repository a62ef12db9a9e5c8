"""The model: the whole forward pass, top to bottom.

A decoder of the Yi-Lightning family: super-blocks of three sliding-window layers and one full layer, the last layer
full; full layers in pairs share one KV cache; the first layer's feed-forward is dense, the others are fine-grained
mixtures of experts with a shared one. Which layer is what stands in the configuration's layer table.

Training and decoding run the same code: only the KV store differs (see `attention.py`).

Shapes: B sequences, L positions, D width, V vocabulary, T = B x L tokens, E experts.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.attention import Attention, KVStore, rms_norm
from trainer.config import Layer, ModelConfig
from trainer.experts import Dense, Experts, KPolicy, Routing

LOSS_CHUNK = 512


class Block(nn.Module):
    def __init__(self, config: ModelConfig, layer: Layer, produces: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Parameter(torch.ones(config.width))
        self.attention = Attention(config, layer, produces)
        self.ffn_norm = nn.Parameter(torch.ones(config.width))
        self.ffn = Experts(config) if layer.ffn == "experts" else Dense(config.width, config.dense_hidden)


class Model(nn.Module):
    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(vocabulary, config.width))
        groups: set[int] = set()
        self.blocks = nn.ModuleList()
        for layer in config.layers:
            self.blocks.append(Block(config, layer, produces=layer.kv_group not in groups))
            groups.add(layer.kv_group)
        self.final_norm = nn.Parameter(torch.ones(config.width))
        self.head = nn.Parameter(torch.empty(vocabulary, config.width))

    def forward(self, tokens_BL: Tensor, kv: KVStore, policies: Sequence[KPolicy]) -> tuple[Tensor, list[Routing]]:
        """Hidden states [B, L, D] ready for the head, and what each expert layer did. One policy per expert layer."""
        x_BLD = F.embedding(tokens_BL, self.embedding)
        routings: list[Routing] = []
        for block in self.layers():
            x_BLD = x_BLD + block.attention(rms_norm(x_BLD, block.attention_norm), kv)
            h_BLD = rms_norm(x_BLD, block.ffn_norm)
            if isinstance(block.ffn, Experts):
                y_BLD, routing = block.ffn(h_BLD, policies[len(routings)])
                routings.append(routing)
            else:
                y_BLD = block.ffn(h_BLD)
            x_BLD = x_BLD + y_BLD
        return rms_norm(x_BLD, self.final_norm), routings

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.head)

    def token_losses(self, hidden_BLD: Tensor, targets_BL: Tensor) -> Tensor:
        """Negative log likelihood of each target in nats, [B, L]; in chunks, so that the logits stay in the cache."""
        chunks = zip(
            torch.split(hidden_BLD.flatten(0, 1), LOSS_CHUNK),
            torch.split(targets_BL.flatten(), LOSS_CHUNK),
            strict=True,
        )
        losses = [F.cross_entropy(self.logits(h_TD), t_T, reduction="none") for h_TD, t_T in chunks]
        return torch.cat(losses).view_as(targets_BL)

    def layers(self) -> Iterator[Block]:
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block

    def expert_layers(self) -> list[Experts]:
        return [block.ffn for block in self.layers() if isinstance(block.ffn, Experts)]


EMBEDDING_STD, HEAD_STD = 0.3, 0.02


def initialise(model: Model, generator: torch.Generator) -> None:
    """Normal weights of variance 1 / fan-in; projections back into the residual stream zero, so that every layer
    begins as the identity; gains one and biases zero as built. (One seed, 245k tokens of English: 2.905 bits per byte
    against 2.945 with residual projections scaled by the depth instead; another order of the data moves it by .01.)"""
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
    """The group (`config.PARAMETER_GROUPS`) that a parameter belongs to."""
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


def active_parameters(model: Model, k: int) -> int:
    """Parameters that one token uses when k experts are chosen in each expert layer."""
    idle = 0
    for experts in model.expert_layers():
        per_expert = (experts.w_in.numel() + experts.w_out.numel()) // experts.router.shape[0]
        idle += per_expert * (experts.router.shape[0] - k)
    return sum(parameter.numel() for parameter in model.parameters()) - idle
