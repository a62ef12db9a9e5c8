"""Runs on pools of several strictnesses whose losses a known law made, as values and as a table."""

import csv
from pathlib import Path

import numpy as np

from trainer.scaling.pool_law import PoolLaw
from trainer.scaling.pool_runs import PoolRuns

RATES = {"strict": 0.03, "middle": 0.3, "loose": 1.0}
WHOLE = 8e6  # unique tokens of the loosest pool
SHAPE = np.array([0.3, 0.35, 6.0, 0.12, 0.06])
UNITS = (4e4, 1e6, float(np.mean(np.log(list(RATES.values())))))
LAW = PoolLaw(SHAPE, np.array([1.0, 0.6, 1.2]), dict.fromkeys(RATES, 0.0), UNITS)
SIZES, TOKENS = (1e4, 4e4, 1.6e5), (2.5e5, 5e5, 1e6, 2e6, 4e6)


def made_runs(law: PoolLaw = LAW, noise: float = 0.002, seed: int = 0) -> PoolRuns:
    grid = [(name, size, tokens) for name in RATES for size in SIZES for tokens in TOKENS]
    names = tuple(name for name, _, _ in grid)
    rates = np.array([RATES[name] for name in names])
    sizes, tokens = np.array([(size, seen) for _, size, seen in grid]).T
    factors = np.array([law.factor(name) for name in names])
    losses = law.losses(sizes, tokens, WHOLE * rates, rates, factors)
    losses = losses * (1 + noise * np.random.default_rng(seed).standard_normal(losses.size))
    return PoolRuns(names, rates, WHOLE * rates, tokens, sizes, losses, np.arange(losses.size) // len(TOKENS))


def write_pool_runs(path: Path) -> Path:
    """A table with the losses on two held-out distributions, of which one is a bit harder."""
    made = made_runs()
    columns = (made.keep_rates, made.unique, made.tokens, made.parameters, made.losses, 1.1 * made.losses)
    rows = zip(made.pools, *(column.tolist() for column in columns))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["pool", "keep_rate", "unique_tokens", "tokens", "params", "loss_books", "loss_talks"])
        writer.writerows(rows)
    return path
