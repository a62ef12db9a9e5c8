"""A folder with all that is known of a method: a trunk with forecasts, branches compared, a grid, a budget map."""

import json
from pathlib import Path
from typing import Any

from infra.hashing import readable_json
from tests.trainer.scaling.made_pools import WHOLE, made_runs
from trainer.scaling.plan_data import DataQuestion, plan_data
from trainer.scaling.pool_law import fit_pools

TRUNK = "5f00353b478a1ed3" * 4
LONG = "a-branch-with-a-name-that-is-longer-than-a-phone-is-wide"


def span(middle: float) -> dict[str, float]:
    return {"difference": middle, "low": middle - 0.01, "high": middle + 0.01}


def compared() -> dict[str, Any]:
    """As `branch compare` answers."""
    rows = {
        LONG: span(-0.05) | {"verdict": "better", "more_held_out_tokens": 0},
        "late": span(0.002) | {"verdict": "undecided", "more_held_out_tokens": 1_234_567},
        "mean": span(0.04) | {"verdict": "worse", "more_held_out_tokens": 0},
    }
    for row in rows.values():
        row |= {"bits_per_byte": 2.5 + row["difference"], "by_group": {"iq": span(-0.02), "eq": span(0.03)}}
    return {
        "format": "refinery.comparison-of-branches/1",
        "trunk": TRUNK,
        "level": 0.95,
        "control": {"bits_per_byte": 2.5},
        "branches": rows,
        "ranking": [LONG, "control", "late", "mean"],
        "cost": {"runs": 1.4, "runs_without_trunk": 5},
        "second": {"spearman": 0.5, "best_agrees": True},
    }


def write_branches(folder: Path) -> None:
    folder.mkdir(parents=True)
    made = {
        "control": {"overrides": {}, "tokens": 10},
        LONG: {"overrides": {"mixture": {"web": 0.7, "books": 0.3}}, "tokens": 10},
        "late": {"overrides": {"decay": {"hold": 20}}, "tokens": 10},
        "mean": {"merge": "mean", "tokens": 0},
    }
    body = {"format": "refinery.branches/1", "trunk": TRUNK, "step": 360, "tokens": 100, "branches": made}
    (folder / "branches.json").write_bytes(readable_json(body))
    (folder / "branch-comparison.json").write_bytes(readable_json(compared()))


def write_forecasts(folder: Path) -> None:
    """Of three evaluations; the second misses its band, and the third is not run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = [
        {"step": step, "loss": 5 - step / 100, "learning_rate": 1e-3, "tokens": 512 * step} for step in range(1, 150)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in steps))
    rows: list[dict[str, Any]] = [{"at": 0, "step": 0, "law": "x", "parameters": 1e4}]
    for end, measured in ((50, 4.52), (100, 4.3), (150, None)):
        loss = 5 - end / 100
        before = {"loss": loss + 0.05, "low": loss - 0.2, "high": loss + 0.3}
        rows.append(
            {"at": end - 50, "step": end, "loss": loss, "low": loss - 0.1, "high": loss + 0.1, "before": before}
        )
        if measured is not None:
            inside = abs(measured - loss) <= 0.1
            rows.append({"at": end, "step": end, "measured": measured, "error": loss - measured, "inside": inside,
                         "alarm": not inside})  # fmt: skip
    (folder / "forecast.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_grid(folder: Path) -> None:
    folder.mkdir(parents=True)
    cells = {
        name: {"axis": axis, "language": "en", "bits_per_byte": bits, "low": bits - 0.1, "high": bits + 0.1,
               "over_xz": bits / 2, "cross_entropy": bits - 0.2, "distance": 0.3, "contaminated": 0.0}
        for name, axis, bits in (("talks", "EQ", 2.0), ("books", "IQ", 2.5), ("code", "IQ", 3.1))
    }  # fmt: skip
    line = {"intercept": 0.2, "coefficients": {"cross_entropy": {"value": 1.0}}, "r2": 0.97, "error": 0.05}
    body = {
        "format": "refinery.grid/1",
        "cells": cells,
        "axes": {"IQ": {"cells": 2, "bits_per_byte": 2.8}, "EQ": {"cells": 1, "bits_per_byte": 2.0}},
        "relations": {"bits_per_byte from cross_entropy": line},
        "training": {"documents": 10},
        "marked": ["code"],
    }
    (folder / "grid.json").write_bytes(readable_json(body))


def write_plan(folder: Path) -> None:
    answer = plan_data(fit_pools(made_runs(), draws=8), DataQuestion(2e6, 5e4, WHOLE))
    checked = [{"pool": "strict", "forecast": 2.5, "low": 2.4, "high": 2.6, "measured": 2.55, "inside": True}]
    body = {**answer, "law": {"loss": "books"}, "told": ["How strict: strict"], "checked": checked}
    (folder / "plan-data-small.json").write_bytes(readable_json(body))


def write_methods(folder: Path) -> None:
    write_branches(folder / "branches")
    write_forecasts(folder / "trunk")
    write_grid(folder / "metric")
    write_plan(folder)
