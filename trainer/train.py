"""Training: one optimizer step, and the loop that runs steps, writes the log and saves checkpoints.

Shapes: B sequences, L positions, E experts.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from infra.errors import UsageError, WorkError
from infra.storage import disk_errors, lock
from trainer.balance import balance_loss, load_imbalance, updated_bias
from trainer.config import Config
from trainer.data.cursor import Cursor
from trainer.data.loader import Loader
from trainer.data.mixture import MixtureSchedule
from trainer.data.pack import Batch
from trainer.data.prefetch import Prefetcher
from trainer.data.tokens import TokenDataset
from trainer.device import choose_device, reproducible
from trainer.experts import Routing
from trainer.forecast import ForecastConfig, ForecastLog
from trainer.formulas import expected_k, parameters
from trainer.loss import token_losses
from trainer.parallel.ranks import ONE, Ranks, joined
from trainer.plan import check_memory
from trainer.plans import packed_plan
from trainer.policies import DrawnK, KPolicy, Policy, draw_k
from trainer.prepare import prepare
from trainer.run_files import check_place
from trainer.runs import RunFolder
from trainer.saving import Saver
from trainer.schedule import learning_rate_factor, total_steps, updates_router_bias
from trainer.speed import Speed
from trainer.state import NORMS, TrainingState
from trainer.totals import StepTotals, totals

MOST_SKIPPED = 20  # steps in a row

# Called after every step with its log row, its rates (`Speed.rates`) among it, and the last step of this call.
OnStep = Callable[[Mapping[str, Any], int], None]
# Called before the first step with lines for people: the memory estimate, and a warning where it is too much.
Tell = Callable[[str], None]


class BatchResult(NamedTuple):
    """What forward and backward over a global batch gave, on the device; gradients are left on the parameters."""

    nats_BL: Tensor
    """Cross-entropy of each target."""

    load_MKE: Tensor
    """Tokens that use expert e of each MoE layer as their (k + 1)-th, int64."""


def accumulate_gradients(state: TrainingState, batch: Batch, k_MB: np.ndarray) -> BatchResult:
    """Forward and backward over this rank's share of a global batch, a micro-batch at a time. `k_MB`: k of each MoE
    layer and sequence of the share."""
    ranks = state.ranks.world_size
    config, size = state.config, state.config.execution.micro_batch_size
    nats, loads = [], []
    for first in range(0, len(batch.targets), size):
        part = batch.rows(first, first + size)
        total, nats_BL, routings = forward(state, part, k_MB[:, first : first + size])
        loss = total / (ranks * batch.targets.size)
        if routings:
            share = len(part.targets) / (ranks * len(batch.targets))
            loss = loss + share * balance_loss(config.load_balancing, routings)
        torch.autograd.backward(loss)
        nats.append(nats_BL)
        loads.append(stacked([routing.load_KE for routing in routings], state))
    return BatchResult(torch.cat(nats), torch.stack(loads).sum(0))


def forward(state: TrainingState, batch: Batch, k_MB: np.ndarray) -> tuple[Tensor, Tensor, list[Routing]]:
    """The sum of the losses of a micro-batch, to be differentiated, the cross-entropy of each target [B, L], and the
    routing of each MoE layer."""
    config, model, device = state.config, state.model, state.device
    inputs_BL, targets_BL = (on_device(array, device) for array in (batch.inputs, batch.targets))
    segments_BL = torch.from_numpy(batch.segments)
    plan = packed_plan(config.model, segments_BL, device, model.dtype, config.execution.attention)
    full_k = config.top_k.full_k
    policies: list[Policy]
    if config.top_k.full_k_probability == 1:  # nothing to mask
        policies = [KPolicy(full_k)] * len(k_MB)
    else:
        policies = [DrawnK(full_k, k_B) for k_B in on_device(k_MB, device)]
    out = model(inputs_BL, plan, policies)
    total, nats_T = token_losses(
        out.hidden_BLD.flatten(0, 1), model.head, targets_BL.flatten(), config.optimizer.z_loss_weight
    )
    return total, nats_T.view(targets_BL.shape), out.routings


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy on the device, which the host does not wait for."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def stacked(loads: list[Tensor], state: TrainingState) -> Tensor:
    """[M, K, E], also of no layers."""
    model, top_k = state.config.model, state.config.top_k
    shape = (0, top_k.full_k, model.n_experts)
    return torch.stack(loads) if loads else torch.zeros(shape, dtype=torch.int64, device=state.device)


def train_step(state: TrainingState, batch: Batch, cursor: Cursor, domain_names: Sequence[str]) -> dict[str, Any]:
    """Take one optimizer step on a global batch, of which `batch` is this rank's share and after which the data are at
    `cursor`. Updates `state` in place; returns the step's log row, the same on every rank.

    A step whose loss or gradients are not finite, or far larger than those before (`optimizer.max_loss_ratio`,
    `max_norm_ratio`), changes no weight; its row says `skipped`.
    """
    config, ranks, B = state.config, state.ranks, state.config.data.global_batch_size
    k_MB = draw_k(config.top_k, config.run.seed, state.step, range(B), config.model.n_moe_layers)
    result = accumulate_gradients(state, batch, k_MB[:, ranks.share(B)])
    domains_BL = on_device(batch.domains.astype(np.int64), state.device)
    found = totals(
        ranks, state.optimizer.grad_norm(), result.load_MKE, result.nats_BL, domains_BL, B, len(domain_names)
    )
    rate = config.optimizer.learning_rate * learning_rate_factor(config.schedule, state.step)
    guard = config.optimizer
    skipped = is_outlier(found.host_norm, state.norms, guard.max_norm_ratio) or is_outlier(
        found.loss, state.losses, guard.max_loss_ratio
    )
    if not skipped:
        state.optimizer.clip(found.norm, config.optimizer.max_grad_norm)
        state.optimizer.step(rate)
        state.norms = [*state.norms, found.host_norm][-NORMS:]
        state.losses = [*state.losses, found.loss][-NORMS:]
        move_biases(state, found.load_MKE.sum(1))
    state.optimizer.zero_grad()
    counts_V = np.bincount(batch.targets.ravel(), minlength=len(state.token_counts_V))
    state.token_counts_V += ranks.sum(on_device(counts_V, state.device))
    state.cursor, state.step = cursor, state.step + 1
    state.tokens += ranks.world_size * batch.targets.size
    return {
        "step": state.step,
        "tokens": state.tokens,
        "learning_rate": rate,
        "loss": finite(found.loss),
        "loss_by_domain": loss_by_domain(found, domain_names),
        **({"loss_by_k": loss_by_k(found, k_MB[0])} if config.top_k.draw == "sequence" and len(k_MB) else {}),
        "mean_k": float(k_MB.mean()) if k_MB.size else 0.0,
        "grad_norm": finite(found.host_norm),
        "load_imbalance": [round(float(x), 4) for x in load_imbalance(found.host_load_MKE.sum(1))],
        "load_imbalance_by_k": imbalance_by_k(found.host_load_MKE),
        **({"skipped": True} if skipped else {}),
    }


def is_outlier(value: float, before: Sequence[float], ratio: float) -> bool:
    """Whether a step with this loss or norm must be skipped: it is not finite, or over `ratio` (0 for no limit) times
    the mean of those `before`, once there are `NORMS` of them."""
    if not math.isfinite(value):
        return True
    return ratio > 0 and len(before) == NORMS and value > ratio * math.fsum(before) / NORMS


def finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return float(value) if math.isfinite(value) else None


def move_biases(state: TrainingState, load_ME: Tensor) -> None:
    """Move each layer's selection bias against the step's load."""
    config = state.config
    frozen = "router" in config.optimizer.frozen_groups or not updates_router_bias(config.schedule, state.step)
    if config.load_balancing.mode != "bias" or frozen:
        return
    for moe, load_E in zip(state.model.moe_layers(), load_ME, strict=True):
        moe.router.bias_E.copy_(updated_bias(moe.router.bias_E, load_E, config.load_balancing.bias_update_rate))


def imbalance_by_k(load_MKE: Tensor) -> list[float]:
    """At each k the mean over layers of the largest load over the mean load; nothing where there are no experts."""
    if not len(load_MKE):
        return []
    return [round(float(x.mean()), 4) for x in load_imbalance(load_MKE.cumsum(1)).T]


def loss_by_k(found: StepTotals, k_B: np.ndarray) -> dict[str, float | None]:
    """Mean loss in nats per token of the sequences with each k."""
    ks = sorted(set(k_B.tolist()))
    return {str(k): finite(found.nats_BN[k_B == k].sum() / found.tokens_BN[k_B == k].sum()) for k in ks}


def loss_by_domain(found: StepTotals, domain_names: Sequence[str]) -> dict[str, float | None]:
    """Mean loss in nats per token of each domain in the batch."""
    nats_N, tokens_N = found.nats_BN.sum(0), found.tokens_BN.sum(0)
    present = sorted((domain_names[i], i) for i in np.flatnonzero(tokens_N).tolist())
    return {name: finite(nats_N[i] / tokens_N[i]) for name, i in present}


def train_until(
    state: TrainingState,
    loader: Loader,
    last_step: int,
    run: RunFolder,
    lineage: Mapping[str, Any] | None = None,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Train `state` up to and including `last_step`; save every `checkpoint_interval_steps` steps and at the end.

    A checkpoint is written while the next steps run. Returns a summary: the run's folder, its checkpoint and hashes,
    the last loss, and the number of parameters.
    """
    config, ranks, first, began = state.config, state.ranks, state.step, time.monotonic()
    rows = run.truncate_logs(first) if ranks.leads else []
    row = rows[-1] if rows else None
    names, skipped = loader.dataset.documents.domain_names, 0
    speed = Speed.of(config, state.data.vocab_size, state.device, ranks.world_size)
    if last_step > first and ranks.leads:
        run.write_info(about_run(state, loader))  # of a run that is killed too
    prepare(state.model, config.execution)
    batches = Prefetcher(
        loader, state.cursor, last_step - first, config.data.global_batch_size, ranks.rank, ranks.world_size
    )
    saver = Saver(run, ranks, loader.dataset.tokenizer, lineage, config.run.checkpoint_marks)
    with reproducible(config.run.threads, state.device), saver, batches:
        step_began = began
        for batch, cursor in batches:
            row = train_step(state, batch, cursor, names)
            # Waiting for the batch included.
            rates = speed.rates(row, time.monotonic() - step_began)
            if ranks.leads:
                run.append_log(row, {"step": state.step} | rates)
            step_began = time.monotonic()
            saver.check()
            skipped = skipped + 1 if row.get("skipped") else 0
            # After a loss that is no number the weights may be spoilt: they replace no checkpoint.
            sound = row["loss"] is not None and row["grad_norm"] is not None
            if skipped == MOST_SKIPPED or (state.step == last_step and not sound):
                raise WorkError(
                    f"{skipped} steps in a row were skipped up to step {state.step}, as loss or gradients were not "
                    "finite or far too large: lower optimizer.learning_rate and start again in another folder, or "
                    f"branch from the last checkpoint in {run.checkpoints}"
                )
            if sound:
                saver.used()
                if saves(config, state.step) or state.step == last_step:
                    saver.begin(state)
            if on_step is not None and ranks.leads:
                on_step(row | rates, last_step)
    if state.step > first and ranks.leads:
        run.write_info(about_run(state, loader) | mean_rates(state, first, time.monotonic() - began))
    ranks.wait()
    checkpoint = run.latest()
    assert checkpoint is not None and checkpoint.step == state.step
    numbers = parameters(config.model, state.data.vocab_size, config.top_k.full_k)
    return {
        "run": str(run.folder),
        "checkpoint": str(checkpoint.folder),
        **checkpoint.summary(),
        "loss": row["loss"] if row else None,
        "loss_by_domain": row["loss_by_domain"] if row else {},
        "parameters": numbers.total,
        "active_parameters": numbers.active,
    }


