"""Solves a mixture: how many epochs of each (source, domain) group give the shares in a recipe.

With s_g the share of group g in the mixture and T the size of the mixture in tokens, minimum and maximum shares, epoch
caps and target tolerances are linear in s for a given T. Three problems are solved in order:

1. The largest T. An infeasible T gives a Farkas certificate, a combination of constraints whose bound on T is the next
   T to try. After a few certificates T is the largest possible, and the last certificate names what limits it.
2. The shares nearest to the targets, by least squares.
3. Among the mixtures with those shares, the one nearest to the pool's own proportions. Raking (Deming and Stephan 1940)
   scales the groups by source and by domain in turn, which keeps the proportions inside each, so that no group is left
   out while others repeat. Then the nearest point in chi-square distance satisfies every constraint exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from infra.errors import UsageError
from mixers.domains import domains_of
from mixers.polytope import Floats, Infeasible, nearest_point
from mixers.targets import DrawConfig

# Weight of the distance to the pool against that to the targets in problem 2: misses are right to about this much.
_RIDGE = 1e-6
# Tolerance on the shares of problem 2 in problem 3; also how far, relatively, T stays below its bound.
_SLACK = 1e-6
# A constraint this near to its bound, relatively, is binding; epochs this near to their cap equal the cap.
_TIGHT = 1e-5
_RAKING_ROUNDS = 100
_NAMES_SHOWN = 6


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
class MixtureSolution:
    """The epochs of each group, and what limits the mixture."""

    epochs: tuple[float, ...]
    """Epochs of each group, in the order given."""

    tokens: float
    """Size of the mixture, repeats included."""

    binding: tuple[str, ...]
    """Names of the binding constraints."""

    in_binding_floor: tuple[bool, ...]
    """For each group, whether a binding minimum share counts it."""

    missed: dict[str, tuple[float, float]]
    """Targets that cannot be met: name -> (share asked for, share planned)."""


def solve_mixture(groups: Sequence[tuple[str, str]], available: Sequence[int], config: DrawConfig) -> MixtureSolution:
    """The epochs of groups (source, domain) that have `available` tokens each, all more than 0.

    UsageError when no mixture satisfies `config`; it names the constraints that contradict each other.
    """
    if not groups:
        raise UsageError("there is nothing to draw from: no document of the pool has a token")
    supply = np.array(available, dtype=np.float64)
    assert (supply > 0).all()
    constraints = _constraints(groups, supply, config)
    largest, limits = _largest(constraints, supply, config)
    tokens = largest
    if config.tokens is not None and config.tokens < largest:
        tokens, limits = float(config.tokens), ()
    elif config.tokens is not None and config.tokens > largest * (1 + 10 * _SLACK):
        raise UsageError(
            f"a mixture of {config.tokens:,} tokens is not possible: it is limited by {_listed(limits)}; "
            f"ask for at most {int(largest):,} tokens, or loosen one of these"
        )
    return _solve(groups, supply, constraints, tokens, limits, config)


def _constraints(groups: Sequence[tuple[str, str]], supply: Floats, config: DrawConfig) -> list[Constraint]:
    one = np.ones(len(groups))
    found = [Constraint("", one, 1.0), Constraint("", -one, -1.0)]
    found += [Constraint("", unit, 0.0) for unit in np.eye(len(groups))]
    for (source, domain), tokens, unit in zip(groups, supply, np.eye(len(groups))):
        cap = config.epochs_cap(source, domain)
        name = f"max_epochs {cap:g} of {source}/{domain} ({int(tokens):,} tokens)"
        found.append(Constraint(name, -unit, 0.0, -cap * tokens, "epochs"))
    for option, shares, members_of, sign in (
        ("min_source_share", config.min_source_share, _of_source, 1),
        ("max_source_share", config.max_source_share, _of_source, -1),
        ("min_share", config.min_share, _of_domain, 1),
        ("max_share", config.max_share, _of_domain, -1),
    ):
        for key, share in sorted(shares.items()):
            members = members_of(groups, key)
            name = f"{option} {key} = {share:g}{_note_if_empty(members) if sign > 0 else ''}"
            found.append(Constraint(name, sign * members, sign * share, kind="floor" if sign > 0 else "cap"))
    for key, share in sorted(config.targets.items()):
        members = _of_domain(groups, key)
        name = f"target {key} = {share:g} within {config.tolerance:g}{_note_if_empty(members)}"
        found.append(Constraint(name, members, share - config.tolerance, kind="target"))
        found.append(Constraint(name, -members, -share - config.tolerance, kind="target"))
    return found


def _of_source(groups: Sequence[tuple[str, str]], source: str) -> Floats:
    """1 for groups of this source, else 0; shape (groups,)."""
    return np.array([float(group[0] == source) for group in groups])


def _of_domain(groups: Sequence[tuple[str, str]], name: str) -> Floats:
    """1 for groups of this domain or axis, else 0; shape (groups,)."""
    members = domains_of(name)
    return np.array([float(group[1] in members) for group in groups])


def _note_if_empty(members: Floats) -> str:
    return "" if members.any() else " (the pool has nothing of it)"


def _largest(constraints: list[Constraint], supply: Floats, config: DrawConfig) -> tuple[float, tuple[str, ...]]:
    """The largest T that the constraints allow, and the names of those that limit it. UsageError when there is none."""
    matrix, natural = np.stack([each.coefficients for each in constraints]), supply / supply.sum()
    tokens = -sum(each.per_token for each in constraints)
    limits = tuple(each.name for each in constraints if each.kind == "epochs")
    # Each certificate is a vertex of a polyhedron: there are finitely many, and T falls with each.
    for _ in range(10_000):
        if tokens < 1:
            raise UsageError(
                f"no mixture of this pool, of any size, satisfies {_listed(limits)}; "
                f"loosen one of these{', or raise tolerance' if config.targets else ''}"
            )
        try:
            nearest_point(natural, matrix, np.array([each.bound(tokens) for each in constraints]))
            return tokens, limits
        except Infeasible as infeasible:
            limits = _names(constraints, infeasible.certificate)
            weighted = list(zip(infeasible.certificate, constraints))
            constant = sum(weight * each.constant for weight, each in weighted)
            per_token = sum(weight * each.per_token for weight, each in weighted)
        # The certificate says constant + per_token / T <= 0.
        tokens = min(-per_token / constant if constant > 0 else 0.0, tokens) * (1 - _SLACK)
    raise AssertionError("the search for the largest total did not end")


def _solve(
    groups: Sequence[tuple[str, str]],
    supply: Floats,
    constraints: list[Constraint],
    tokens: float,
    limits: tuple[str, ...],
    config: DrawConfig,
) -> MixtureSolution:
    """Problems 2 and 3 for a mixture of `tokens` tokens."""
    natural = supply / supply.sum()
    matrix = np.stack([each.coefficients for each in constraints])
    bounds = np.array([each.bound(tokens) for each in constraints])
    targets = sorted(config.targets)
    aims = np.array([config.targets[name] for name in targets])
    aimed = np.stack([_of_domain(groups, name) for name in targets]) if targets else np.zeros((0, len(groups)))
    attained = _closest(natural, matrix, bounds, aimed, aims)
    raked = _raked(natural, constraints, bounds, aimed, attained)
    shares = _nearest_shares(raked, matrix, bounds, aimed, attained)
    slacks = matrix @ shares - bounds
    tight = [each for each, slack, bound in zip(constraints, slacks, bounds) if slack <= _TIGHT * abs(bound)]
    floors = [each.coefficients > 0 for each in tight if each.kind == "floor"]
    planned = aimed @ shares
    return MixtureSolution(
        epochs=tuple(
            _epochs(share * tokens / has, config.epochs_cap(*group))
            for group, share, has in zip(groups, shares, supply)
        ),
        tokens=tokens,
        binding=tuple(sorted({each.name for each in tight if each.kind in ("epochs", "floor", "cap")} | set(limits))),
        in_binding_floor=tuple(bool(value) for value in np.any(floors, axis=0)) if floors else (False,) * len(groups),
        missed={
            name: (float(aim), round(float(share), 6))
            for name, aim, share in zip(targets, aims, planned)
            if abs(aim - share) > 10 * _SLACK
        },
    )


def _epochs(value: float, cap: float) -> float:
    """Rounded to seven digits, so that the plan does not depend on the last bits of a linear algebra library."""
    return cap if value >= cap * (1 - _TIGHT) else float(f"{value:.7g}")


def _closest(natural: Floats, matrix: Floats, bounds: Floats, aimed: Floats, aims: Floats) -> Floats:
    """The attainable shares of the targets nearest to `aims`, shape (targets,).

    Misses, divided by the root of the ridge, are variables of their own, which makes the problem a nearest point.
    """
    if not len(aims):
        return aims
    count, identity = len(natural), np.eye(len(aims)) * _RIDGE**0.5
    padded = np.hstack([matrix, np.zeros((len(matrix), len(aims)))])
    rows = np.vstack([padded, np.hstack([aimed, -identity]), np.hstack([-aimed, identity])])
    nearest = nearest_point(np.concatenate([natural, np.zeros(len(aims))]), rows, np.concatenate([bounds, aims, -aims]))
    return aimed @ nearest[:count]


def _raked(natural: Floats, constraints: list[Constraint], bounds: Floats, aimed: Floats, attained: Floats) -> Floats:
    """The pool's shares, scaled towards each constraint in turn, shape (groups,). Positive; satisfies the constraints
    approximately."""
    shares = natural.copy()
    for _ in range(_RAKING_ROUNDS):
        before = shares
        for constraint, bound in zip(constraints, bounds):
            now = float(constraint.coefficients @ shares)
            # The factor for the constraint's groups is `bound / now`, whether its coefficients are 1 or -1.
            if constraint.name and now < bound and now != 0.0:
                shares = np.where(constraint.coefficients != 0, shares * max(bound / now, 1e-12), shares)
        for members, share in zip(aimed, attained):
            now = float(members @ shares)
            shares = np.where(members > 0, shares * max(share / now, 1e-12), shares) if now > 0 else shares
        shares = np.maximum(shares / shares.sum(), 1e-12 * natural)
        if np.abs(shares - before).max() <= 1e-12:
            break
    return shares


def _nearest_shares(raked: Floats, matrix: Floats, bounds: Floats, aimed: Floats, attained: Floats) -> Floats:
    """The shares nearest to `raked` that satisfy all constraints: least sum of (s_g - r_g)^2 / r_g.

    In the variables s_g / sqrt(r_g) this is the point nearest to sqrt(r).
    """
    root = np.sqrt(raked)
    # Constraints on several groups are loosened by the slack, so that rounding in problem 2 cannot make problem 3
    # infeasible.
    slack = np.where((matrix != 0).sum(axis=1) > 1, _SLACK, 0.0)
    rows = np.vstack([matrix, aimed, -aimed]) * root
    limits = np.concatenate([bounds - slack, attained - _SLACK, -attained - _SLACK])
    return np.maximum(nearest_point(root, rows, limits), 0.0) * root


def _names(constraints: list[Constraint], weights: Floats) -> tuple[str, ...]:
    """The names of the constraints that have a weight in a certificate."""
    least = 1e-9 * float(weights.max())
    return tuple(sorted({each.name for each, weight in zip(constraints, weights) if each.name and weight > least}))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES_SHOWN
    return "; ".join(names[:_NAMES_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
