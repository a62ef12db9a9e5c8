"""Tables of final losses made by known laws with terms for experts, repeated data and mixtures."""

from dataclasses import replace

import numpy as np

from trainer.scaling.final_runs import EPOCHS, EXPERTS_A_TOKEN, SHARE, SPARSITY, FinalRuns
from trainer.scaling.final_terms import Layout, basis

# What `Layout.unknowns` names, of each table: log α, log β first.
PLANTED = {
    "experts": ((SPARSITY, EXPERTS_A_TOKEN), (-0.15, 0.02, -0.05, 0.0, 0.06)),
    "epochs": ((EPOCHS,), (float(np.log(6.0)),)),
    "mixture": (tuple(f"{SHARE}{name}" for name in "abcd"), (-1.2, 0.6, 0.0, -0.4)),
}
NOISE = 0.004


def planted(kind: str, seed: int = 0, runs: int = 120, noise: float = NOISE) -> FinalRuns:
    """Runs of six sizes from 2e7 to 1.3e9, of 5 to 80 tokens a parameter, whose losses a law of this kind gives, off by
    normal errors of `noise`."""
    random = np.random.default_rng([seed, *kind.encode()])
    sizes = 2e7 * 2.3 ** random.integers(0, 6, runs)
    names, values = PLANTED[kind]
    terms = {}
    if kind == "experts":
        terms[SPARSITY] = random.choice([1.0, 2.0, 4.0, 8.0, 16.0], runs)
        terms[EXPERTS_A_TOKEN] = random.choice([1.0, 2.0, 4.0, 8.0], runs)
    elif kind == "epochs":
        terms[EPOCHS] = random.choice([1.0, 2.0, 5.0, 12.0, 30.0], runs)
    else:
        shares = random.dirichlet(np.full(len(names), 0.7), runs)
        terms = dict(zip(names, shares.T))
    tokens = sizes * np.exp(random.uniform(np.log(5), np.log(80), runs))
    made = FinalRuns(sizes, tokens, np.ones(runs), terms)
    power = 0.5 if kind == "mixture" else 1.0
    layout = Layout(names, (0.0,) * len(names), power=power)
    unknowns = np.array([np.log(0.33), np.log(0.37), *values])
    losses = basis(layout, unknowns, made) @ np.array([1.7, 0.8, 0.9])
    return replace(made, losses=losses * (1 + noise * random.standard_normal(runs)))
