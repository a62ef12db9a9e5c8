"""Evaluation: bits per byte on held-out text, by domain and by experts per token, beside two baselines.

A document's bits are the sum over all its tokens, the end-of-document token included; its bytes are those of its
text in UTF-8, so models with different tokenizers can be compared. A domain's bits per byte are its bits over its
bytes; `iq` and `eq` pool the domains of each group. Documents are packed; one that is cut at the end of a sequence
loses the context before the cut.

Shapes: B sequences, L positions, D d_model, E experts, V vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.balance import load_imbalance
from trainer.baselines import Floats, gzip_bits_per_byte, texts, unigram_bits
from trainer.cache import kv_bytes_per_token
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.data.loader import evaluation_batches
from trainer.data.pack import PADDING
from trainer.data.tokens import TokenDataset
from trainer.device import choose_device, reproducible
from trainer.loss import token_losses
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy, PolicyKind, check_policy
from trainer.runs import find_checkpoint

IQ = ("mathematics", "code", "science", "engineering", "reasoning")
EQ = ("literature", "dialogue", "emotion", "society", "arts")
BATCH_SIZE = 8  # sequences


def evaluate(
    checkpoint: Path,
    data: Path,
    k: Sequence[int] | None = None,
    policy: PolicyKind = "fixed",
    value: float = 0.0,
    device: str = "auto",
) -> dict[str, Any]:
    """Evaluate `checkpoint` (a checkpoint, or a run, of which the latest is taken) on the tokens dataset `data`.

    Evaluates at each k in `k` (experts per token; default `top_k.full_k`). With a `policy` other than "fixed" (see
    `KPolicy`) each k is the most experts that a token may use, and `value` is the policy's threshold.

    Returns the results of the first k at the top level, those of every k in `by_k`, and the unigram model and gzip in
    `baselines`. UsageError for a changed checkpoint, an unreadable dataset, one with another tokenizer, or a k that the
    model does not have.
    """
    read = read_checkpoint(find_checkpoint(checkpoint))
    config, place = read.config, choose_device(device)
    dataset = open_dataset(read, data)
    n_experts = config.model.n_experts
    policies = [check_policy(KPolicy(most, policy, value), n_experts) for most in k or [config.top_k.full_k]]
    with reproducible(config.run.threads, place):
        model = read.model(place)
        results = {each.k: evaluate_at(model, dataset, config.data.sequence_length, each) for each in policies}
    first = results[policies[0].k]
    return {
        **{name: first[name] for name in ("bits_per_byte", "overall", "iq", "eq", "active_experts")},
        "kv_bytes_per_token": kv_bytes_per_token(config.model, config.data.sequence_length),
        "by_k": {str(most): result for most, result in results.items()},
        "baselines": baselines(dataset, read.tensors["token_counts"]),
        "documents": len(dataset.documents),
        "bytes": int(dataset.documents.bytes.sum(dtype=np.int64)),
        "tokens": int(dataset.documents.lengths.sum(dtype=np.int64)),
        "checkpoint": read.sha256,
        "data": dataset.ref.manifest_sha256,
    }


def evaluate_at(model: Transformer, dataset: TokenDataset, length: int, policy: KPolicy) -> dict[str, Any]:
    """Bits per byte under one policy, with the mean number of routed experts per token and layer (`active_experts`) and
    the load imbalance of each MoE layer. `length`: tokens per sequence. Padding counts in none of them."""
    config, device = model.config, model.head.device
    layers = config.n_moe_layers
    bits = np.zeros(len(dataset.documents))
    load_ME = torch.zeros((layers, config.n_experts), dtype=torch.int64, device=device)
    positions = 0
    with torch.inference_mode():
        for batch in evaluation_batches(dataset, length, BATCH_SIZE):
            real = batch.documents != PADDING
            inputs_BL, targets_BL = (torch.from_numpy(part).to(device) for part in (batch.inputs, batch.targets))
            real_BL = None if real.all() else torch.from_numpy(real).to(device)
            plan = packed_plan(config, torch.from_numpy(batch.segments), device, model.dtype)
            out = model(inputs_BL, plan, [policy] * layers, real_BL=real_BL)
            losses = token_losses(out.hidden_BLD.flatten(0, 1), model.head, targets_BL.flatten())
            nats = losses.nats_T.view(targets_BL.shape).cpu().numpy().astype(np.float64)
            bits += np.bincount(batch.documents[real], nats[real] / np.log(2.0), minlength=len(bits))
            if layers:
                load_ME += torch.stack([routing.load_KE.sum(0) for routing in out.routings])
            positions += int(real.sum())
    return by_domain(dataset, bits) | {
        "active_experts": int(load_ME.sum()) / (positions * layers) if layers else 0.0,
        "load_imbalance": [float(value) for value in load_imbalance(load_ME)],
    }


def by_domain(dataset: TokenDataset, bits: Floats) -> dict[str, Any]:
    """Bits per byte of each domain, of IQ and EQ (None without such text), and over all documents.

    `bits`: shape (documents,).
    """
    table = dataset.documents
    bits_by_code = np.bincount(table.domain_codes, weights=bits)
    bytes_by_code = np.bincount(table.domain_codes, weights=table.bytes).astype(np.int64)
    totals = dict(zip(table.domain_names, zip(bits_by_code.tolist(), bytes_by_code.tolist()), strict=True))
    return {
        "bits_per_byte": {domain: _pooled(totals, [domain]) for domain in sorted(totals)},
        "iq": _pooled(totals, IQ),
        "eq": _pooled(totals, EQ),
        "overall": _pooled(totals, totals),
    }


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


def open_dataset(checkpoint: Checkpoint, data: Path) -> TokenDataset:
    """The tokens dataset `data`. UsageError unless it has the checkpoint's tokenizer."""
    dataset = TokenDataset(data)
    if dataset.ref.tokenizer_sha256 != checkpoint.data.tokenizer_sha256:
        raise UsageError(
            f"{data} was made with another tokenizer than {checkpoint.folder}: tokenize it with the checkpoint's own"
        )
    return dataset
