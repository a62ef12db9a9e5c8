"""Training: one step, and the loop that takes a run from its state to a step, logging and keeping checkpoints.

Shapes: B sequences, L positions, E experts.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError, WorkError
from infra.storage import disk_errors, lock
from trainer.attention import PackedKV
from trainer.checkpoint import Checkpoint
from trainer.config import Config
from trainer.determinism import deterministic
from trainer.experts import balanced_bias, draw_policies, load_imbalance
from trainer.loader import Batch, Loader
from trainer.model import active_parameters
from trainer.runs import RunFolder
from trainer.schedule import balance_moves, learning_rate_factor, total_steps
from trainer.state import TrainingState
from trainer.tokens import TokenDataset

# Called after every step with its log row and the step the run goes to.
Progress = Callable[[Mapping[str, Any], int], None]


class BatchResult(NamedTuple):
    """Gradients are left on the parameters. `losses` are nats by token [B, L]; `loads_E` tokens by expert and layer."""

    losses: np.ndarray[Any, np.dtype[np.float64]]
    loads_E: list[Tensor]
    mean_k: float


def accumulate(state: TrainingState, batch: Batch) -> BatchResult:
    """Forward and backward passes over a batch, a micro-batch at a time; each draws its own k for every layer."""
    config, model = state.config, state.model
    rows = config.data.micro_batch_sequences
    losses, ks = [], []
    loads_E = [torch.zeros(config.model.experts, dtype=torch.int64)] * config.model.expert_layers
    for first in range(0, config.data.batch_sequences, rows):
        inputs_BL, targets_BL, segments_BL = (
            torch.from_numpy(part[first : first + rows]) for part in (batch.inputs, batch.targets, batch.segments)
        )
        policies = draw_policies(config.k, config.model.expert_layers, state.generator)
        hidden_BLD, routings = model(inputs_BL, PackedKV(segments_BL, config.model.window), policies)
        losses_BL = model.token_losses(hidden_BLD, targets_BL)
        loss = losses_BL.sum() / batch.targets.size
        if routings:
            sequence_loss = torch.stack([routing.sequence_loss for routing in routings]).sum()
            loss = loss + config.balance.sequence_loss * sequence_loss * (rows / config.data.batch_sequences)
        torch.autograd.backward(loss)
        losses.append(losses_BL.detach().numpy().astype(np.float64))
        loads_E = [total + routing.load_E for total, routing in zip(loads_E, routings, strict=True)]
        ks += [policy.k for policy in policies]
    return BatchResult(np.concatenate(losses), loads_E, sum(ks) / max(1, len(ks)))


def train_step(state: TrainingState, loader: Loader) -> dict[str, Any]:
    """One optimizer step on the next batch: `state` moves on by one; the log row is returned."""
    config = state.config
    batch, cursor = loader.batch(state.cursor, config.data.batch_sequences)
    result = accumulate(state, batch)
    rate = config.optimizer.learning_rate * learning_rate_factor(config.schedule, state.step)
    trained = [parameter for parameter in state.model.parameters() if parameter.grad is not None]
    norm = float(torch.nn.utils.clip_grad_norm_(trained, config.optimizer.clip_norm))
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if balance_moves(config.schedule, state.step) and "router" not in config.optimizer.frozen_groups:
        for experts, load_E in zip(state.model.expert_layers(), result.loads_E, strict=True):
            experts.bias_E.copy_(balanced_bias(experts.bias_E, load_E, config.balance.bias_rate))
    state.seen_V += torch.from_numpy(batch.targets).flatten().bincount(minlength=len(state.seen_V))
    state.cursor, state.step, state.tokens = cursor, state.step + 1, state.tokens + batch.targets.size
    loss = float(result.losses.mean())
    if not np.isfinite(loss) or not np.isfinite(norm):
        raise WorkError(f"the loss is not a number at step {state.step}: lower optimizer.learning_rate and start again")
    return {
        "step": state.step,
        "tokens": state.tokens,
        "learning_rate": rate,
        "loss": loss,
        "loss_by_domain": loss_by_domain(result.losses, batch, loader.dataset),
        "k": result.mean_k,
        "gradient_norm": norm,
        "load_imbalance": load_imbalance(result.loads_E) if result.loads_E else 1.0,
    }


def loss_by_domain(
    losses: np.ndarray[Any, np.dtype[np.float64]], batch: Batch, dataset: TokenDataset
) -> dict[str, float]:
    """Mean nats by token of each domain in the batch, by name."""
    documents, inverse = np.unique(batch.documents, return_inverse=True)
    sums = np.bincount(inverse.ravel(), weights=losses.ravel())
    counts = np.bincount(inverse.ravel())
    totals: dict[str, tuple[float, int]] = {}
    for document, nats, count in zip(documents.tolist(), sums.tolist(), counts.tolist(), strict=True):
        domain = dataset.documents.domains[document]
        before = totals.get(domain, (0.0, 0))
        totals[domain] = (before[0] + nats, before[1] + count)
    return {domain: nats / count for domain, (nats, count) in sorted(totals.items())}


def run_to(
    state: TrainingState,
    loader: Loader,
    until: int,
    run: RunFolder,
    lineage: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Take `state` to step `until`; a checkpoint at every `checkpoint_every` steps and at the end. A summary."""
    rows = run.rewind(state.step)
    tokenizer = loader.dataset.tokenizer
    row = rows[-1] if rows else None
    began, first = time.monotonic(), state.step
    with deterministic(state.config.run.threads):
        while state.step < until:
            at = time.monotonic()
            row = train_step(state, loader)
            run.append(row, {"step": state.step, "seconds": time.monotonic() - at})
            if state.step % state.config.run.checkpoint_every == 0 or state.step == until:
                run.save(state, tokenizer, lineage)
            if progress is not None:
                progress(row, until)
    if state.step > first:
        seconds = time.monotonic() - began
        tokens = (state.step - first) * state.config.data.batch_sequences * state.config.data.sequence_length
        run.describe(
            {
                "data": str(loader.dataset.folder.resolve()),
                "steps": state.step - first,
                "seconds": seconds,
                "tokens_per_second": tokens / seconds,
                "torch": torch.__version__,
            }
        )
    checkpoint = run.latest()
    assert checkpoint is not None and checkpoint.step == state.step
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    active = active_parameters(state.model, state.config.k.train)
    return {
        "run": str(run.folder),
        "checkpoint": str(checkpoint.folder),
        **checkpoint.summary(),
        "loss": row["loss"] if row else None,
        "loss_by_domain": row["loss_by_domain"] if row else {},
        "parameters": parameters,
        "active_parameters": active,
    }


