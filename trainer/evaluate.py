"""Evaluation: bits per byte on held-out text, by domain and by experts per token, beside two baselines.

A document's bits are the sum over all its tokens, the end-of-document token included; its bytes are those of its
text in UTF-8, so models with different tokenizers can be compared. A domain's bits per byte are its bits over its
bytes; `iq` and `eq` pool the domains of each group. Documents are packed; one that is cut at the end of a sequence
loses the context before the cut.

Shapes: B sequences, L positions, D d_model, E experts, V vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError, WorkError
from trainer.balance import load_imbalance
from trainer.baselines import Floats, gzip_bits_per_byte, texts, unigram_bits
from trainer.cache import kv_bytes_per_token
from trainer.checkpoint import Checkpoint, latest_checkpoint
from trainer.data.loader import evaluation_batches
from trainer.data.pack import PADDING
from trainer.data.parts import parts_of
from trainer.data.tokens import TOKENIZER_FILE, TokenDataset
from trainer.device import choose_device, reproducible
from trainer.loss import token_losses
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named

IQ = ("mathematics", "code", "science", "engineering", "reasoning")
EQ = ("literature", "dialogue", "emotion", "society", "arts")
BATCH_SIZE = 8  # sequences


def evaluate(
    checkpoint: Path,
    data: Path,
    k: Sequence[int] | None = None,
    policy: str = "fixed",
    device: str = "auto",
) -> dict[str, Any]:
    """Evaluate `checkpoint` (a checkpoint, or a run, of which the latest is taken) on the tokens dataset `data`.

    Evaluates at each k in `k` (experts per token; default `top_k.full_k`). With a `policy` other than "fixed" (see
    `policy_file`) each k is the most experts that a token may use.

    Returns the results of the first k at the top level, those of every k in `by_k`, the unigram model and gzip in
    `baselines`, and in `trained_on` whether the checkpoint was trained on this very dataset. UsageError for a changed
    checkpoint, an unreadable dataset, one with another tokenizer, or a policy that the model cannot have.
    """
    read = latest_checkpoint(checkpoint)
    config, place = read.config, choose_device(device)
    dataset = open_dataset(read, data)
    policies = policies_named(policy, k or (), read)
    with reproducible(config.run.threads, place):
        model = read.model(place)
        length, groups = config.data.sequence_length, config.load_balancing.groups
        results = {each.k: evaluate_at(model, dataset, length, each, groups) for each in policies}
    first = results[policies[0].k]
    return {
        **{name: first[name] for name in ("bits_per_byte", "overall", "iq", "eq", "active_experts")},
        "policy": policy,
        "kv_bytes_per_token": kv_bytes_per_token(config.model, config.data.sequence_length),
        "by_k": {str(most): result for most, result in results.items()},
        "baselines": baselines(dataset, read.tensors["token_counts"]),
        "documents": len(dataset.documents),
        "bytes": int(dataset.documents.bytes.sum(dtype=np.int64)),
        "tokens": int(dataset.documents.lengths.sum(dtype=np.int64)),
        "checkpoint": read.sha256,
        "data": dataset.ref.manifest_sha256,
        "trained_on": was_trained_on(read, dataset),
    }


def evaluate_at(
    model: Transformer, dataset: TokenDataset, length: int, policy: KPolicy, groups: int = 1
) -> dict[str, Any]:
    """Bits per byte under one policy, and how it uses the experts (`use_of_experts`). `length`: tokens per sequence.
    Padding counts in none of them."""
    bits, used, load_ME = measure(model, dataset, length, policy)
    return by_domain(dataset, bits) | use_of_experts(dataset, used, load_ME, groups)


class EvaluationPass(NamedTuple):
    """Of one pass over a dataset."""

    bits: Floats
    """Of each document, shape (documents,)."""

    used: Floats
    """Experts that each document's tokens use, summed over tokens and layers, shape (documents,)."""

    load_ME: Tensor
    """Tokens of each expert of each MoE layer, int64."""


def measure(model: Transformer, dataset: TokenDataset, length: int, policy: KPolicy) -> EvaluationPass:
    """Bits of each document, and how it uses the experts. `length`: tokens per sequence. WorkError for a loss that is
    not finite."""
    config, device = model.config, model.head.device
    bits, used = (np.zeros(len(dataset.documents)) for _ in range(2))
    load_ME = torch.zeros((config.n_moe_layers, config.n_experts), dtype=torch.int64, device=device)
    policies = policy.for_layers(config.n_moe_layers)
    with torch.inference_mode():
        for batch in evaluation_batches(dataset, length, BATCH_SIZE):
            real = batch.documents != PADDING
            inputs_BL, targets_BL = (torch.from_numpy(part).to(device) for part in (batch.inputs, batch.targets))
            real_BL = None if real.all() else torch.from_numpy(real).to(device)
            plan = packed_plan(config, torch.from_numpy(batch.segments), device, model.dtype)
            out = model(inputs_BL, plan, policies, real_BL=real_BL)
            losses = token_losses(out.hidden_BLD.flatten(0, 1), model.head, targets_BL.flatten())
            nats = losses.nats_T.view(targets_BL.shape).cpu().numpy().astype(np.float64)
            documents = batch.documents[real]
            if not np.isfinite(nats).all():
                raise WorkError("the model's loss is not finite on this text: its weights are spoilt, or too large")
            bits += np.bincount(documents, nats[real] / np.log(2.0), minlength=len(bits))
            if policies:
                load_ME += torch.stack([routing.load_KE.sum(0) for routing in out.routings])
                used_BL = torch.stack([routing.used_BL for routing in out.routings]).sum(0).cpu().numpy()
                used += np.bincount(documents, used_BL[real], minlength=len(used))
    return EvaluationPass(bits, used, load_ME.cpu())


