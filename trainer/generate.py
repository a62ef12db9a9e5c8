"""Generation: prompts in one forward pass, then a token of each sequence at a time through the KV caches, sampled
with a seeded generator.

Shapes: B sequences, L positions, V vocabulary.
"""

from pathlib import Path

import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.baselines import open_tokenizer
from trainer.cache import Caches
from trainer.checkpoint import read_checkpoint
from trainer.device import choose_device, reproducible
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.runs import find_checkpoint


def generate(
    checkpoint: Path,
    prompt: str = "",
    tokens: int = 100,
    k: int | None = None,
    temperature: float = 0.8,
    seed: int = 0,
    policy: str = "fixed",
    device: str = "auto",
) -> str:
    """Continue `prompt` by at most `tokens` tokens, fewer when the model ends the document. Returns the new text.

    `checkpoint`: a checkpoint, or a run, of which the latest is taken. `k`: experts per token, or the most of them
    under a `policy` other than "fixed" (see `policy_file`), default `top_k.full_k`. `temperature` 0 takes the most
    likely token. The same arguments give the same text. UsageError for a changed checkpoint or a number out of range.
    """
    if tokens < 1 or not temperature >= 0.0:
        raise UsageError(f"tokens is {tokens} and temperature {temperature}; they must be at least 1 and at least 0")
    read = read_checkpoint(find_checkpoint(checkpoint))
    config, place = read.config, choose_device(device)
    (chosen,) = policies_named(policy, [] if k is None else [k], read)
    processor = open_tokenizer(read.tokenizer)
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = processor.encode(prompt) if prompt else []
    with reproducible(config.run.threads, place), torch.inference_mode():
        model, eod_id = read.model(place), read.data.eod_id
        new = sample_tokens(model, [[eod_id, *ids]], tokens, chosen, temperature, eod_id, generator)[0]
    # Decoded together with the prompt: alone, a first token that begins a word would lose its space.
    return str(processor.decode(ids + new))[len(str(processor.decode(ids))) :]


def sample_tokens(
    model: Transformer,
    prompts: list[list[int]],
    tokens: int,
    policy: KPolicy,
    temperature: float,
    eod_id: int,
    generator: torch.Generator,
) -> list[list[int]]:
    """Up to `tokens` ids that continue each prompt (at least one id), without the `eod_id` that may end them. The
    generator is the CPU's."""
    assert all(prompts), "a prompt begins with the end-of-document token"
    longest = max(len(prompt) for prompt in prompts)
    caches = Caches(model.config, len(prompts), longest + tokens, model.dtype, model.head.device)
    logits_BV = prefill(model, prompts, caches, policy)
    new: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    for left in range(tokens, 0, -1):
        ids = sample(logits_BV, temperature, generator)
        for row, token in enumerate(ids.tolist()):
            ended[row] = ended[row] or token == eod_id
            if not ended[row]:
                new[row].append(token)
        if all(ended) or left == 1:
            break
        logits_BV = decode_step(model, ids[:, None].to(model.head.device), caches, policy)
    return new


def sample(logits_BV: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A token of each sequence, [B] on the CPU; the most likely one at temperature 0."""
    logits_BV = logits_BV.cpu()
    if temperature == 0.0:
        return logits_BV.argmax(1)
    return torch.multinomial((logits_BV / temperature).softmax(1), 1, generator=generator)[:, 0]


def prefill(model: Transformer, prompts: list[list[int]], caches: Caches, policy: KPolicy) -> Tensor:
    """Run all prompts in one forward pass and fill the empty `caches`; the logits [B, V] of each one's next token."""
    device = model.head.device
    lengths_B = torch.tensor([len(prompt) for prompt in prompts])
    longest = int(lengths_B.max())
    tokens_BL = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in prompts], device=device)
    real_BL = torch.arange(longest) < lengths_B[:, None]
    plan = packed_plan(model.config, (~real_BL).long(), device, model.dtype)
    policies = policy.for_layers(model.config.n_moe_layers)
    out = model(tokens_BL, plan, policies, real_BL=None if real_BL.all() else real_BL.to(device))
    lengths_B = lengths_B.to(device)
    caches.fill(out.kvs, lengths_B)
    return model.logits(out.hidden_BLD[torch.arange(len(prompts), device=device), lengths_B - 1])


def decode_step(model: Transformer, tokens_B1: Tensor, caches: Caches, policy: KPolicy) -> Tensor:
    """Decode one token of each sequence: [B, 1] ids to the logits [B, V] of the next token. Adds it to `caches`."""
    out = model(tokens_B1, caches.step(), policy.for_layers(model.config.n_moe_layers), caches.groups)
    return model.logits(out.hidden_BLD[:, 0])
