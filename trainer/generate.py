"""Generation: one token at a time through the KV caches, sampled with a seeded generator."""

from pathlib import Path

import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.attention import CachedKV
from trainer.baselines import open_tokenizer
from trainer.checkpoint import read_checkpoint
from trainer.determinism import deterministic
from trainer.evaluate import check_policy
from trainer.experts import KPolicy
from trainer.model import Transformer
from trainer.runs import find_checkpoint


def generate(
    checkpoint: Path, prompt: str = "", tokens: int = 100, k: int | None = None, temperature: float = 0.8, seed: int = 0
) -> str:
    """Continue `prompt` by at most `tokens` tokens, fewer when the model ends the document. Returns the new text.

    `checkpoint`: a checkpoint, or a run, of which the latest is taken. `k`: experts per token, default
    `top_k.full_k`. `temperature` 0 takes the most likely token. The same arguments give the same text. UsageError for a
    changed checkpoint or a number out of range.
    """
    if tokens < 1 or not temperature >= 0.0:
        raise UsageError(f"tokens is {tokens} and temperature {temperature}; they must be at least 1 and at least 0")
    read = read_checkpoint(find_checkpoint(checkpoint))
    state = read.state()
    config = state.config
    policy = check_policy(KPolicy(k or config.top_k.full_k), config.model.n_experts)
    processor = open_tokenizer(read.tokenizer)
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = processor.encode(prompt) if prompt else []
    with deterministic(config.run.threads), torch.inference_mode():
        eod_id = state.data.eod_id
        new = sample_tokens(state.model, [eod_id, *ids], tokens, policy, temperature, eod_id, generator)
    # Decoded together with the prompt: alone, a first token that begins a word would lose its space.
    return str(processor.decode(ids + new))[len(str(processor.decode(ids))) :]


def sample_tokens(
    model: Transformer,
    prompt: list[int],
    tokens: int,
    policy: KPolicy,
    temperature: float,
    eod_id: int,
    generator: torch.Generator,
) -> list[int]:
    """Up to `tokens` ids that continue `prompt` (at least one id), without the `eod_id` that may end them."""
    assert prompt, "a prompt begins with the end-of-document token"
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
        if token == eod_id:
            break
        new.append(token)
    return new


def decode_step(model: Transformer, tokens_B1: Tensor, kv: CachedKV, policy: KPolicy) -> Tensor:
    """Decode one token of each sequence: [B, 1] ids to the logits [B, V] of the next token. Advances `kv`."""
    hidden_B1D, _ = model(tokens_B1, kv, [policy] * model.config.n_moe_layers)
    kv.advance()
    return model.logits(hidden_B1D[:, 0])