def use_of_experts(dataset: TokenDataset, used: Floats, load_ME: Tensor, groups: int) -> dict[str, Any]:
    """`active_experts`, the mean number of routed experts per token and layer; the same as `mean_k_by_domain` and
    `mean_k_by_layer`; and of each layer the largest and least load of an expert over the mean (`load_imbalance`,
    `least_load`), the number of experts without load (`unused_experts`), and the largest load of `groups` groups of
    neighbouring experts over the mean (`group_imbalance`; none where they do not divide the experts).

    `used`: experts of each document's tokens, summed over layers, shape (documents,). `load_ME`: tokens of each expert.
    """
    layers, tokens = len(load_ME), float(dataset.documents.lengths.sum())
    totals = totals_by_domain(dataset, used, dataset.documents.lengths)
    mean_M = load_ME.double().mean(1)
    return {
        "active_experts": int(load_ME.sum()) / (tokens * layers) if layers else 0.0,
        "mean_k_by_domain": {name: amount / (size * max(layers, 1)) for name, (amount, size) in sorted(totals.items())},
        "mean_k_by_layer": [float(total) / tokens for total in load_ME.sum(1)],
        "load_imbalance": [float(value) for value in load_imbalance(load_ME)],
        "group_imbalance": [float(value) for value in load_imbalance(_grouped(load_ME, groups))],
        "least_load": [float(value) for value in load_ME.amin(1) / mean_M.clamp(min=1e-9)] if layers else [],
        "unused_experts": [int(value) for value in (load_ME == 0).sum(1)],
    }


def _grouped(load_ME: Tensor, groups: int) -> Tensor:
    """The load of groups of neighbouring experts, [M, groups]; of no layers where they do not divide the experts."""
    layers, n_experts = load_ME.shape
    if n_experts % groups:
        return load_ME.new_zeros(0, groups)
    return load_ME.view(layers, groups, n_experts // groups).sum(2)


def by_domain(dataset: TokenDataset, bits: Floats) -> dict[str, Any]:
    """Bits per byte of each domain, of IQ and EQ (None without such text), and over all documents.

    `bits`: shape (documents,).
    """
    totals = totals_by_domain(dataset, bits, dataset.documents.bytes)
    return {
        "bits_per_byte": {domain: _pooled(totals, [domain]) for domain in sorted(totals)},
        "iq": _pooled(totals, IQ),
        "eq": _pooled(totals, EQ),
        "overall": _pooled(totals, totals),
    }


def totals_by_domain(
    dataset: TokenDataset, amounts: Floats, sizes: np.ndarray[Any, np.dtype[np.integer[Any]]]
) -> dict[str, tuple[float, int]]:
    """The sums of `amounts` and of `sizes`, shape (documents,) each, over the documents of each domain."""
    table = dataset.documents
    sums = (np.bincount(table.domain_codes, weights=x, minlength=len(table.domain_names)) for x in (amounts, sizes))
    pairs = zip(*(each.tolist() for each in sums), strict=True)
    return {name: (amount, int(size)) for name, (amount, size) in zip(table.domain_names, pairs, strict=True)}


def _pooled(totals: Mapping[str, tuple[float, int]], domains: Iterable[str]) -> float | None:
    parts = [totals[domain] for domain in domains if domain in totals]
    size = sum(size for _, size in parts)
    return sum(bits for bits, _ in parts) / size if size else None


def baselines(dataset: TokenDataset, token_counts_V: Tensor) -> dict[str, Any]:
    """Bits per byte of the unigram model with these training counts, and of gzip, on `dataset`."""
    contents, table = texts(dataset), dataset.documents
    domains = [table.domain_names[code] for code in table.domain_codes.tolist()]
    by_name = {name: [t for t, d in zip(contents, domains) if d == name] for name in sorted(table.domain_names)}
    return {
        "unigram": by_domain(dataset, unigram_bits(dataset, token_counts_V.numpy())),
        "gzip": {
            "bits_per_byte": {name: gzip_bits_per_byte(part) for name, part in by_name.items()},
            "iq": gzip_bits_per_byte([t for t, d in zip(contents, domains) if d in IQ]),
            "eq": gzip_bits_per_byte([t for t, d in zip(contents, domains) if d in EQ]),
            "overall": gzip_bits_per_byte(contents),
        },
    }


def was_trained_on(checkpoint: Checkpoint, dataset: TokenDataset) -> bool:
    """Whether any part of the checkpoint's training read this dataset, so that what it measures on it is no measure of
    new text."""
    return any(part.data == dataset.ref.manifest_sha256 for part in parts_of(checkpoint.header["state"]))


def open_dataset(checkpoint: Checkpoint, data: Path) -> TokenDataset:
    """The tokens dataset `data`. UsageError unless it has the checkpoint's tokenizer."""
    dataset = TokenDataset(data)
    if dataset.ref.tokenizer_sha256 != checkpoint.data.tokenizer_sha256:
        raise UsageError(
            f"{data} was made with another tokenizer than the checkpoint: tokenize it with "
            f"{checkpoint.folder / TOKENIZER_FILE}"
        )
    return dataset
