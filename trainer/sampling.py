"""How the next token is drawn from the logits, and from which random numbers.

Each sequence has random numbers of its own, which follow from the seed and its prompt: a prompt is continued in the
same way alone and among others. V vocabulary, B sequences.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from infra.errors import UsageError, WorkError


@dataclass(frozen=True)
class Sampling:
    """The softmax of logits / `temperature`, cut to its `top_k` most likely tokens, then to the fewest of these that
    hold `top_p` of their probability (nucleus sampling, 1904.09751)."""

    temperature: float = 0.8
    """0 takes the most likely token, whatever the other fields are."""

    top_p: float = 1.0
    """1 cuts nothing."""

    top_k: int | None = None
    """None cuts nothing."""

    seed: int = 0

    def check(self) -> "Sampling":
        """Itself. UsageError for a number out of range."""
        if not 0.0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature is {self.temperature}; it must be at least 0")
        if not 0.0 < self.top_p <= 1.0:
            raise UsageError(f"top_p is {self.top_p}; it must be over 0 and at most 1")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k is {self.top_k}; it must be at least 1")
        return self


def random_streams(prompts: Sequence[Sequence[int]], seed: int) -> list[Random]:
    """The random numbers of each prompt: a hash of the seed, its ids, and how many equal prompts are before it."""
    seen: Counter[str] = Counter()
    streams = []
    for prompt in prompts:
        ids = " ".join(map(str, prompt))
        streams.append(Random(hashlib.sha256(f"{seed}/{seen[ids]}/{ids}".encode()).digest()))
        seen[ids] += 1
    return streams


def sample(logits_BV: Tensor, sampling: Sampling, uniforms: Sequence[float]) -> list[int]:
    """A token of each sequence; `uniforms` are B numbers in [0, 1). WorkError where no largest logit is finite."""
    if not logits_BV.amax(1).isfinite().all():  # -inf is a token that cannot be
        raise WorkError("the model's logits are not finite: its weights are spoilt, or too large")
    if sampling.temperature == 0.0:
        return list(map(int, logits_BV.argmax(1).tolist()))
    sorted_BV, token_BV = logits_BV.double().sort(dim=1, descending=True, stable=True)
    weight_BV = ((sorted_BV - sorted_BV[:, :1]) / sampling.temperature).exp()
    if sampling.top_k is not None:
        weight_BV[:, sampling.top_k :] = 0.0
    sum_BV = weight_BV.cumsum(1)
    weight_BV = weight_BV.where(sum_BV - weight_BV < sampling.top_p * sum_BV[:, -1:], 0.0)
    sum_BV = weight_BV.cumsum(1)
    u_B1 = torch.tensor(uniforms, dtype=torch.float64, device=logits_BV.device)[:, None]
    place_B1 = (sum_BV <= u_B1 * sum_BV[:, -1:]).sum(1, keepdim=True)
    return list(map(int, token_BV.gather(1, place_B1)[:, 0].tolist()))