def saves(config: Config, step: int) -> bool:
    """Whether the state after `step` is saved."""
    return step % config.run.checkpoint_interval_steps == 0 or step in config.run.checkpoint_marks


def about_run(state: TrainingState, loader: Loader) -> dict[str, Any]:
    """What `run.json` says from the beginning of a call."""
    return {
        "data": str(loader.dataset.folder.resolve()),
        "device": str(state.device),
        "ranks": state.ranks.world_size,
        "torch": torch.__version__,
    }


def mean_rates(state: TrainingState, first: int, seconds: float) -> dict[str, Any]:
    """And at its end: of the steps since `first`, which took `seconds`."""
    config, steps = state.config, state.step - first
    speed = Speed.of(config, state.data.vocab_size, state.device, state.ranks.world_size)
    mean = speed.rates({"mean_k": expected_k(config.top_k)}, seconds / steps)
    return {**mean, "steps": steps, "seconds": seconds}


def train(
    config_path: Path,
    data: Path,
    out: Path,
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: str = "auto",
    tell: Tell | None = None,
    forecast: ForecastConfig | None = None,
) -> dict[str, Any]:
    """Train the trunk of `config_path` on the tokens dataset `data` into the folder `out`, up to step `steps`.

    `steps` defaults to the end of the trunk; beyond it the run enters the decay, as a branch without overrides does. A
    second call resumes where the first stopped, also with another `execution` or on another device (`auto`, `cpu` or
    `cuda`). `forecast`: write the loss that a law predicts before it is measured (`forecast.py`); how good that was is
    in the summary. Returns the summary of `train_until`. UsageError for a bad configuration or dataset, when `out` was
    made with other arguments, or when the device's memory is too small (`plan.check_memory`).
    """
    config = Config.read(config_path)
    dataset = TokenDataset(data)
    last_step = config.schedule.trunk_steps if steps is None else steps
    end = total_steps(config.schedule)
    if not 1 <= last_step <= end:
        raise UsageError(f"cannot train to step {last_step}: the schedule in {config_path} has steps 1 to {end}")
    place = choose_device(device)
    with joined(place, config.execution.expert_parallel) as ranks:
        check_batch(config, ranks)
        with run_folder(
            out, ranks, "training.json", {"config": config.identity(), "data": dataset.ref.manifest_sha256}
        ) as run:
            checkpoint = run.latest()
            check_memory(config, dataset.ref.vocab_size, place, tell if ranks.leads else None)
            state = checkpoint.state(place, ranks) if checkpoint else create_state(config, dataset, place, ranks)
            state.config = config
            loader = open_loader(dataset, config, state.step)
            last_step = max(last_step, state.step)
            forecasts = ForecastLog(forecast, config, dataset.ref.vocab_size, last_step) if forecast else None
            if forecasts and ranks.leads:
                forecasts.begin(out, state.step)
                on_step = forecasts.then(on_step)
            summary = train_until(state, loader, last_step, run, on_step=on_step)
            return summary | ({"forecast": forecasts.summary()} if forecasts else {})