def train(
    config_path: Path, data: Path, out: Path, steps: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Train the trunk of `config_path` on `data` into `out`: to the end of the trunk, or to `steps`.

    Beyond the trunk's end `steps` goes into the tail, which is what a branch without overrides does. A second call
    goes on where the first stopped. UsageError for a bad configuration, bad data, or a folder of other arguments.
    """
    config = Config.read(config_path)
    dataset = TokenDataset(data)
    until = config.schedule.trunk_steps if steps is None else steps
    if not 1 <= until <= total_steps(config.schedule):
        raise UsageError(
            f"cannot train to step {until}: the schedule in {config_path} has steps 1 to {total_steps(config.schedule)}"
        )
    with disk_errors(out), lock(out):
        run = RunFolder(out)
        run.claim("training.json", {"config": config.as_dict(), "data": dataset.ref.manifest_sha256})
        checkpoint = run.latest()
        state = resume(checkpoint) if checkpoint else create(config, dataset)
        loader = Loader(dataset, config.data.seed, config.data.sequence_length)
        return run_to(state, loader, max(until, state.step), run, progress=progress)


def create(config: Config, dataset: TokenDataset) -> TrainingState:
    with deterministic(config.run.threads):
        return TrainingState.create(config, dataset.ref)


def resume(checkpoint: Checkpoint) -> TrainingState:
    return checkpoint.state()
