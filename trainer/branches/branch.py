"""Branches: training that continues from a frozen trunk with declared overrides and no other change.

`branch.json` holds the trunk's hash and the overrides. A branch without overrides continues the trunk's own schedule,
bit for bit: it is the control that other branches are compared with. Two branches with the same trunk and overrides
are equal, bit for bit. What can be overridden is in `overrides.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from infra.errors import UsageError
from trainer.branches.growth import Growth, grown_rows
from trainer.branches.overrides import apply_overrides, growth_of, read_execution, read_overrides
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.config import Config
from trainer.data.tokens import TOKENIZER_FILE, DataRef, TokenDataset
from trainer.device import choose_device
from trainer.parallel.ranks import Ranks, joined
from trainer.plan import check_memory
from trainer.schedule import total_steps
from trainer.state import ReadRows, TrainingState
from trainer.train import OnStep, Tell, check_batch, mixture_of, open_loader, run_folder, train_until

FORMAT = "refinery.branch/2"
BRANCH_FILE = "branch.json"


@dataclass(frozen=True)
class BranchPlan:
    """What a branch is, before it is trained."""

    config: Config
    dataset: TokenDataset
    growth: Growth

    declared: Mapping[str, Any]
    """The overrides as `branch.json` has them: without `execution`, and data by the hash of its manifest."""

    last_step: int

    def tokens(self, trunk_step: int) -> int:
        """How many tokens it trains on."""
        data = self.config.data
        return (self.last_step - trunk_step) * data.global_batch_size * data.sequence_length


def plan_branch(
    checkpoint: Checkpoint, overrides: Mapping[str, Any], data: Path | None, steps: int | None = None
) -> BranchPlan:
    """The branch of `checkpoint` with these overrides on the dataset `data`, to step `steps` (else its schedule's end).

    UsageError for an unknown override, missing data, a mixture that the data cannot give, or a step that it cannot be
    trained to.
    """
    body = dict(overrides)
    execution = read_execution(body.pop("execution", {}), checkpoint.config.execution)
    config = replace(apply_overrides(checkpoint.config, body, checkpoint.step), execution=execution)
    config = Config.from_dict(config.as_dict(), "the branch's overrides")
    last_step = _last_step(config, checkpoint.step, steps)
    dataset = _open_dataset(data, checkpoint.data)
    mixture_of(dataset, config, checkpoint.step)
    declared = {name: value for name, value in sorted(body.items()) if name != "data"}
    if dataset.ref.manifest_sha256 != checkpoint.data.manifest_sha256:
        declared["data"] = dataset.ref.manifest_sha256
    return BranchPlan(config, dataset, growth_of(checkpoint.config, body), declared, last_step)


def branch(
    trunk: Path,
    overrides: Path | Mapping[str, Any] | None,
    data: Path | None,
    out: Path,
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: str = "auto",
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train a branch of the frozen checkpoint `trunk` in the folder `out`, up to step `steps`.

    `steps` counts from the trunk's first step and defaults to the end of the schedule. `data` is the tokens dataset:
    the trunk's own, or another one, which then counts as the override `data`. A second call resumes where the first
    stopped. Returns the summary of `train.train_until` with the trunk's hash, the overrides, and `control`: whether
    there are none. UsageError for an unknown override, a changed trunk, missing data, or a folder that was made with
    other arguments.
    """
    body, named = read_overrides(overrides)
    if named is not None and data is not None:
        raise UsageError("the data is named twice, in the overrides and by --data: name it once")
    checkpoint, place = read_checkpoint(trunk), choose_device(device)
    plan = plan_branch(checkpoint, body, named or data, steps)
    config, lineage = plan.config, lineage_of(checkpoint, plan.declared)
    with joined(place, config.execution.expert_parallel) as ranks:
        check_batch(config, ranks)
        with run_folder(out, ranks, BRANCH_FILE, lineage) as run:
            latest = run.latest()
            check_memory(config, plan.dataset.ref.vocab_size, place, tell if ranks.leads else None)
            if latest:
                state = latest.state(place, ranks)
                state.config = config
            else:
                state = first_state(checkpoint, plan, place, ranks)
            loader = open_loader(plan.dataset, config, state.step)
            summary = train_until(state, loader, max(plan.last_step, state.step), run, lineage, on_step)
    return {**summary, "trunk": checkpoint.sha256, "overrides": plan.declared, "control": not plan.declared}


def lineage_of(trunk: Checkpoint, declared: Mapping[str, Any]) -> dict[str, Any]:
    """What `branch.json` and the branch's checkpoints hold."""
    return {"format": FORMAT, "trunk": trunk.sha256, "overrides": dict(declared)}


def first_state(checkpoint: Checkpoint, plan: BranchPlan, device: torch.device, ranks: Ranks) -> TrainingState:
    """The state of the branch before its first step."""
    old = checkpoint.config
    read: ReadRows = checkpoint.tensors.rows
    if plan.growth != Growth():
        read = grown_rows(read, plan.growth, len(old.model.layers))
    config = replace(old, model=plan.config.model)
    state = TrainingState.restore(checkpoint.header["state"], read, config, device, ranks)
    state.reconfigure(plan.config, plan.dataset.ref)
    return state


def _last_step(config: Config, trunk_step: int, steps: int | None) -> int:
    """The step to train to: `steps`, or the end of the schedule. UsageError unless it is after the trunk."""
    end = total_steps(config.schedule)
    last_step = end if steps is None else steps
    if not trunk_step < last_step <= end:
        raise UsageError(
            f"a branch from step {trunk_step} cannot train to step {last_step}: its schedule ends at step {end}; "
            + ("give --steps after the trunk's" if last_step <= trunk_step < end else "override decay.steps")
        )
    return last_step


def _open_dataset(path: Path | None, trunk: DataRef) -> TokenDataset:
    """The branch's dataset. UsageError when none is named, or when it has another tokenizer than the trunk's data."""
    if path is None:
        raise UsageError(
            f"give --data: the trunk was trained on the dataset whose manifest.json has sha256 {trunk.manifest_sha256}"
        )
    dataset = TokenDataset(path)
    if dataset.ref.tokenizer_sha256 != trunk.tokenizer_sha256:
        raise UsageError(f"{path} has another tokenizer than the trunk: tokenize it with the trunk's {TOKENIZER_FILE}")
    return dataset
