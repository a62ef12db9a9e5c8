"""Text from a checkpoint: a token at a time through the KV caches, sampled from a seeded generator."""

from pathlib import Path

import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.attention import CachedKV
from trainer.baselines import tokenizer
from trainer.checkpoint import read_checkpoint
from trainer.determinism import deterministic
from trainer.evaluate import checked
from trainer.experts import KPolicy
from trainer.model import Model
from trainer.runs import find_checkpoint


def generate(
    checkpoint: Path,
    prompt: str = "",
    tokens: int = 100,
    k: int | None = None,
    temperature: float = 0.8,
    seed: int = 0,
) -> str:
    """The prompt's continuation: at most `tokens` tokens, less when the model ends the document.

    `temperature` 0 takes the likeliest token. The same arguments give the same text.
    """
    if tokens < 1 or not temperature >= 0.0:
        raise UsageError(f"tokens is {tokens} and temperature {temperature}; they must be at least 1 and at least 0")
    read = read_checkpoint(find_checkpoint(checkpoint))
    state = read.state()
    config = state.config
    policy = checked(KPolicy(k or config.k.train), config.model.experts)
    processor = tokenizer(read.tokenizer)
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = processor.encode(prompt) if prompt else []
    with deterministic(config.run.threads), torch.inference_mode():
        new = continue_from(state.model, [state.data.eod, *ids], tokens, policy, temperature, state.data.eod, generator)
    # Decoded together with the prompt: alone, a first token that begins a word would lose its space.
    return str(processor.decode(ids + new))[len(str(processor.decode(ids))) :]


def continue_from(
    model: Model,
    prompt: list[int],
    tokens: int,
    policy: KPolicy,
    temperature: float,
    eod: int,
    generator: torch.Generator,
) -> list[int]:
    """Up to `tokens` ids behind `prompt` (at least one id), without the `eod` that ends them."""
    assert prompt, "there is always a token to go on from: the end of the document before"
    kv = CachedKV(model.config, 1, len(prompt) + tokens)
    for token in prompt[:-1]:
        decode_step(model, torch.tensor([[token]]), kv, policy)
    token = prompt[-1]
    new: list[int] = []
    while len(new) < tokens:
        logits_V = decode_step(model, torch.tensor([[token]]), kv, policy)[0]
        if temperature == 0.0:
            token = int(logits_V.argmax())
        else:
            token = int(torch.multinomial((logits_V / temperature).softmax(0), 1, generator=generator))
        if token == eod:
            break
        new.append(token)
    return new


def decode_step(model: Model, tokens_B1: Tensor, kv: CachedKV, policy: KPolicy) -> Tensor:
    """Feed one token of each sequence; the logits [B, V] of the next."""
    hidden_B1D, _ = model(tokens_B1, kv, [policy] * model.config.expert_layers)
    kv.advance()
    return model.logits(hidden_B1D[:, 0])