@contextmanager
def run_folder(out: Path, ranks: Ranks, name: str, arguments: Mapping[str, Any]) -> Iterator[RunFolder]:
    """The folder of a run, whose arguments are in the file `name`, held by rank 0 for all ranks."""
    run = RunFolder(out)
    with disk_errors(out), ExitStack() as held:

        def take() -> None:
            check_place(out)
            held.enter_context(lock(out))
            run.claim(name, arguments)
            run.remove_unfinished()

        new = not out.exists()
        ranks.first_does(take)
        try:
            yield run
        except UsageError:
            if new and ranks.leads:
                run.give_up()
            raise


def check_batch(config: Config, ranks: Ranks) -> None:
    """UsageError unless the global batch can be dealt to the ranks."""
    if config.data.global_batch_size % ranks.world_size:
        raise UsageError(
            f"data.global_batch_size is {config.data.global_batch_size}; it must be a multiple of the "
            f"{ranks.world_size} ranks"
        )


def open_loader(dataset: TokenDataset, config: Config, step: int) -> Loader:
    """The loader of a run that goes on at `step`. UsageError for a mixture that the dataset cannot give."""
    return Loader(dataset, config.data.seed, config.data.sequence_length, mixture_of(dataset, config, step))


def mixture_of(dataset: TokenDataset, config: Config, step: int) -> MixtureSchedule:
    """The mixture of a run that goes on at `step`. UsageError for one that the dataset cannot give."""
    return MixtureSchedule(config.data.mixture, dataset.documents, config.data.global_batch_size, step)


def create_state(config: Config, dataset: TokenDataset, device: torch.device, ranks: Ranks = ONE) -> TrainingState:
    """The state at step 0, its weights drawn under the run's number of threads."""
    with reproducible(config.run.threads, device):
        return TrainingState.create(config, dataset.ref, device, ranks)
