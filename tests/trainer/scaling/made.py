"""Loss curves made by a known law, as files and as values."""

import csv
from pathlib import Path

import numpy as np

from trainer.scaling.curves import Curve, Schedule
from trainer.scaling.final_runs import FinalRuns
from trainer.scaling.schedule_law import LawShape

PEAK = 1e-3
SHAPE = LawShape(np.log([0.5, 12.0, 0.4, 0.6]), PEAK)
STEPS = np.arange(500.0, 10_001.0, 100.0)


def schedules() -> dict[str, Schedule]:
    progress = (STEPS - STEPS[0]) / (STEPS[-1] - STEPS[0])
    return {
        "constant": Schedule(STEPS, np.full(STEPS.size, PEAK)),
        "cosine": Schedule(STEPS, PEAK * (0.55 + 0.45 * np.cos(np.pi * progress))),
        "decay": Schedule(STEPS, PEAK * np.clip((1 - progress) / 0.2, 0.1, 1.0)),
        "drop": Schedule(STEPS, np.where(progress < 0.6, PEAK, 0.2 * PEAK)),
    }


def coefficients(parameters: float) -> np.ndarray:
    """L0, A, B of the law at a size: all power laws, the first with an asymptote of 1.6."""
    ratio = parameters / 25e6
    return np.array([1.6 + 1.5 * ratio**-0.3, 0.5 * ratio**0.05, 0.08 * ratio**0.15])


def curve(name: str, parameters: float, noise: float = 0.0005) -> Curve:
    schedule = schedules()[name]
    random = np.random.default_rng([len(name), int(parameters)])
    losses = SHAPE.basis(schedule) @ coefficients(parameters) + noise * random.standard_normal(STEPS.size)
    return Curve(schedule.steps, schedule.rates, name, losses)


def write_curves(folder: Path, sizes: dict[str, float]) -> Path:
    for size, parameters in sizes.items():
        (folder / size).mkdir(parents=True)
        for name in schedules():
            made = curve(name, parameters)
            points = zip(made.steps.tolist(), made.rates.tolist(), made.losses.tolist())
            rows = [f"{int(step)},{rate!r},{loss!r}" for step, rate, loss in points]
            (folder / size / f"{made.name}_24000.csv").write_text("\n".join(["step,lr,loss", *rows, ""]))
    return folder


def write_runs(path: Path) -> Path:
    """A table of final losses, by size and tokens."""
    made = final_runs()
    columns = [made.parameters, made.tokens, 6 * made.parameters * made.tokens, made.losses]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["N", "D", "C", "loss"])
        writer.writerows(zip(*(column.tolist() for column in columns)))
    return path


def final_runs() -> FinalRuns:
    n, d = (each.ravel() for each in np.meshgrid(np.geomspace(2e7, 3e9, 9), np.geomspace(5e8, 5e10, 6)))
    noise = 0.002 * np.random.default_rng(7).standard_normal(n.size)
    return FinalRuns(n, d, (1.8 + 0.8 * (n / 1e8) ** -0.33 + (d / 1e9) ** -0.4) * (1 + noise))
