"""The files of runs and checkpoints by name, and which folder is meant where a run or a checkpoint is given; no torch.

```
RUN/training.json or branch.json   the run's arguments
RUN/log.jsonl, timings.jsonl       a row for each step
RUN/run.json                       paths, versions
RUN/checkpoints/step-NNNNNNNN/     checkpoints, each with a checkpoint.json
```
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from infra.errors import UsageError

HEADER = "checkpoint.json"
LOG, TIMINGS, RUN_INFO = "log.jsonl", "timings.jsonl", "run.json"
ARGUMENT_FILES = ("training.json", "branch.json")
OTHERS = {"manifest.json": "a dataset", HEADER: "a checkpoint", "branches.json": "several branches"}
STEP_DIGITS = 8

Used = TypeVar("Used")


def step_name(step: int) -> str:
    """The name of a step's checkpoint: in the order of steps."""
    return f"step-{step:0{STEP_DIGITS}d}"


def checkpoints_of(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, in the order of steps."""
    return sorted((run / "checkpoints").glob("step-" + "[0-9]" * STEP_DIGITS))


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder for `path`: the latest one when `path` is a run, else `path` itself."""
    steps = checkpoints_of(path)
    return steps[-1] if steps else path


def of_latest(path: Path, use: Callable[[Path], Used]) -> Used:
    """What `use` makes of the checkpoint `path`, or of the latest of a run: of the next, if the run has replaced it."""
    while True:
        folder = find_checkpoint(path)
        try:
            return use(folder)
        except (UsageError, FileNotFoundError):
            if find_checkpoint(path) == folder:
                raise


def check_place(run: Path) -> None:
    """UsageError where the folder of a run would be one that holds something else."""
    for name, what in OTHERS.items():
        if (run / name).exists():
            raise UsageError(f"{run} already holds {what} ({name}): choose another --out")


def no_checkpoint(folder: Path) -> UsageError:
    """What `folder`, which has no `HEADER`, is instead, and what to give."""
    if not folder.exists():
        return UsageError(f"{folder} does not exist: give a frozen trunk, a run or a branch")
    if not any((folder / name).exists() for name in ARGUMENT_FILES):
        return UsageError(f"{folder} is not a checkpoint (it has no {HEADER}); give a frozen trunk, a run or a branch")
    if checkpoints_of(folder):
        return UsageError(f"{folder} is a run: freeze it (`refinery freeze {folder} --out FROZEN`), and give FROZEN")
    return UsageError(
        f"{folder} is a run without a checkpoint: run the command that began it again; it makes one every "
        "run.checkpoint_interval_steps, and at its end"
    )
