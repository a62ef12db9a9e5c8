"""Merging: a branch that trains nothing. Its weights are an average of the checkpoints that the trunk kept.

At a constant rate an average of checkpoints is what a decay would have given, to first order (WSM, 2507.17634, theorem
3.1): with weights c_0 … c_k of checkpoints in their order, the updates between checkpoint i - 1 and i count
c_i + … + c_k times. So a decay that falls to w_i at the i-th of k + 1 equal parts is the average with
c_i = w_i - w_{i+1}; the plain mean is the linear decay. Moments and counters are those of the trunk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from infra.errors import UsageError
from trainer.branches.branch import BRANCH_FILE, lineage_of
from trainer.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.config import ScheduleConfig
from trainer.parallel.ranks import ONE
from trainer.run_files import checkpoints_of, step_name
from trainer.schedule import learning_rate_factor
from trainer.settings import build
from trainer.train import run_folder

_PARTS = 10**6  # of a decay, whose factors are asked for at whole steps


@dataclass(frozen=True)
class MergeConfig:
    """The table `merge` of a branch."""

    method: Literal["mean", "decay"] = "mean"
    """`decay`: weighted so that the average is a decay of `type` to `min_lr_factor`."""

    last: int = 0
    """How many checkpoints, the trunk's own included, the latest first; 0 for all since the warm-up."""

    type: Literal["sqrt", "linear"] = "sqrt"
    min_lr_factor: float = 0.0

    @staticmethod
    def of(given: Any, where: str) -> "MergeConfig":
        """The table as it was read; a text names the method. UsageError, beginning with `where`, for another."""
        config = build(MergeConfig, {"method": given} if isinstance(given, str) else given, where)
        if config.last < 0 or config.last == 1 or not 0 <= config.min_lr_factor <= 1:
            raise UsageError(f"{where}: last must be 2 or more (0 for all), min_lr_factor from 0 to 1")
        return config

    def declared(self) -> dict[str, Any]:
        """What of it means something."""
        shape = asdict(self)
        return shape if self.method == "decay" else {"method": self.method, "last": self.last}


def merge_weights(config: MergeConfig, steps: Sequence[int]) -> list[float]:
    """The weight of the checkpoint of each of these steps, ascending; they sum to 1."""
    if config.method == "mean":
        return [1 / len(steps)] * len(steps)
    # The decay ends one interval behind the last checkpoint, where nothing is left of the rate.
    length = (steps[-1] - steps[0]) * len(steps) / (len(steps) - 1)
    schedule = ScheduleConfig(0, 0, _PARTS, config.type, config.min_lr_factor)
    factors = [learning_rate_factor(schedule, round(_PARTS * (step - steps[0]) / length)) for step in steps]
    return [a - b for a, b in zip(factors, [*factors[1:], 0.0], strict=True)]


def kept_checkpoints(trunk: Checkpoint, run: Path, config: MergeConfig) -> list[Checkpoint]:
    """Those of the trunk's run that the merge averages, in the order of their steps; the trunk is the last.

    UsageError for a run that the trunk is not of, or one that kept too few."""
    found = [trunk]
    for folder in reversed(checkpoints_of(run)):
        kept = read_checkpoint(folder)
        mine = kept.header["state"]["config"], kept.header["state"]["data"]
        if mine != (trunk.header["state"]["config"], trunk.header["state"]["data"]) or (
            kept.step == trunk.step and kept.header["state_sha256"] != trunk.header["state_sha256"]
        ):
            raise UsageError(f"{run} is not the run that the trunk {trunk.folder} is of: name that run")
        if trunk.config.schedule.warmup_steps <= kept.step < trunk.step:
            found.append(kept)
    wanted = config.last or len(found)
    if len(found) < max(wanted, 2):
        raise UsageError(
            f"{run} kept {len(found)} checkpoints from the warm-up to the trunk, and the merge needs {max(wanted, 2)}: "
            "train it with run.checkpoint_marks"
        )
    return found[:wanted][::-1]


def merge(trunk: Path, run: Path, config: MergeConfig, out: Path) -> dict[str, Any]:
    """Write the merge of the checkpoints of `run` up to the frozen `trunk` as a branch in the folder `out`.

    Returns the checkpoint's summary with the trunk's hash and what was merged. A second call does nothing. UsageError
    as `kept_checkpoints`, and for a changed checkpoint.
    """
    checkpoint = read_checkpoint(trunk)
    parts = kept_checkpoints(checkpoint, run, config)
    weights = merge_weights(config, [part.step for part in parts])
    merged = {part.sha256: weight for part, weight in zip(parts, weights, strict=True)}
    declared = {"merge": {**config.declared(), "checkpoints": merged}}
    lineage = lineage_of(checkpoint, declared)
    with run_folder(out, ONE, BRANCH_FILE, lineage) as folder:
        written = folder.latest()
        if written is None:
            state = checkpoint.state()
            with torch.no_grad():
                for name, tensor in state.model.state_dict().items():
                    tensor.copy_(_average(f"model.{name}", parts, weights))
            place = folder.checkpoints / step_name(checkpoint.step)
            write_checkpoint(place, state, checkpoint.tokenizer, lineage)
            written = read_checkpoint(place)
    summary: Mapping[str, Any] = written.summary()
    return {
        "run": str(out), "checkpoint": str(written.folder), **summary,
        "trunk": checkpoint.sha256, "overrides": declared, "control": False,
    }  # fmt: skip


def _average(name: str, parts: Sequence[Checkpoint], weights: Sequence[float]) -> torch.Tensor:
    """In fp64, in the order of steps."""
    total = weights[0] * parts[0].tensors[name].double()
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += weight * part.tensors[name].double()
    return total
