"""Generation: prompts in one forward pass, then a token of each sequence at a time through the KV caches.

Shapes: B sequences, L positions, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.baselines import open_tokenizer
from trainer.cache import Caches, kv_bytes
from trainer.checkpoint import latest_checkpoint
from trainer.device import COMPUTE_DTYPES, choose_device, reproducible
from trainer.model import Transformer, parameter_group
from trainer.plan import available_memory, gib
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.sampling import Sampling, random_streams, sample

SPACE_SIGN = "\u2581"


class Continuation(NamedTuple):
    """What a model wrote after a prompt."""

    prompt: str
    text: str
    tokens: int
    """Of `text`, the end-of-document token not counted."""

    ended: bool
    """Whether the model ended the document; else the tokens that were asked for are spent."""


def generate(
    checkpoint: Path,
    prompts: Sequence[str],
    tokens: int = 100,
    k: int | None = None,
    policy: str = "fixed",
    sampling: Sampling = Sampling(),  # noqa: B008
    dtype: str | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> list[Continuation]:
    """Continue each prompt by at most `tokens` tokens, fewer when the model ends the document.

    `checkpoint`: a checkpoint, or a run, of which the latest is taken. `k`: experts per token, or the most of them
    under a `policy` other than "fixed" (see `policy_file`), default `top_k.full_k`. `dtype`: what is computed in, and
    kept in weights and caches ("float32" or "bfloat16"), default `run.compute_dtype`. `batch_size`: prompts at once.

    The same arguments give the same texts, and a prompt the same text alone and among others, but where two tokens are
    so near to each other that the order of a sum decides. UsageError for a changed checkpoint or a number out of range.
    """
    assert not isinstance(prompts, str), "prompts are several"
    if tokens < 1 or batch_size < 1:
        raise UsageError(f"tokens is {tokens} and the batch size {batch_size}; both must be at least 1")
    sampling.check()
    read = latest_checkpoint(checkpoint)
    config, place = read.config, choose_device(device)
    if dtype is not None and dtype not in COMPUTE_DTYPES:
        raise UsageError(f"no dtype {dtype!r}: use {' or '.join(COMPUTE_DTYPES)}")
    (chosen,) = policies_named(policy, [] if k is None else [k], read)
    processor, eod_id = open_tokenizer(read.tokenizer), read.data.eod_id
    encoded = [encode(processor, prompt) for prompt in prompts]
    new: list[list[int]] = []
    with reproducible(config.run.threads, place), torch.inference_mode():
        model = for_inference(read.model(), COMPUTE_DTYPES[dtype or config.run.compute_dtype]).to(place)
        streams = random_streams(encoded, sampling.seed)
        for first in range(0, len(encoded), batch_size):
            part = slice(first, first + batch_size)
            starts = [[eod_id, *ids] for ids in encoded[part]]
            new += continue_tokens(model, starts, tokens, chosen, sampling, streams[part], eod_id)
    return [_continuation(processor, *row, eod_id) for row in zip(prompts, encoded, new, strict=True)]


def encode(processor: Any, text: str) -> list[int]:
    """The ids of a text, as `refinery tokenize` writes them: SentencePiece has a sign for the space, so where the sign
    itself stands in the text its bytes are encoded."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError("a prompt has bytes that are no UTF-8: convert it first")
    sign = [processor.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE_SIGN.encode()]
    ids: list[int] = []
    for i, part in enumerate(text.split(SPACE_SIGN)):
        ids += [*(sign if i else []), *processor.encode(part)]
    return ids


def _continuation(processor: Any, prompt: str, ids: list[int], new: list[int], eod_id: int) -> Continuation:
    ended = new[-1:] == [eod_id]
    new = new[:-1] if ended else new
    # Decoded together with the prompt: alone, a first token that begins a word would lose its space.
    text = str(processor.decode(ids + new))[len(str(processor.decode(ids))) :]
    return Continuation(prompt, text, len(new), ended)


