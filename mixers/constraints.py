"""The constraints of a mixture: what a recipe's floors, caps and targets say of the shares of groups, with names for
messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixers.domains import domains_of
from mixers.grades import Cell
from mixers.polytope import Floats
from mixers.supply import ANY_LANGUAGE
from mixers.targets import DrawConfig, Target

# Tolerance on the shares of targets that are held at what can be attained.
SLACK = 1e-6
# A constraint this near to its bound, relatively, is binding; epochs this near to their cap equal the cap.
TIGHT = 1e-5
NAMES_SHOWN = 6


@dataclass(frozen=True)
class Constraint:
    """coefficients @ s >= constant + per_token / T, for the shares s of the groups."""

    name: str
    """For messages. Empty for constraints that every mixture has: shares are positive and sum to 1."""

    coefficients: Floats
    """One per group."""

    constant: float
    per_token: float = 0.0
    kind: Literal["shares", "epochs", "floor", "cap", "target"] = "shares"

    def bound(self, tokens: float) -> float:
        return self.constant + self.per_token / tokens


@dataclass(frozen=True)
class Pool:
    """The groups of a problem: their names, tokens, and most tokens with repeats. Shapes (groups,)."""

    cells: Sequence[Cell]
    supply: Floats
    capacity: Floats

    def of_target(self, target: Target) -> Floats:
        """1 for groups that a target counts, else 0; shape (groups,)."""
        return of_target(self.cells, target)


def constraints_of(pool: Pool, config: DrawConfig) -> list[Constraint]:
    """What every mixture satisfies."""
    count = len(pool.cells)
    one = np.ones(count)
    found = [Constraint("", one, 1.0), Constraint("", -one, -1.0)]
    found += [Constraint("", unit, 0.0) for unit in np.eye(count)]
    for (source, language, domain), tokens, most, unit in zip(pool.cells, pool.supply, pool.capacity, np.eye(count)):
        cap = config.epochs_cap(source, domain)
        graded = "" if abs(most - cap * tokens) <= TIGHT * max(most, 1.0) else f" by its grades, at most {int(most):,}"
        name = f"max_epochs {cap:g} of {cell_name((source, language, domain))} ({int(tokens):,} tokens{graded})"
        found.append(Constraint(name, -unit, 0.0, -most, "epochs"))
    return found + bounds_on_shares(pool.cells, config)


def bounds_on_shares(cells: Sequence[Cell], config: DrawConfig) -> list[Constraint]:
    """The floors and caps of a recipe."""
    found = []
    for option, shares, members_of, sign in (
        ("min_source_share", config.min_source_share, _of_source, 1),
        ("max_source_share", config.max_source_share, _of_source, -1),
        ("min_language_share", config.min_language_share, _of_language, 1),
        ("max_language_share", config.max_language_share, _of_language, -1),
        ("min_share", config.min_share, _of_domain, 1),
        ("max_share", config.max_share, _of_domain, -1),
    ):
        for key, share in sorted(shares.items()):
            members = members_of(cells, key)
            name = f"{option} {key} = {share:g}{_note_if_empty(members) if sign > 0 else ''}"
            found.append(Constraint(name, sign * members, sign * share, kind="floor" if sign > 0 else "cap"))
    return found


def of_target(cells: Sequence[Cell], target: Target) -> Floats:
    """1 for groups that a target counts, else 0; shape (groups,)."""
    return np.array([float(target.counts(language, domain)) for _, language, domain in cells])


def held(targets: Sequence[Target], aimed: Floats, attained: Floats, within: float = SLACK) -> list[Constraint]:
    """The shares of the targets near what can be attained."""
    found = []
    for target, members, share in zip(targets, aimed, attained):
        name = target_name(target)
        found.append(Constraint(name, members, float(share) - within, kind="target"))
        found.append(Constraint(name, -members, -float(share) - within, kind="target"))
    return found


def target_name(target: Target) -> str:
    return f"target {target.name} = {target.share:g}"


def cell_name(cell: Cell) -> str:
    """For messages: the language is left out where none is kept apart."""
    source, language, domain = cell
    return f"{source}/{domain}" if language == ANY_LANGUAGE else f"{source}/{language}/{domain}"


def _of_source(cells: Sequence[Cell], source: str) -> Floats:
    """1 for groups of this source, else 0; shape (groups,)."""
    return np.array([float(cell[0] == source) for cell in cells])


def _of_language(cells: Sequence[Cell], language: str) -> Floats:
    """1 for groups of this language, else 0; shape (groups,)."""
    return np.array([float(cell[1] == language) for cell in cells])


def _of_domain(cells: Sequence[Cell], name: str) -> Floats:
    """1 for groups of this domain or axis, else 0; shape (groups,)."""
    members = domains_of(name)
    return np.array([float(cell[2] in members) for cell in cells])


def _note_if_empty(members: Floats) -> str:
    return "" if members.any() else " (the pool has nothing of it)"


def names_of(constraints: Sequence[Constraint], weights: Floats) -> tuple[str, ...]:
    """The names of the constraints that have a weight in a certificate."""
    least = 1e-9 * float(weights.max())
    return tuple(sorted({each.name for each, weight in zip(constraints, weights) if each.name and weight > least}))


def listed(names: Sequence[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return "; ".join(names[:NAMES_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
