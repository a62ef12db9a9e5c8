"""Whether branches rank methods as whole runs do, with the noise of documents and of seeds.

A rank correlation of five methods is a number that noise moves: where methods differ by less than another seed changes,
whole runs do not rank themselves alike. So documents are drawn again with repetition, the same for all, and seeds, of
branches and of whole runs apart; ranks are of the means over seeds. Few seeds drawn again vary somewhat less than
seeds do.

Shapes: S seeds, M methods, N documents, R resamples.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from trainer.branches.paired import Flags, Floats, spearman

ALL = "all"
RESAMPLES = 1000
SPEARMAN = 0.8
# A ranking is told if so many of the resampled ones have that correlation with it.
TOLD = 0.9
# Of the interval of a difference between two methods.
_TAILS = [0.025, 0.975]


def agreement(
    branches_SMN: Floats, whole_SMN: Floats, bytes_N: Floats, names: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Bits per byte of both by method, their rank correlation and the best of each, and how sure that is:

    - `told`: whether branches, and whole runs, rank themselves alike when drawn again;
    - `spearman_above`, `best_above`: the share of resamples in which the bar is reached, and the best is the same;
    - `pairs`: of pairs of methods, how many have the same order in both, the other one, or are not told by one of them
      (the 95 % interval of the difference has zero in it).
    """
    random = np.random.default_rng(seed)
    counts_RN = random.multinomial(bytes_N.size, np.full(bytes_N.size, 1 / bytes_N.size), RESAMPLES).astype(np.float64)
    counts_RN[counts_RN @ bytes_N == 0] = 1
    kinds = {"branches": branches_SMN, "whole": whole_SMN}
    means = {kind: bits.sum(2).mean(0) / bytes_N.sum() for kind, bits in kinds.items()}
    drawn = {kind: _drawn(bits, counts_RN, bytes_N, random) for kind, bits in kinds.items()}
    told = {
        kind: float(np.mean([(spearman(row, means[kind]) or 0.0) >= SPEARMAN - 1e-9 for row in rows]))
        for kind, rows in drawn.items()
    }
    ranks = [spearman(*rows) or 0.0 for rows in zip(*drawn.values())]
    best = {kind: int(np.argmin(values)) for kind, values in means.items()}
    same = drawn["branches"].argmin(1) == drawn["whole"].argmin(1)
    return {
        **{kind: dict(zip(names, values.tolist())) for kind, values in means.items()},
        "spearman": spearman(*means.values()),
        "spearman_interval": np.quantile(ranks, [0.1, 0.9]).tolist(),
        "spearman_above": float(np.mean(np.array(ranks) >= SPEARMAN - 1e-9)),
        "best": {kind: names[place] for kind, place in best.items()},
        "best_above": float(np.mean(same)),
        "told": {kind: share >= TOLD for kind, share in told.items()},
        "told_share": told,
        "pairs": _pairs(drawn["branches"], drawn["whole"], means),
    }


def _drawn(bits_SMN: Floats, counts_RN: Floats, bytes_N: Floats, random: np.random.Generator) -> Floats:
    """Bits per byte of resampled documents and seeds, (R, M)."""
    values_SMR = bits_SMN @ counts_RN.T / (counts_RN @ bytes_N)
    seeds = len(bits_SMN)
    chosen_RS = random.integers(0, seeds, (len(counts_RN), seeds))
    found: Floats = np.stack([values_SMR[chosen, :, i].mean(0) for i, chosen in enumerate(chosen_RS)])
    return found


def _pairs(branches_RM: Floats, whole_RM: Floats, means: Mapping[str, Floats]) -> dict[str, int]:
    found = {"same": 0, "opposite": 0, "undecided": 0}
    for a, b in combinations(range(branches_RM.shape[1]), 2):
        intervals = [np.quantile(rows[:, a] - rows[:, b], _TAILS) for rows in (branches_RM, whole_RM)]
        if any(low <= 0 <= high for low, high in intervals):
            found["undecided"] += 1
        else:
            signs = [np.sign(values[a] - values[b]) for values in means.values()]
            found["same" if signs[0] == signs[1] else "opposite"] += 1
    return found


def targets(sources: Sequence[str]) -> dict[str, Flags]:
    """Which documents each user cares for: all, or those of one source; (N,) each."""
    place = np.array(sources)
    return {ALL: np.ones(len(place), np.bool_)} | {name: place == name for name in sorted(set(sources))}


def bars_of(found: Mapping[str, Mapping[str, Any]]) -> dict[str, bool | None]:
    """For each text whether the ranks agree, and the best method; None where that is not told: branches or whole runs
    do not rank themselves alike when drawn again, or their best methods are the same in some resamples only."""
    bars: dict[str, bool | None] = {}
    for text, each in found.items():
        rank = each["spearman"] is not None and each["spearman"] >= SPEARMAN - 1e-9
        told = all(each["told"].values())
        bars[f"{text}: rank correlation of branches and whole runs {SPEARMAN} or more"] = rank if told else None
        same = each["best"]["branches"] == each["best"]["whole"]
        bars[f"{text}: the best method agrees"] = None if 1 - TOLD < each["best_above"] < TOLD else same
    return bars


def passed(bars: Mapping[str, bool | None], text: str = ALL) -> bool | None:
    """Of one text; None where nothing is missed, but something is not told."""
    values = [held for bar, held in bars.items() if bar.startswith(f"{text}: ")]
    return False if False in values else None if None in values else True
