"""Final losses of runs as a table has them: what is read of it, and which of its rows count.

Beside parameters, tokens and loss a table may say what else differs between its runs, and the law then has a term for
it (`final_terms.py`): total parameters or experts, experts a token, epochs or unique tokens, shares of a mixture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from infra.names import meant
from trainer.scaling.curves import Floats
from trainer.scaling.tables import TableReader, Tell, as_number, opened, tell_left_out

LEAST_RUNS = 6
SPARSITY, EXPERTS_A_TOKEN, EPOCHS, SHARE = "sparsity", "experts_a_token", "epochs", "share:"
# Shares of a mixture sum to 1, or to less where one is left out; this much more is rounding.
_MOST_SHARES = 1.02


@dataclass(frozen=True)
class RunColumns:
    """Which column of a table is what. `flops`: that of tokens has FLOPs, six for an active parameter and token. The
    optional ones: `total` parameters, `experts` of a layer, `k` experts a token, `epochs` or `unique` tokens, and
    `shares`, names or patterns (`train_*`)."""

    parameters: str
    tokens: str
    loss: str
    flops: bool = False
    total: str | None = None
    experts: str | None = None
    k: str | None = None
    epochs: str | None = None
    unique: str | None = None
    shares: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """UsageError for two names of one thing."""
        if self.epochs is not None and self.unique is not None:
            raise UsageError("--epochs and --unique say the same: give one of them")

    def extra(self) -> list[str]:
        """The names of single optional columns that are given."""
        return [name for name in (self.total, self.experts, self.k, self.epochs, self.unique) if name is not None]


@dataclass(frozen=True, eq=False)
class FinalRuns:
    """Active parameters, tokens and loss (nats a token) of runs: (runs,) each; and by name what else differs, (runs,)
    each: `sparsity` (total over active parameters, or experts over those of a token), `experts_a_token`, `epochs`, and
    `share:NAME` of a mixture."""

    parameters: Floats
    tokens: Floats
    losses: Floats
    terms: Mapping[str, Floats] = field(default_factory=dict)

    def some(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "FinalRuns":
        terms = {name: values[chosen] for name, values in self.terms.items()}
        return FinalRuns(self.parameters[chosen], self.tokens[chosen], self.losses[chosen], terms)


def read_runs(
    path: Path,
    columns: RunColumns,
    where: Mapping[str, str] | None = None,
    tell: Tell | None = None,
    with_losses: bool = True,
    least: int = LEAST_RUNS,
    but: tuple[str, str] | None = None,
) -> FinalRuns:
    """The runs of a CSV table; `where`: of the rows those whose cells have these texts, `but`: and those where this
    column has another; without losses these are 1.

    Rows in which a number is empty, none or not positive (a share: negative) are left out, which `tell` is told.
    UsageError for a column that is missing, too few runs, and numbers that contradict each other."""
    with opened(path) as file:
        names = [columns.parameters, columns.tokens, *([columns.loss] if with_losses else []), *columns.extra()]
        reader = TableReader(path, file, [*names, *(where or {}), *(but or ())[:1]])
        shares = _share_names(columns, reader.names, path)
        wanted = [*names, *shares]
        rows = [
            [as_number(reader, cells.get(name), name) for name in wanted]
            for _, cells in reader
            if all(_text(cells, name) == text for name, text in (where or {}).items())
            and (but is None or _text(cells, but[0]) != but[1])
        ]
    values = np.array(rows, np.float64).reshape(-1, len(wanted))
    good = np.isfinite(values).all(axis=1)
    good &= (values[:, : len(names)] > 0).all(axis=1) & (values[:, len(names) :] >= 0).all(axis=1)
    listed = f"{', '.join(names[:-1])} or {names[-1]} is no positive number"
    tell_left_out(
        tell, path, int((~good).sum()), len(values), listed if not shares else f"{listed}, or a share is none"
    )
    return runs_of(dict(zip(wanted, values[good].T)), columns, shares, str(path), with_losses, least)


def runs_of(
    cells: Mapping[str, Floats],
    columns: RunColumns,
    shares: Sequence[str],
    where: str,
    with_losses: bool = True,
    least: int = 1,
) -> FinalRuns:
    """The runs of columns of positive numbers. UsageError for too few, or numbers that contradict each other."""
    parameters, tokens = cells[columns.parameters], np.array(cells[columns.tokens])
    if parameters.size < (least if with_losses else 1):
        asked = ", ".join([columns.parameters, columns.tokens, *([columns.loss] if with_losses else [])])
        raise UsageError(f"{where} has {parameters.size} runs with {asked}; give {least if with_losses else 1}")
    if columns.flops:
        tokens = tokens / (6 * parameters)
    losses = cells[columns.loss] if with_losses else np.ones(parameters.size)
    return FinalRuns(parameters, tokens, losses, _terms(cells, columns, shares, tokens, where))


def best_runs(runs: FinalRuns) -> FinalRuns:
    """Of runs that differ in nothing but the loss the one with the lowest, ordered by all."""
    keys = np.stack([runs.losses, *(runs.terms[name] for name in sorted(runs.terms)), runs.tokens, runs.parameters])
    order = np.lexsort(keys)
    first = np.ones(order.size, np.bool_)
    first[1:] = (np.diff(keys[1:, order], axis=1) != 0).any(axis=0)
    return runs.some(order[first])


def _text(cells: Mapping[str, str], name: str) -> str:
    return (cells.get(name) or "").strip()


def _share_names(columns: RunColumns, known: Sequence[str], path: Path) -> list[str]:
    """The columns that `shares` names. UsageError for a name or pattern that is none."""
    found: dict[str, None] = {}
    for pattern in columns.shares:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            raise UsageError(f"{path} has no column {pattern!r}; {meant(pattern, known)}")
        found.update(dict.fromkeys(matching))
    return list(found)


def _terms(
    cells: Mapping[str, Floats], columns: RunColumns, shares: Sequence[str], tokens: Floats, where: str
) -> dict[str, Floats]:
    """What `FinalRuns.terms` has."""
    found: dict[str, Floats] = {}
    active = cells[columns.parameters]
    if columns.total is not None:
        found[SPARSITY] = cells[columns.total] / active
        _refuse(found[SPARSITY] < 1 - 1e-6, f"{where}: {columns.total} is below {columns.parameters}", found[SPARSITY])
    if columns.k is not None:
        found[EXPERTS_A_TOKEN] = cells[columns.k]
    if columns.experts is not None:
        of_a_token = cells[columns.k] if columns.k is not None else np.ones(active.size)
        ratio = cells[columns.experts] / of_a_token
        _refuse(ratio < 1, f"{where}: {columns.experts} is below {columns.k or '1'}", ratio)
        found.setdefault(SPARSITY, ratio)
    if columns.epochs is not None:
        found[EPOCHS] = np.maximum(cells[columns.epochs], 1.0)
    if columns.unique is not None:
        found[EPOCHS] = np.maximum(tokens / cells[columns.unique], 1.0)
    if shares:
        total = np.sum([cells[name] for name in shares], axis=0)
        _refuse(total > _MOST_SHARES, f"{where}: the shares sum to more than 1: give parts of 1", total)
        found |= {f"{SHARE}{name}": cells[name] for name in shares}
    return found


def _refuse(wrong: npt.NDArray[np.bool_], why: str, values: Floats) -> None:
    if wrong.any():
        raise UsageError(
            f"{why} in {int(wrong.sum()):,} of {wrong.size:,} runs (first: {values[np.argmax(wrong)]:.3g})"
        )
