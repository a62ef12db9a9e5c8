"""Bits per byte on held-out text, by domain and by number of experts, beside what must be beaten.

A document's bits are those of all its tokens, the end-of-document token included; its bytes are those of its text in
UTF-8. So models with other tokenizers can be compared. A domain's figure is its bits over its bytes; `iq` and `eq`
pool the domains of each group. Documents longer than the training length lose their context where they are cut,
which costs the model, never helps it.

Shapes: B sequences, L positions, E experts.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.attention import PackedKV, kv_bytes_per_token
from trainer.baselines import Floats, gzip_bits_per_byte, texts, unigram_bits
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.determinism import deterministic
from trainer.experts import KPolicy, load_imbalance
from trainer.loader import PADDING, once_through
from trainer.model import Model
from trainer.runs import find_checkpoint
from trainer.state import TrainingState
from trainer.tokens import TokenDataset

IQ = ("mathematics", "code", "science", "engineering", "reasoning")
EQ = ("literature", "dialogue", "emotion", "society", "arts")
SEQUENCES = 8


def evaluate(
    checkpoint: Path,
    data: Path,
    k: Sequence[int] | None = None,
    policy: Literal["fixed", "threshold", "mass"] = "fixed",
    value: float = 0.0,
) -> dict[str, Any]:
    """Measure `checkpoint` (or the latest of a run) on the held-out tokens dataset `data`.

    At each k in `k` (default: the k of training), or, under another `policy`, with each k as the most experts that a
    token may use. The top level of the answer is the first k's; `by_k` has all, `baselines` the unigram model of the
    tokens that were trained on, and gzip. UsageError for a changed checkpoint, bad data, or a k the model lacks.
    """
    read = read_checkpoint(find_checkpoint(checkpoint))
    state = read.state()
    config = state.config
    dataset = open_for(read, state, data)
    policies = [checked(KPolicy(most, policy, value), config.model.experts) for most in k or [config.k.train]]
    with deterministic(config.run.threads):
        results = {each.k: measure(state.model, dataset, config.data.sequence_length, each) for each in policies}
    first = results[policies[0].k]
    return {
        **{name: first[name] for name in ("bits_per_byte", "overall", "iq", "eq", "active_experts")},
        "kv_bytes_per_token": kv_bytes_per_token(config.model, config.data.sequence_length),
        "by_k": {str(most): result for most, result in results.items()},
        "baselines": baselines(dataset, state.seen_V),
        "documents": len(dataset.documents),
        "bytes": int(dataset.documents.bytes.sum()),
        "tokens": int(dataset.documents.lengths.sum()),
        "checkpoint": read.sha256,
        "data": dataset.ref.manifest_sha256,
    }


def measure(model: Model, dataset: TokenDataset, length: int, policy: KPolicy) -> dict[str, Any]:
    """Bits per byte, the mean number of routed experts by token and layer, and the load of each layer at this k."""
    layers = model.config.expert_layers
    bits = np.zeros(len(dataset.documents))
    loads_E: list[Tensor] = [torch.zeros(model.config.experts, dtype=torch.int64)] * layers
    positions = 0
    with torch.inference_mode():
        for batch in once_through(dataset, length, SEQUENCES):
            inputs_BL, targets_BL, segments_BL = map(torch.from_numpy, (batch.inputs, batch.targets, batch.segments))
            hidden_BLD, routings = model(inputs_BL, PackedKV(segments_BL, model.config.window), [policy] * layers)
            losses = model.token_losses(hidden_BLD, targets_BL).numpy().astype(np.float64)
            real = batch.documents != PADDING
            bits += np.bincount(batch.documents[real], losses[real] / np.log(2.0), minlength=len(bits))
            loads_E = [total + routing.load_E for total, routing in zip(loads_E, routings, strict=True)]
            positions += inputs_BL.numel()
    chosen = sum(int(load_E.sum()) for load_E in loads_E)
    return by_domain(dataset, bits) | {
        "active_experts": chosen / (positions * layers) if layers else 0.0,
        "load_imbalance": [load_imbalance([load_E]) for load_E in loads_E],
    }


def by_domain(dataset: TokenDataset, bits: Floats) -> dict[str, Any]:
    """Bits per byte of each domain, of IQ, of EQ (None where there is no such text), and over all documents."""
    table = dataset.documents
    totals: dict[str, tuple[float, int]] = {}
    for domain, document_bits, size in zip(table.domains, bits.tolist(), table.bytes.tolist(), strict=True):
        before = totals.get(domain, (0.0, 0))
        totals[domain] = (before[0] + document_bits, before[1] + size)
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


def baselines(dataset: TokenDataset, seen_V: Tensor) -> dict[str, Any]:
    contents, table = texts(dataset), dataset.documents
    by_name = {name: [t for t, d in zip(contents, table.domains) if d == name] for name in sorted(set(table.domains))}
    return {
        "unigram": by_domain(dataset, unigram_bits(dataset, seen_V.numpy())),
        "gzip": {
            "bits_per_byte": {name: gzip_bits_per_byte(part) for name, part in by_name.items()},
            "iq": gzip_bits_per_byte([t for t, d in zip(contents, table.domains) if d in IQ]),
            "eq": gzip_bits_per_byte([t for t, d in zip(contents, table.domains) if d in EQ]),
            "overall": gzip_bits_per_byte(contents),
        },
    }


def open_for(checkpoint: Checkpoint, state: TrainingState, data: Path) -> TokenDataset:
    dataset = TokenDataset(data)
    if dataset.ref.tokenizer_sha256 != state.data.tokenizer_sha256:
        raise UsageError(
            f"{data} was made with another tokenizer than {checkpoint.folder}: tokenize it with the checkpoint's own"
        )
    return dataset


def checked(policy: KPolicy, experts: int) -> KPolicy:
    if not 1 <= policy.k <= experts:
        raise UsageError(f"k is {policy.k}; the model has {experts} experts, so k may be 1 to {experts}")
    if policy.kind != "fixed" and not 0.0 < policy.value <= 1.0:
        raise UsageError(f"the value of policy {policy.kind!r} is {policy.value}; it must be over 0 and at most 1")
    return policy
