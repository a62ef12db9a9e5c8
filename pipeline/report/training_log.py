"""Reads a training run or a branch: the columns of its log by step, and how it was made.

The files are the trainer's (trainer/runs.py; floors do not import each other).
"""

import json
import math
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from infra.dataset.manifest import RUN
from infra.storage import read_json
from pipeline.report.values import Floats, mapping_or_empty, number

LOG, FORECAST = "log.jsonl", "forecast.jsonl"
COLUMNS = ("step", "loss", "learning_rate", "grad_norm", "mean_k", "load_imbalance")
# Of lists by layer and by k, which are many numbers a step, the rows that are kept: the last ones.
LAST_ROWS = 1000


@dataclass(frozen=True)
class Training:
    """A training run or a branch.

    overrides: None for a trunk; a branch's overrides, which are empty for the control branch.
    """

    label: str
    overrides: Mapping[str, Any] | None

    columns: Mapping[str, Floats]
    """By the names in `COLUMNS`, a number for each step, NaN where there is none. `load_imbalance` is the mean over
    layers of the largest load over the mean load."""

    by_domain: Mapping[str, tuple[Floats, Floats]]
    """Steps and losses (nats a token) of each domain."""

    tokens: int
    how: Mapping[str, Any]

    by_layer: Floats
    """Load imbalance of each layer in the last rows, [rows, layers]."""

    load_by_k: Floats
    """Load imbalance at each k, mean over layers, in the last rows: [rows, k]."""

    loss_by_k: Mapping[str, Floats] = field(default_factory=dict)
    """Losses of the sequences with each k in the last rows."""

    trunk: str = ""
    """The hash of a branch's trunk."""

    forecasts: tuple[Mapping[str, Any], ...] = ()
    """The rows of `forecast.jsonl`: forecasts of evaluations, and what was measured."""

    skipped: tuple[int, ...] = ()
    """Steps that changed no weight."""

    @property
    def steps(self) -> Floats:
        return self.columns["step"]

    @property
    def losses(self) -> Floats:
        return self.columns["loss"]


def read_training(folder: Path, label: str) -> Training:
    """Reads the log up to the first row that a crash cut."""
    columns: dict[str, array[float]] = {name: array("d") for name in COLUMNS}
    domains: dict[str, tuple[array[float], array[float]]] = {}
    lists: dict[str, deque[list[float]]] = {
        name: deque(maxlen=LAST_ROWS) for name in ("load_imbalance", "load_imbalance_by_k")
    }
    losses_by_k: deque[Mapping[str, Any]] = deque(maxlen=LAST_ROWS)
    tokens, skipped = 0, []
    for row in log_rows(folder / LOG):
        for name, column in columns.items():
            column.append(number_or_nan(row.get(name)))
        for domain, value in mapping_or_empty(row.get("loss_by_domain")).items():
            loss = number(value)
            if loss is not None:
                steps, losses = domains.setdefault(domain, (array("d"), array("d")))
                steps.append(row["step"])
                losses.append(loss)
        for name, kept in lists.items():
            if isinstance(row.get(name), list) and row[name]:
                kept.append([number_or_nan(value) for value in row[name]])
        losses_by_k.append(mapping_or_empty(row.get("loss_by_k")))
        tokens = int(number(row.get("tokens")) or 0)
        if row.get("skipped"):
            skipped.append(int(row["step"]))
    branch = read_json(folder / "branch.json")
    return Training(
        label=label,
        overrides=branch.get("overrides", {}) if isinstance(branch, dict) else None,
        trunk=str(branch.get("trunk", "")) if isinstance(branch, dict) else "",
        forecasts=tuple(log_rows(folder / FORECAST)) if (folder / FORECAST).is_file() else (),
        columns={name: np.array(column) for name, column in columns.items()},
        by_domain={name: (np.array(steps), np.array(losses)) for name, (steps, losses) in sorted(domains.items())},
        tokens=tokens,
        how=mapping_or_empty(read_json(folder / RUN)),
        by_layer=even(lists["load_imbalance"]),
        load_by_k=even(lists["load_imbalance_by_k"]),
        loss_by_k=by_key(losses_by_k),
        skipped=tuple(skipped),
    )


def number_or_nan(value: Any) -> float:
    """A number, or the mean of a list of them; NaN for anything else."""
    if isinstance(value, list):
        found = [each for each in map(number, value) if each is not None]
        return math.fsum(found) / len(found) if found else math.nan
    found_one = number(value)
    return math.nan if found_one is None else found_one


def even(rows: deque[list[float]]) -> Floats:
    """The rows that are as long as the last one, [rows, columns]."""
    return np.array([row for row in rows if len(row) == len(rows[-1])]) if rows else np.empty((0, 0))


def by_key(rows: deque[Mapping[str, Any]]) -> dict[str, Floats]:
    found: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            found.setdefault(key, []).append(number_or_nan(value))
    return {key: np.array(values) for key, values in found.items()}


def log_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            if not isinstance(row, dict) or number(row.get("step")) is None:
                return
            yield row
