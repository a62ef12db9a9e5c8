"""A law of final losses as a JSON file, with the columns of its table, and what it predicts of rows of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.errors import UsageError
from infra.names import meant
from trainer.scaling.curves import Floats
from trainer.scaling.final_bands import Band
from trainer.scaling.final_loss import FinalForecast, FinalLaw, errors
from trainer.scaling.final_runs import SHARE, FinalRuns, RunColumns, read_runs, runs_of
from trainer.scaling.final_terms import TERMS, Layout
from trainer.scaling.tables import number_of

FORMAT = "refinery-final-law/2"


@dataclass(frozen=True, eq=False)
class TableLaw:
    """A fitted law, and the columns of the table that it is of."""

    columns: RunColumns
    forecast: FinalForecast

    def of_table(self, path: Path) -> list[dict[str, float]]:
        """A row for each of a table that has the law's columns: params, tokens, loss, low, high."""
        return self._rows(read_runs(path, self.columns, with_losses=False))

    def of_values(self, values: Sequence[str]) -> list[dict[str, float]]:
        """The same of one run, written as `COLUMN=NUMBER` each. UsageError for a column that is none of the law's,
        one that is missing, and what is no number."""
        wanted = self.names()
        cells: dict[str, Floats] = {}
        for text in values:
            name, _, number = text.rpartition("=")
            if name not in wanted:
                raise UsageError(f"--at {text}: the law has no column {name!r}; {meant(name, wanted)}")
            cells[name] = np.array([_positive(number, text, share=name in self.columns.shares)])
        missing = [name for name in wanted if name not in cells]
        if missing:
            raise UsageError(f"--at: give {missing[0]}=NUMBER too; the law has {', '.join(wanted)}")
        return self._rows(runs_of(cells, self.columns, self.columns.shares, "--at", with_losses=False))

    def names(self) -> list[str]:
        """The columns that a row to predict must have."""
        return [self.columns.parameters, self.columns.tokens, *self.columns.extra(), *self.columns.shares]

    def _rows(self, runs: FinalRuns) -> list[dict[str, float]]:
        found = [runs.parameters, runs.tokens, *self.forecast.losses(runs)]
        named = zip(("params", "tokens", "loss", "low", "high"), found)
        columns = {name: np.round(values, 5).tolist() for name, values in named}
        return [dict(zip(columns, row)) for row in zip(*columns.values())]


def table_law(columns: RunColumns, runs: FinalRuns, forecast: FinalForecast) -> TableLaw:
    """The law of these runs; patterns of shares become the names that they matched."""
    shares = tuple(name.removeprefix(SHARE) for name in runs.terms if name.startswith(SHARE))
    return TableLaw(RunColumns(**{**asdict(columns), "shares": shares}), forecast)


def as_json(law: TableLaw, runs: FinalRuns) -> dict[str, Any]:
    """The law as JSON has it, and its mean relative error on the runs that it was fitted on."""
    made = law.forecast.law
    names = [each.name for each in made.layout.unknowns()]
    relative = float(np.mean(np.abs(errors(made, runs))))
    return {
        "format": FORMAT,
        "columns": asdict(law.columns),
        "runs": runs.losses.size,
        "relative": relative,
        "layout": asdict(made.layout),
        "unknowns": dict(zip(names, made.unknowns.tolist())),
        "linear": dict(zip("EAB", made.linear.tolist())),
        "band": asdict(law.forecast.band),
        "resampled": [[*each.unknowns.tolist(), *each.linear.tolist()] for each in law.forecast.resampled],
    }


def read_table_law(path: Path) -> TableLaw:
    """The law in a file that `scaling fit --table` wrote. UsageError for another file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}")
        layout = Layout(**{name: _tuple(value) for name, value in found["layout"].items()})
        names = [each.name for each in layout.unknowns()]
        if any(not name.startswith(SHARE) and name not in TERMS for name in layout.terms):
            raise ValueError(f"its terms are {', '.join(layout.terms)}")
        law = _law(layout, [*(found["unknowns"][name] for name in names), *(found["linear"][name] for name in "EAB")])
        resampled = [_law(layout, row) for row in found["resampled"]]
        ranges = {str(name): (float(low), float(high)) for name, (low, high) in found["band"]["ranges"].items()}
        error, growth, reach = (float(found["band"][name]) for name in ("error", "growth", "reach"))
        band = Band(error, growth, reach, ranges)
        columns = RunColumns(**{name: _tuple(value) for name, value in found["columns"].items()})
        if not resampled:
            raise ValueError("it has no resampled laws")
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no law that `refinery scaling fit --table --out` wrote: {error}") from None
    return TableLaw(columns, FinalForecast(law, resampled, band))


def is_table_law(path: Path) -> bool:
    """Whether a file says of itself that it is a law of final losses."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    name = found.get("format") if isinstance(found, Mapping) else None
    return isinstance(name, str) and name.partition("/")[0] == FORMAT.partition("/")[0]


def _law(layout: Layout, row: Sequence[float]) -> FinalLaw:
    values = np.array(row, np.float64)
    if values.size != len(layout.unknowns()) + 3 or not np.isfinite(values).all():
        raise ValueError("a law has other numbers")
    return FinalLaw(layout, values[:-3], values[-3:])


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _positive(number: str, text: str, share: bool) -> float:
    try:
        value = number_of(number)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or value < 0 or (value == 0 and not share):
        raise UsageError(f"--at {text}: write a column and a positive number, as params=400M")
    return value