def for_inference(model: Transformer, dtype: torch.dtype) -> Transformer:
    """The model without gradients and counts of its routing, with weights kept in the `dtype` that it computes in: the
    values that fp32 weights are rounded to at each use, at half the memory in bfloat16. The router's stay in fp32,
    which it computes in. UsageError for a model that cannot compute in bfloat16."""
    # Grouped products take rows of a multiple of 16 bytes.
    if dtype.itemsize == 2 and (model.config.d_model % 8 or model.config.d_ff_expert % 8):
        raise UsageError("model.d_model and d_ff_expert are no multiples of 8, as bfloat16 needs: use float32")
    model.dtype = dtype
    for name, parameter in model.named_parameters():
        if parameter_group(name) != "router":
            parameter.data = parameter.data.to(dtype)
    for moe in model.moe_layers():
        moe.counts = False
    return model.requires_grad_(False)


def continue_tokens(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    policy: KPolicy,
    sampling: Sampling,
    streams: Sequence[Random],
    eod_id: int,
) -> list[list[int]]:
    """Up to `tokens` ids that continue each prompt (at least one id), the last of them `eod_id` if one ended there.
    `streams`: the random numbers of each prompt."""
    assert all(prompts), "a prompt begins with the end-of-document token"
    longest = max(map(len, prompts))
    check_caches(model, len(prompts), longest + tokens)
    caches = Caches(model.config, len(prompts), longest + tokens, model.dtype, model.head.device)
    logits_BV = prefill(model, prompts, caches, policy)
    new: list[list[int]] = [[] for _ in prompts]
    while True:
        ids = sample(logits_BV, sampling, [stream.random() for stream in streams])
        for row, token in zip(new, ids, strict=True):
            if row[-1:] != [eod_id]:
                row.append(token)
        if all(len(row) == tokens or row[-1] == eod_id for row in new):
            return new
        logits_BV = decode_step(model, torch.tensor(ids, device=model.head.device)[:, None], caches, policy)


def check_caches(model: Transformer, sequences: int, length: int) -> None:
    """UsageError where the caches of so many sequences of this length are larger than the free memory."""
    # Each slot of a kind of layer has its position, too.
    size = sequences * (kv_bytes(model.config, length, model.dtype.itemsize) + 2 * length * torch.int64.itemsize)
    free = available_memory(model.head.device)
    if free is not None and size > free:
        raise UsageError(
            f"the caches of {sequences} texts of {length} tokens need {gib(size)}, and {gib(free)} are free: give "
            "fewer --tokens, or a smaller --batch-size"
        )


def prefill(model: Transformer, prompts: Sequence[Sequence[int]], caches: Caches, policy: KPolicy) -> Tensor:
    """Run all prompts in one forward pass and fill the empty `caches`; the logits [B, V] of each one's next token."""
    device = model.head.device
    lengths = [len(prompt) for prompt in prompts]
    longest = max(lengths)
    tokens_BL = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=device)
    padding_BL = torch.arange(longest) >= torch.tensor(lengths)[:, None]
    plan = packed_plan(model.config, padding_BL.long(), device, model.dtype)
    real_BL = ~padding_BL.to(device) if padding_BL.any() else None
    out = model(tokens_BL, plan, policy.for_layers(model.config.n_moe_layers), real_BL=real_BL)
    caches.fill(out.kvs, lengths)
    last_B = torch.tensor(lengths, device=device) - 1
    return model.logits(out.hidden_BLD[torch.arange(len(lengths), device=device), last_B])


def decode_step(model: Transformer, tokens_B1: Tensor, caches: Caches, policy: KPolicy) -> Tensor:
    """Decode one token of each sequence: [B, 1] ids to the logits [B, V] of the next token. Adds it to `caches`."""
    out = model(tokens_B1, caches.step(), policy.for_layers(model.config.n_moe_layers), caches.groups)
    return model.logits(out.hidden_BLD[:, 0])
