"""Runs on pools of different strictness, as a table: what `plan-data` fits its law on.

A row is a run: `pool`, `keep_rate` (of the loosest pool's tokens, above 0 and at most 1), `unique_tokens` (in the
pool), `tokens` (seen in training), `params`, and its loss on held-out text, in any unit that is the same in all rows:
one column `loss`, or one for each held-out distribution, `loss_NAME`. `seed` is optional. CSV as `tables.py` reads it,
or JSON lines, where `loss` may be an object by name."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from infra.names import listed, meant
from trainer.scaling.curves import Floats
from trainer.scaling.tables import TableReader, Tell, number_of, tell_left_out

COLUMNS = ("pool", "keep_rate", "unique_tokens", "tokens", "params")
LOSS, MEAN = "loss", "mean"
NUMBERS = COLUMNS[1:]
# Of tokens, parameters and losses.
MOST = 1e18
LEAST_RUNS = 8


@dataclass(frozen=True, eq=False)
class PoolRuns:
    """Runs: `pools` their names; the others have the shape (runs,). `groups`: runs of one number are of one training (a
    pool, its unique tokens, parameters and seed), so that their errors go together."""

    pools: tuple[str, ...]
    keep_rates: Floats
    unique: Floats
    tokens: Floats
    parameters: Floats
    losses: Floats
    groups: npt.NDArray[np.int64]

    def some(self, chosen: npt.NDArray[np.bool_]) -> "PoolRuns":
        names = tuple(name for name, taken in zip(self.pools, chosen) if taken)
        rates, unique, tokens = self.keep_rates[chosen], self.unique[chosen], self.tokens[chosen]
        return PoolRuns(names, rates, unique, tokens, self.parameters[chosen], self.losses[chosen], self.groups[chosen])

    @property
    def epochs(self) -> Floats:
        return self.tokens / self.unique

    def rates(self) -> dict[str, float]:
        """The keep rate of each pool, from the strictest."""
        found = dict(zip(self.pools, self.keep_rates.tolist()))
        return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def read_pool_runs(path: Path, loss: str | None = None, tell: Tell | None = None) -> PoolRuns:
    """The runs of a table. `loss`: the name of a held-out distribution, several with `+` between them for their mean,
    or `mean` of all; by default the column `loss`, and without one the mean.

    Rows in which a number is missing or not positive are left out, which `tell` is told. UsageError for a file that
    cannot be read, a column that is not there, and what `pool_runs` refuses."""
    try:
        rows = list(_json_rows(path) if path.suffix == ".jsonl" else _csv_rows(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not rows:
        raise UsageError(f"{path} has no runs: give a row for each, with {', '.join(COLUMNS)} and a loss")
    return pool_runs(rows, loss, str(path), tell)


def pool_runs(
    rows: Sequence[Mapping[str, Any]], loss: str | None = None, where: str = "the table", tell: Tell | None = None
) -> PoolRuns:
    """The runs of rows by the names of `COLUMNS`. UsageError as `read_pool_runs` has it, for a pool with two keep rates
    or one above 1, and for too few runs or pools."""
    rows = [_flat(row) for row in rows]
    names = set().union(*rows)
    for name in COLUMNS:
        if name not in names:
            raise UsageError(f"{where} has no column {name!r}; {meant(name, sorted(names))}")
    wanted = _loss_columns(names, loss, where)
    found, left_out = [], 0
    for row in rows:
        losses = [_number(row.get(name)) for name in wanted]
        numbers = [*(_number(row.get(name)) for name in NUMBERS), float(np.mean(losses))]
        if row.get("pool") in (None, "") or not np.all(np.isfinite(numbers)) or not _may_be(numbers):
            left_out += 1
            continue
        found.append((str(row["pool"]), numbers, str(row.get("seed", ""))))
    tell_left_out(tell, Path(where), left_out, len(rows), "a number in them is missing, not positive or out of range")
    if len(found) < LEAST_RUNS:
        raise UsageError(f"{where} has {len(found)} runs with all columns; give {LEAST_RUNS} or more")
    _check_rates([(pool, numbers[0]) for pool, numbers, _ in found], where)
    keys = [(pool, *numbers[1:2], numbers[3], seed) for pool, numbers, seed in found]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    values = np.array([numbers for _, numbers, _ in found], np.float64)
    groups = np.array([order[key] for key in keys], np.int64)
    rates, unique, tokens, parameters, held_out = values.T
    return PoolRuns(tuple(pool for pool, _, _ in found), rates, unique, tokens, parameters, held_out, groups)


def loss_named(path: Path, loss: str | None) -> str:
    """What the loss is called that `read_pool_runs` reads."""
    if loss is not None:
        return loss
    rows = list(_json_rows(path) if path.suffix == ".jsonl" else _csv_rows(path))
    return LOSS if LOSS in set().union(*map(_flat, rows)) else MEAN


def loss_names(names: Sequence[str]) -> list[str]:
    """The held-out distributions of columns `loss_NAME`, in order."""
    return sorted(name.removeprefix(f"{LOSS}_") for name in names if name.startswith(f"{LOSS}_"))


def _loss_columns(names: set[str], loss: str | None, where: str) -> list[str]:
    every = loss_names(sorted(names))
    if loss is None:
        loss = LOSS if LOSS in names else MEAN
    if loss == LOSS and LOSS in names:
        return [LOSS]
    if loss == MEAN and every:
        return [f"{LOSS}_{name}" for name in every]
    if not every and LOSS not in names:
        raise UsageError(f"{where} has no column of losses: name one loss, or one for each distribution loss_NAME")
    for part in loss.split("+"):
        if part not in every:
            known = [*every, *([LOSS] if LOSS in names else [MEAN])]
            raise UsageError(f"{where} has no loss {part!r}; {meant(part, known)}")
    return [f"{LOSS}_{part}" for part in loss.split("+")]


def _may_be(numbers: Sequence[float]) -> bool:
    """Whether keep rate, tokens, parameters and loss, in the order of `NUMBERS`, may be those of a run."""
    return min(numbers) > 0 and all(1 <= each <= MOST for each in numbers[1:4]) and numbers[4] <= MOST


def _check_rates(rates: Sequence[tuple[str, float]], where: str) -> None:
    known: dict[str, float] = {}
    for pool, rate in rates:
        if rate > 1:
            raise UsageError(f"{where}: the keep rate of {pool} is {rate:g}: give a share, above 0 and at most 1")
        if abs(known.setdefault(pool, rate) / rate - 1) > 1e-6:
            raise UsageError(f"{where}: {pool} has two keep rates, {known[pool]:g} and {rate:g}: name two pools")
    if len({round(float(np.log(rate)), 6) for rate in known.values()}) < 2:
        raise UsageError(f"{where} has one keep rate ({listed(known)}): strictness needs runs on two pools or more")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Losses by name become columns."""
    losses = row.get(LOSS)
    if not isinstance(losses, Mapping):
        return dict(row)
    rest = {name: value for name, value in row.items() if name != LOSS}
    return rest | {f"{LOSS}_{name}": value for name, value in losses.items()}


def _number(value: Any) -> float:
    """NaN for what is no number."""
    if isinstance(value, bool) or value is None:
        return float("nan")
    try:
        return number_of(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = TableReader(path, file, ())
        for _, cells in reader:
            numbers = {name: text for name, text in cells.items() if name in NUMBERS or name.startswith(LOSS)}
            yield {**cells, **{name: _cell(reader, text) for name, text in numbers.items()}}


def _cell(reader: TableReader, text: str) -> float:
    try:
        return reader.number(text)
    except ValueError:
        return float("nan")


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}, line {number}, is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number}, is no JSON object: a run is one, by the names of its columns")
        yield row
