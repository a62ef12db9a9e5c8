"""Training: one optimizer step, and the loop that runs steps, writes the log and saves checkpoints.

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
from trainer.config import Config
from trainer.data.loader import Loader
from trainer.data.pack import Batch
from trainer.data.tokens import TokenDataset
from trainer.determinism import deterministic
from trainer.experts import load_imbalance, sample_policies, updated_bias
from trainer.model import active_parameters
from trainer.runs import RunFolder
from trainer.schedule import learning_rate_factor, total_steps, updates_router_bias
from trainer.state import TrainingState

# Called after every step with its log row and the last step of this call.
OnStep = Callable[[Mapping[str, Any], int], None]


class BatchResult(NamedTuple):
    """What forward and backward over a global batch gave; gradients are left on the parameters."""

    losses_BL: np.ndarray[Any, np.dtype[np.float64]]
    """Cross-entropy of each target in nats."""

    loads_E: list[Tensor]
    """Tokens routed to each expert, per MoE layer."""

    mean_k: float
    """Experts per token, averaged over MoE layers and micro-batches."""


def accumulate_gradients(state: TrainingState, batch: Batch) -> BatchResult:
    """Forward and backward over a global batch, one micro-batch at a time. Each draws its own k for every layer."""
    config, model = state.config, state.model
    size = config.data.micro_batch_size
    losses, ks = [], []
    loads_E = [torch.zeros(config.model.n_experts, dtype=torch.int64)] * config.model.n_moe_layers
    for first in range(0, config.data.global_batch_size, size):
        inputs_BL, targets_BL, segments_BL = (
            torch.from_numpy(part[first : first + size]) for part in (batch.inputs, batch.targets, batch.segments)
        )
        policies = sample_policies(config.top_k, config.model.n_moe_layers, state.generator)
        hidden_BLD, routings = model(inputs_BL, PackedKV(segments_BL, config.model.window), policies)
        losses_BL = model.token_losses(hidden_BLD, targets_BL)
        loss = losses_BL.sum() / batch.targets.size
        if routings:
            sequence_loss = torch.stack([routing.sequence_loss for routing in routings]).sum()
            weight = config.load_balancing.sequence_loss_weight
            loss = loss + weight * sequence_loss * (size / config.data.global_batch_size)
        torch.autograd.backward(loss)
        losses.append(losses_BL.detach().numpy().astype(np.float64))
        loads_E = [total + routing.load_E for total, routing in zip(loads_E, routings, strict=True)]
        ks += [policy.k for policy in policies]
    return BatchResult(np.concatenate(losses), loads_E, sum(ks) / max(1, len(ks)))


def train_step(state: TrainingState, loader: Loader) -> dict[str, Any]:
    """Take one optimizer step on the next global batch. Updates `state` in place; returns the step's log row.

    WorkError when the loss or the gradient norm is not finite.
    """
    config = state.config
    batch, cursor = loader.batch(state.cursor, config.data.global_batch_size)
    result = accumulate_gradients(state, batch)
    rate = config.optimizer.learning_rate * learning_rate_factor(config.schedule, state.step)
    trained = [parameter for parameter in state.model.parameters() if parameter.grad is not None]
    norm = float(torch.nn.utils.clip_grad_norm_(trained, config.optimizer.max_grad_norm))
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if updates_router_bias(config.schedule, state.step) and "router" not in config.optimizer.frozen_groups:
        for moe, load_E in zip(state.model.moe_layers(), result.loads_E, strict=True):
            moe.bias_E.copy_(updated_bias(moe.bias_E, load_E, config.load_balancing.bias_update_rate))
    targets = torch.from_numpy(batch.targets).flatten()
    state.token_counts_V += targets.bincount(minlength=len(state.token_counts_V))
    state.cursor, state.step, state.tokens = cursor, state.step + 1, state.tokens + batch.targets.size
    loss = float(result.losses_BL.mean())
    if not np.isfinite(loss) or not np.isfinite(norm):
        raise WorkError(f"the loss is not finite at step {state.step}: lower optimizer.learning_rate and start again")
    return {
        "step": state.step,
        "tokens": state.tokens,
        "learning_rate": rate,
        "loss": loss,
        "loss_by_domain": loss_by_domain(result.losses_BL, batch, loader.dataset),
        "mean_k": result.mean_k,
        "grad_norm": norm,
        "load_imbalance": load_imbalance(result.loads_E) if result.loads_E else 1.0,
    }


def loss_by_domain(
    losses_BL: np.ndarray[Any, np.dtype[np.float64]], batch: Batch, dataset: TokenDataset
) -> dict[str, float]:
    """Mean loss in nats per token of each domain in the batch."""
    names = dataset.documents.domain_names
    domains = batch.domains.ravel()
    sums = np.bincount(domains, weights=losses_BL.ravel(), minlength=len(names))
    counts = np.bincount(domains, minlength=len(names))
    present = sorted((names[i], i) for i in np.flatnonzero(counts).tolist())
    return {name: float(sums[i] / counts[i]) for name, i in present}


def train_until(
    state: TrainingState,
    loader: Loader,
    last_step: int,
    run: RunFolder,
    lineage: Mapping[str, Any] | None = None,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Train `state` up to and including `last_step`; save every `checkpoint_interval_steps` steps and at the end.

    Returns a summary: the run's folder, its checkpoint and hashes, the last loss, and the number of parameters.
    """
    rows = run.truncate_logs(state.step)
    tokenizer = loader.dataset.tokenizer
    row = rows[-1] if rows else None
    began, first = time.monotonic(), state.step
    with deterministic(state.config.run.threads):
        while state.step < last_step:
            step_began = time.monotonic()
            row = train_step(state, loader)
            run.append_log(row, {"step": state.step, "seconds": time.monotonic() - step_began})
            if state.step % state.config.run.checkpoint_interval_steps == 0 or state.step == last_step:
                run.save(state, tokenizer, lineage)
            if on_step is not None:
                on_step(row, last_step)
    if state.step > first:
        seconds = time.monotonic() - began
        tokens = (state.step - first) * state.config.data.global_batch_size * state.config.data.sequence_length
        run.write_info(
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
    return {
        "run": str(run.folder),
        "checkpoint": str(checkpoint.folder),
        **checkpoint.summary(),
        "loss": row["loss"] if row else None,
        "loss_by_domain": row["loss_by_domain"] if row else {},
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "active_parameters": active_parameters(state.model, state.config.top_k.full_k),
    }


def train(
    config_path: Path, data: Path, out: Path, steps: int | None = None, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train the trunk of `config_path` on the tokens dataset `data` into the folder `out`, up to step `steps`.

    `steps` defaults to the end of the trunk; beyond it the run enters the decay, as a branch without overrides does. A
    second call resumes where the first stopped. Returns the summary of `train_until`. UsageError for a bad
    configuration or dataset, or when `out` was made with other arguments.
    """
    config = Config.read(config_path)
    dataset = TokenDataset(data)
    last_step = config.schedule.trunk_steps if steps is None else steps
    end = total_steps(config.schedule)
    if not 1 <= last_step <= end:
        raise UsageError(f"cannot train to step {last_step}: the schedule in {config_path} has steps 1 to {end}")
    with disk_errors(out), lock(out):
        run = RunFolder(out)
        run.claim("training.json", {"config": config.as_dict(), "data": dataset.ref.manifest_sha256})
        checkpoint = run.latest()
        state = checkpoint.state() if checkpoint else create_state(config, dataset)
        loader = Loader(dataset, config.data.seed, config.data.sequence_length)
        return train_until(state, loader, max(last_step, state.step), run, on_step=on_step)


def create_state(config: Config, dataset: TokenDataset) -> TrainingState:
    """The state at step 0, its weights drawn under the run's number of threads."""
    with deterministic(config.run.threads):
        return TrainingState.create(config, dataset.ref)
