"""The terms of the law of final losses: what multiplies E, A and B for runs that differ in more than size and tokens.

    L = E + M (A x^(δ - ν ln N) k^-κ N^-α + B x^(ω - ζ ln D) D'^-β)

N active parameters, D tokens. Each term is there if the table has its columns:

- x, sparsity: total over active parameters, or experts over those of a token; with its interactions with N and D as
  the joint law of Ludziejewski et al. (2025, arXiv 2502.05172) has them;
- k, experts a token at equal sparsity, that is, how fine experts are (Krajewski et al. 2024, arXiv 2402.07871);
- epochs: D' is what repeated tokens are worth, with a half-life (Muennighoff et al. 2023, arXiv 2305.16264);
- shares r of a mixture: M = exp(Σ t_j (r_j^q - mean r_j^q)), on all that training can still gain. With q = 1 that is
  the exponential of the mixing laws (Ye et al. 2024, arXiv 2403.16952); q = 1/2, where the first percents of a part
  say more than the next, is better on the mixtures of RegMix. Which of the two is chosen for a table.

N is in units of 1e8 and D of 1e9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.scaling.curves import Floats
from trainer.scaling.final_runs import EPOCHS, EXPERTS_A_TOKEN, SHARE, SPARSITY, FinalRuns
from trainer.scaling.pool_law import effective_tokens

N_UNIT, D_UNIT = 1e8, 1e9
# Of shares.
POWERS = (0.5, 1.0)


class Unknown(NamedTuple):
    """A searched number: the middle and width of its prior, and its bounds."""

    name: str
    middle: float
    width: float
    low: float
    high: float


# α and β, in logarithms; their published values. How strongly they are held is chosen for a table.
EXPONENTS = (
    Unknown("log_alpha", float(np.log(0.34)), 1.0, float(np.log(0.03)), float(np.log(1.5))),
    Unknown("log_beta", float(np.log(0.28)), 1.0, float(np.log(0.03)), float(np.log(1.5))),
)
TERMS = {
    SPARSITY: (
        Unknown("delta", 0.0, 0.3, -1.5, 1.5),
        Unknown("nu", 0.0, 0.05, -0.3, 0.3),
        Unknown("omega", 0.0, 0.3, -1.5, 1.5),
        Unknown("zeta", 0.0, 0.05, -0.3, 0.3),
    ),
    EXPERTS_A_TOKEN: (Unknown("kappa", 0.0, 0.3, -1.5, 1.5),),
    EPOCHS: (Unknown("log_half_life", float(np.log(15.4 * np.log(2))), 1.0, float(np.log(0.05)), float(np.log(1e4))),),
}


@dataclass(frozen=True)
class Layout:
    """Which terms a law has, in the order of its unknowns; `centres`: the mean of each part's share to the `power`, 0
    for other terms. `of_size`, `of_tokens`: whether A and B are told apart from E."""

    terms: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    of_size: bool = True
    of_tokens: bool = True
    power: float = 1.0

    def unknowns(self) -> list[Unknown]:
        found = list(EXPONENTS)
        for name in self.terms:
            found.extend(TERMS[name] if name in TERMS else [Unknown(name, 0.0, 1.0, -30.0, 30.0)])
        return found


def layout_of(runs: FinalRuns, names: Sequence[str], power: float = 1.0) -> Layout:
    """The layout with these terms of the runs; `power`: of shares. Where all runs have one size, or as many tokens, its
    part is E's."""
    values = [(name, runs.terms[name]) for name in names]
    size = any(np.ptp(each) > 0 for each in (runs.parameters, *_of(values, (SPARSITY, EXPERTS_A_TOKEN))))
    tokens = any(np.ptp(each) > 0 for each in (runs.tokens, *_of(values, (EPOCHS,)))) or not size
    centres = tuple(float((each**power).mean()) if name.startswith(SHARE) else 0.0 for name, each in values)
    return Layout(tuple(names), centres, size, tokens, power)


def groups_of(runs: FinalRuns) -> list[tuple[str, ...]]:
    """The terms that these runs can tell, each with those that go with it: shares are one."""
    varying = [name for name, values in sorted(runs.terms.items()) if np.ptp(values) > 1e-9]
    shares = tuple(name for name in varying if name.startswith(SHARE))
    return [*((name,) for name in varying if not name.startswith(SHARE)), *([shares] if shares else [])]


def basis(layout: Layout, unknowns: Floats, runs: FinalRuns) -> Floats:
    """What E, A and B are multiplied by at each run: (runs, 3)."""
    size, tokens = np.log(runs.parameters / N_UNIT), np.log(runs.tokens / D_UNIT)
    alpha, beta = np.exp(unknowns[:2])
    of_size, of_tokens, mixture = -alpha * size, np.zeros(size.size), np.zeros(size.size)
    worth, place = tokens, 2
    for name, centre in zip(layout.terms, layout.centres):
        values = runs.terms[name]
        if name == SPARSITY:
            delta, nu, omega, zeta = unknowns[place : place + 4]
            of_size = of_size + np.log(values) * (delta - nu * size)
            of_tokens = of_tokens + np.log(values) * (omega - zeta * tokens)
        elif name == EXPERTS_A_TOKEN:
            of_size = of_size - unknowns[place] * np.log(values)
        elif name == EPOCHS:
            unique = runs.tokens / values
            worth = np.log(effective_tokens(runs.tokens, unique, float(np.exp(unknowns[place]))) / D_UNIT)
        else:
            mixture = mixture + unknowns[place] * (values**layout.power - centre)
        place += len(TERMS.get(name, (name,)))
    parts = [np.exp(_kept(mixture + of_size)), np.exp(_kept(mixture + of_tokens - beta * worth))]
    return np.stack([np.ones(size.size), parts[0] * layout.of_size, parts[1] * layout.of_tokens], 1)


def _kept(exponents: Floats) -> Floats:
    """Far outside of what was fitted a power may overflow."""
    found: Floats = np.clip(exponents, -60.0, 60.0)
    return found


def _of(values: Sequence[tuple[str, Floats]], names: Sequence[str]) -> list[Floats]:
    return [each for name, each in values if name in names]
