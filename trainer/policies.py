"""How many routed experts a token uses: policies of inference, and the k of a training step.

A layer takes the `most` experts with the largest score + bias, ranked by it, and keeps the first of them: a smaller k
uses a prefix of the experts of a larger one, as in training. The policies that depend on scores decide how many by the
scores alone, in which the bias has no part.

Shapes: B sequences, L positions, T = B x L tokens, K experts chosen per token, M MoE layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.config import TopKConfig

PolicyKind = Literal["fixed", "table", "min_p", "top_p"]


class Policy(Protocol):
    """How many of the chosen experts each token of a layer keeps."""

    @property
    def most(self) -> int:
        """Experts that are chosen, K."""
        ...

    @property
    def keeps_all(self) -> bool:
        """Whether a token keeps all that are chosen, whatever their scores."""
        ...

    def keep(self, scores_TK: Tensor) -> Tensor | None:
        """Which of the chosen experts to keep, [T, K] of bool; None for all. `scores_TK` are in order of rank, which is
        by score + bias."""
        ...


@dataclass(frozen=True)
class KPolicy:
    """Inference: `k` experts for each token ("fixed"), or fewer where the scores allow it.

    "min_p" keeps as many as have a score of at least `value` times the token's best score (llama.cpp #4470).
    "top_p" keeps as many as it takes of the best scores to sum to `value` of the scores of the chosen `k` (2403.07652).
    Both keep at least `minimum` experts and at most `k`, those of the first ranks.
    "table" is a fixed k of each MoE layer (LExI, 2509.02753): of all layers, so `for_layers` is asked first.
    """

    k: int
    kind: PolicyKind = "fixed"
    value: float = 0.0
    minimum: int = 1
    table: tuple[int, ...] = ()
    """k of each MoE layer, of kind "table"; `k` is the largest."""

    values: tuple[float, ...] = ()
    """Of "min_p" and "top_p", where MoE layers have values of their own; `value` is then none of them."""

    @property
    def most(self) -> int:
        return self.k

    @property
    def keeps_all(self) -> bool:
        return self.kind == "fixed"

    def for_layers(self, layers: int) -> "list[KPolicy]":
        """The policy of each MoE layer: what a model takes."""
        own = self.table or self.values
        assert len(own) in (0, layers), "check_policy has compared them"
        if self.table:
            return [KPolicy(k) for k in self.table]
        return [replace(self, value=value, values=()) for value in self.values] or [self] * layers

    @property
    def name(self) -> str:
        """As `policy_file.policies_named` reads it."""
        own = ",".join(map(str, self.table)) or ",".join(f"{value:.4g}" for value in self.values or [self.value])
        return self.kind if self.kind == "fixed" else f"{self.kind}={own}"

    def keep(self, scores_TK: Tensor) -> Tensor | None:
        assert not (self.table or self.values), "a policy of all layers"
        if self.kind == "fixed":
            return None
        best_TK = scores_TK.sort(dim=1, descending=True).values
        if self.kind == "min_p":
            number_T = (best_TK >= self.value * best_TK[:, :1]).sum(1)
        else:
            share_TK = best_TK / best_TK.sum(1, keepdim=True)
            number_T = (share_TK.cumsum(1) - share_TK < self.value).sum(1)
        rank_K = torch.arange(scores_TK.shape[1], device=scores_TK.device)
        return rank_K < number_T.clamp(min=self.minimum)[:, None]


@dataclass(frozen=True)
class DrawnK:
    """Training: the first k experts, with another k for each sequence."""

    most: int

    k_B: Tensor
    """k of each sequence, int64, on the model's device: another k is another value, no other shape."""

    keeps_all: bool = False

    def keep(self, scores_TK: Tensor) -> Tensor:
        k_T = self.k_B.repeat_interleave(scores_TK.shape[0] // self.k_B.shape[0])
        return torch.arange(scores_TK.shape[1], device=scores_TK.device) < k_T[:, None]


def draw_k(config: TopKConfig, seed: int, step: int, sequences: Sequence[int], layers: int) -> np.ndarray:
    """k of each MoE layer and sequence in update `step`, int64 [M, B]: a hash of (seed, step, layer) or of (seed, step,
    sequence), by `config.draw`. `sequences` are numbers within the global batch, so k does not depend on how the batch
    is dealt to ranks and passes."""
    numbers = np.asarray(sequences, np.uint64)
    layer_M1, sequence_1B = np.arange(layers, dtype=np.uint64)[:, None], numbers[None, :]
    place = layer_M1 + 0 * sequence_1B if config.draw == "layer" else 0 * layer_M1 + sequence_1B
    start = _mixed(_mixed(np.uint64(seed)) ^ np.uint64(step))
    drawn = _mixed(start ^ _mixed(place))
    full = _unit(drawn) < config.full_k_probability
    span = config.full_k - config.min_k + 1
    other = config.min_k + (_unit(_mixed(drawn + np.uint64(1))) * span).astype(np.int64)
    return np.where(full, config.full_k, other)


def _mixed(x: np.ndarray | np.uint64) -> np.ndarray:
    """SplitMix64's next output from state `x` (Steele, Lea, Flood 2014), elementwise."""
    z = np.asarray(x, np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _unit(x: np.ndarray) -> np.ndarray:
    """Uniform in [0, 1) from 64 random bits."""
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def check_policy(policy: KPolicy, n_experts: int, layers: int) -> KPolicy:
    """`policy` itself, for a model with `layers` MoE layers of `n_experts`. UsageError when its k, its value or its
    table is out of range."""
    own = policy.table if policy.kind == "table" else policy.values
    if len(own) != layers and (own or policy.kind == "table"):
        what = "table" if policy.kind == "table" else "policy"
        raise UsageError(f"the {what} has {len(own)} numbers; the model has {layers} MoE layers: one for each")
    for k in (policy.k, *policy.table):
        if not 1 <= k <= n_experts:
            raise UsageError(f"k is {k}; the model has {n_experts} experts, so k may be 1 to {n_experts}")
    for value in policy.values or [policy.value]:
        if policy.kind in ("min_p", "top_p") and not 0.0 < value <= 1.0:
            raise UsageError(f"the value of policy {policy.kind!r} is {value}; it must be over 0 and at most 1")
    if not 1 <= policy.minimum <= policy.k:
        raise UsageError(f"the minimum of experts is {policy.minimum}; it must be from 1 to k, which is {policy.k}")
    return policy
