"""Loss curves as they are published, or as `train` logs them: step, learning rate and loss of one run.

A folder has a folder for each model size (`25M`, `1.3B`), with a file for each run: CSV with the columns `step`, `lr`
and `loss`, or the `log.jsonl` of a training.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from infra.names import meant
from trainer.scaling.tables import TableReader, Tell, number_of, opened, tell_left_out

Floats = npt.NDArray[np.float64]

COLUMNS = ("step", "lr", "loss")
# Names of the same in a log of `train`, and in other programs' tables.
_IN_LOG = {"step": "step", "lr": "learning_rate", "loss": "loss"}
_OTHERS = {
    "step": (
        "steps", "_step", "global_step", "train/global_step", "trainer/global_step", "train/step", "iteration",
        "iterations", "iter",
    ),
    "lr": (
        "learning_rate", "train/learning_rate", "train/lr", "lr/group0", "lr/group_0", "optim/lr", "optimizer/lr",
        "optim/learning_rate", "lr-adamw", "lr-adam",
    ),
    "loss": (
        "train/loss", "train_loss", "training_loss", "loss/train", "lm_loss", "train/lm_loss", "train/ce_loss",
        "train/crossentropyloss", "train/cross_entropy", "train/cross_entropy_loss", "cross_entropy_loss",
    ),
}  # fmt: skip
# What files of curves end in.
_FILE = re.compile(r"\.(csv|tsv|jsonl)(\.gz)?$")
# A curve of fewer points says nothing about its shape.
LEAST_POINTS = 8
# A schedule has a first and a last step.
LEAST_RATES = 2
# A step that is so many times the one before, and as many times the usual distance, is a mistake.
_FAR = 1000


@dataclass(frozen=True, eq=False)
class Schedule:
    """Learning rates of a run at some of its steps, ascending. All arrays have the shape (points,)."""

    steps: Floats
    rates: Floats


@dataclass(frozen=True, eq=False)
class Curve(Schedule):
    """A schedule, and the training loss at each of its steps, in nats a token."""

    name: str
    losses: Floats

    def until(self, step: float) -> "Curve":
        """The curve up to a step, which is included."""
        early = self.steps <= step
        return Curve(self.steps[early], self.rates[early], self.name, self.losses[early])


def read_curves(folder: str | Path, sizes: Sequence[str], tell: Tell | None = None) -> dict[str, dict[str, Curve]]:
    """{size: {run: curve}} of the folders of these sizes. UsageError for a size that is named twice or has no folder, a
    folder without curves, and what `read_curve` refuses."""
    check_distinct(sizes)
    found: dict[str, dict[str, Curve]] = {}
    for size in sizes:
        below = Path(folder) / size
        if not below.is_dir():
            known = sorted(each.name for each in Path(folder).glob("*/")) if Path(folder).is_dir() else []
            raise UsageError(f"{folder} has no folder {size}; {meant(size, known)}")
        found[size] = {name: read_curve(path, tell) for name, path in _runs(below).items()}
    return found


def _runs(below: Path) -> dict[str, Path]:
    """{run: its file} of a folder. Hidden files are none of a run. UsageError for a folder without curves, and a run
    with two files."""
    files = sorted(each for each in below.iterdir() if _FILE.search(each.name) and not each.name.startswith("."))
    if not files:
        raise UsageError(f"{below} has no curves: put a .csv, .tsv or .jsonl file (or .gz of one) for each run into it")
    found: dict[str, Path] = {}
    for path in files:
        other = found.setdefault(_name(path), path)
        if other != path:
            raise UsageError(f"{below} has two files of one run: {other.name} and {path.name}; leave one out")
    return found


def _name(path: Path) -> str:
    """The run that a file is of: its name without what it ends in."""
    return _FILE.sub("", path.name) or path.stem


def check_distinct(sizes: Sequence[str]) -> None:
    """UsageError for a size that is named twice."""
    for size in sizes:
        if list(sizes).count(size) > 1:
            raise UsageError(f"the size {size} is named twice: name each once")


def read_curve(path: Path, tell: Tell | None = None) -> Curve:
    """The curve in a file. Points whose loss is not a positive number are left out, which `tell` is told.

    Rows need no order; of two with one step the later counts, as of a run that resumed.

    UsageError for a file without the columns, a value that is no number, too few points."""
    schedule, losses = _read(path, with_losses=True, tell=tell)
    return Curve(schedule.steps, schedule.rates, _name(path), losses)


def read_schedule(path: Path) -> Schedule:
    """The learning rates in a file; losses are not needed. UsageError as for `read_curve`."""
    return _read(path, with_losses=False)[0]


def parameters_of(size: str) -> float:
    """The number of parameters that a size names: 25M is 2.5e7. UsageError for another text."""
    try:
        number = number_of(size)
    except ValueError:
        number = 0.0
    if not np.isfinite(number) or number <= 0:
        raise UsageError(f"{size!r} is no size of a model: write it as 25M, 1.3B or 25000000")
    return number


def _read(path: Path, with_losses: bool, tell: Tell | None = None) -> tuple[Schedule, Floats]:
    names = COLUMNS if with_losses else COLUMNS[:2]
    rows = list(_rows(path, names))
    values = np.array(rows, np.float64).reshape(-1, len(names))
    good = np.isfinite(values).all(axis=1) & (values[:, 2] > 0 if with_losses else True)
    tell_left_out(tell, path, int((~good).sum()), len(values), "a value is missing, or the loss is not positive")
    values = values[good]
    rows_left, values = len(values), _ascending(values)
    tell_left_out(
        tell, path, rows_left - len(values), rows_left, "a later row has their step, as in a run that resumed"
    )
    least = LEAST_POINTS if with_losses else LEAST_RATES
    if len(values) < least:
        raise UsageError(f"{path} has {len(values)} rows of finite numbers; give {least} at least, each another step")
    gaps = np.diff(values[:, 0])
    far = int(np.argmax(gaps))
    if gaps[far] > _FAR * max(float(np.median(gaps)), values[far, 0]):
        raise UsageError(f"{path}: step {values[far, 0]:g} is followed by {values[far + 1, 0]:g}: correct that row")
    if np.any(values[:, 1] < 0) or not np.any(values[:, 1] > 0) or values[0, 0] < 0:
        raise UsageError(f"{path}: a step or learning rate is negative, or all rates are zero")
    return Schedule(values[:, 0], values[:, 1]), values[:, 2] if with_losses else np.empty(0)


def _ascending(values: Floats) -> Floats:
    """The rows by step, the first column, each step once: as the last row that has it says.

    Of a run that was resumed, whose steps go back and are run again, what was logged after the step that it resumed
    from no longer counts. Rows without an order are told from it by how few steps that would leave."""
    steps = values[:, 0]
    if not np.any(np.diff(steps) <= 0):
        return values
    distinct, last = np.unique(steps[::-1], return_index=True)
    ahead = np.append(np.minimum.accumulate(steps[:0:-1])[::-1], np.inf)
    resumed = values[steps < ahead]
    if distinct.size < steps.size and 2 * len(resumed) >= distinct.size:
        return resumed
    ordered: Floats = values[::-1][last]
    return ordered


def _rows(path: Path, names: Sequence[str]) -> Iterator[list[float]]:
    """The values of each row of a file."""
    with opened(path) as file:
        if path.name.removesuffix(".gz").endswith(".jsonl"):
            for line, text in enumerate(file, 1):
                row = _json_row(text, path, line)
                if row is not None:
                    yield [_number(float, row[_IN_LOG[name]], path, line, name) for name in names]
            return
        reader = TableReader(path, file, names, _OTHERS)
        for line, cells in reader:
            yield [_number(partial(reader.number, name=name), cells.get(name), path, line, name) for name in names]


def _json_row(text: str, path: Path, line: int) -> dict[str, Any] | None:
    """A row of a training's log; None for a row of another kind."""
    try:
        row = json.loads(text)
    except ValueError:
        raise UsageError(f"{path}, line {line}, is no JSON") from None
    return row if isinstance(row, dict) and all(name in row for name in _IN_LOG.values()) else None


def _number(read: Callable[[Any], float], value: Any, path: Path, line: int, name: str) -> float:
    """NaN for a value that is not there."""
    try:
        return float("nan") if value is None else read(value)
    except (TypeError, ValueError):
        raise UsageError(f"{path}, line {line}: {name} is {value!r}, which is no number") from None
