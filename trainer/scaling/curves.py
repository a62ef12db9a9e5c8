"""Loss curves as they are published, or as `train` logs them: step, learning rate and loss of one run.

A folder has a folder for each model size (`25M`, `1.3B`), with a file for each run: CSV with the columns `step`, `lr`
and `loss`, or the `log.jsonl` of a training.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from infra.names import meant

Floats = npt.NDArray[np.float64]

COLUMNS = ("step", "lr", "loss")
# Names of the same in a log of `train`.
_IN_LOG = {"step": "step", "lr": "learning_rate", "loss": "loss"}
# A curve of fewer points says nothing about its shape.
LEAST_POINTS = 8
# A schedule has a first and a last step.
LEAST_RATES = 2
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMBT])", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


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


def read_curves(folder: str | Path, sizes: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """{size: {run: curve}} of the folders of these sizes. UsageError for a size without a folder, a folder without
    curves, and what `read_curve` refuses."""
    found: dict[str, dict[str, Curve]] = {}
    for size in sizes:
        below = Path(folder) / size
        if not below.is_dir():
            known = sorted(each.name for each in Path(folder).glob("*/")) if Path(folder).is_dir() else []
            raise UsageError(f"{folder} has no folder {size}; {meant(size, known)}")
        files = sorted(path for path in below.iterdir() if path.suffix in (".csv", ".jsonl"))
        if not files:
            raise UsageError(f"{below} has no curves: put a .csv or .jsonl file for each run into it")
        found[size] = {path.stem: read_curve(path) for path in files}
    return found


def read_curve(path: Path) -> Curve:
    """The curve in a file. Points whose loss is not finite are left out.

    UsageError for a file without the columns, a value that is no number, steps that do not ascend, too few points."""
    schedule, losses = _read(path, with_losses=True)
    return Curve(schedule.steps, schedule.rates, path.stem, losses)


def read_schedule(path: Path) -> Schedule:
    """The learning rates in a file; losses are not needed. UsageError as for `read_curve`."""
    return _read(path, with_losses=False)[0]


def parameters_of(size: str) -> float:
    """The number of parameters that a size names: 25M is 2.5e7. UsageError for another text."""
    named = _SIZE.fullmatch(size.strip())
    if named:
        return float(named[1]) * _UNITS[named[2].upper()]
    try:
        number = float(size)
    except ValueError:
        number = 0.0
    if not np.isfinite(number) or number <= 0:
        raise UsageError(f"{size!r} is no size of a model: write it as 25M, 1.3B or 25000000")
    return number


def _read(path: Path, with_losses: bool) -> tuple[Schedule, Floats]:
    names = COLUMNS if with_losses else COLUMNS[:2]
    try:
        rows = [[_number(row[name], path, line, name) for name in names] for line, row in _rows(path, names)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    values = np.array(rows, np.float64).reshape(-1, len(names))
    values = values[np.isfinite(values).all(axis=1)]
    least = LEAST_POINTS if with_losses else LEAST_RATES
    if len(values) < least:
        raise UsageError(f"{path} has {len(values)} rows of finite numbers; give {least} at least")
    if np.any(np.diff(values[:, 0]) <= 0):
        raise UsageError(f"{path}: steps do not ascend; sort the rows and leave repeats out")
    if np.any(values[:, 1] < 0) or not np.any(values[:, 1] > 0) or values[0, 0] < 0:
        raise UsageError(f"{path}: a step or learning rate is negative, or all rates are zero")
    return Schedule(values[:, 0], values[:, 1]), values[:, 2] if with_losses else np.empty(0)


def _rows(path: Path, names: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, {name: value}) of each row of a file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".jsonl":
            for line, text in enumerate(file, 1):
                row = _json_row(text, path, line)
                if row is not None:
                    yield line, {name: row[_IN_LOG[name]] for name in names}
            return
        reader = csv.DictReader(file)
        missing = [name for name in names if name not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{path} has no column {', '.join(missing)}; a curve has the columns {', '.join(COLUMNS)}")
        for row in reader:
            yield reader.line_num, row


def _json_row(text: str, path: Path, line: int) -> dict[str, Any] | None:
    """A row of a training's log; None for a row of another kind."""
    try:
        row = json.loads(text)
    except ValueError:
        raise UsageError(f"{path}, line {line}, is no JSON") from None
    return row if isinstance(row, dict) and all(name in row for name in _IN_LOG.values()) else None


def _number(value: Any, path: Path, line: int, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        if value in ("", None):
            return float("nan")
        raise UsageError(f"{path}, line {line}: {name} is {value!r}, which is no number") from None
