"""Solves a mixture: how many tokens of each (source, language, domain) group give the shares in a recipe.

With s_g the share of group g in the mixture and T the size of the mixture in tokens, minimum and maximum shares and
epoch caps are linear in s for a given T. Targets come before size; four problems are solved in order:

1. The shares of the targets nearest to those asked for that a mixture of any size can have, by least squares. They
   differ from those asked for only where floors, caps or other targets contradict them, or the pool has nothing of a
   group.
2. The largest T with these shares, by a linear program (`largest.py`). Its prices name what limits it: the scarcest
   target, and the groups whose epochs are used up.
3. If a larger T is asked for, the shares nearest to the targets at that T; what is missed is part of the solution.
4. Among the mixtures with those shares, the one nearest to the pool's own proportions. Raking (Deming and Stephan 1940)
   scales the groups by constraint in turn, which keeps the proportions inside each, so that no group is left out while
   others repeat. Then the nearest point in chi-square distance satisfies every constraint exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from mixers.constraints import (
    SLACK,
    TIGHT,
    Constraint,
    Pool,
    constraints_of,
    held,
    listed,
)
from mixers.grades import Cell
from mixers.largest import largest_size, whole_tokens
from mixers.polytope import Floats, nearest_point
from mixers.targets import DrawConfig, Target

# Weight of the distance to the pool against that to the targets in problem 1: misses are right to about this much.
_RIDGE = 1e-6
# A share that differs by more from the one asked for is a miss.
MISS = 1e-5
_RAKING_ROUNDS = 100


@dataclass(frozen=True)
class MixtureSolution:
    """The tokens of each group, and what limits the mixture."""

    drawn: tuple[float, ...]
    """Tokens of each group with repeats, in the order given."""

    tokens: float
    """Size of the mixture, repeats included."""

    binding: tuple[str, ...]
    """Names of the binding constraints."""

    in_binding_floor: tuple[bool, ...]
    """For each group, whether a binding minimum share counts it."""

    in_binding_cap: tuple[bool, ...]
    """For each group, whether a binding maximum share counts it."""

    planned: dict[str, tuple[float, float]]
    """Of every target: name -> (share asked for, share planned)."""

    limits_of: dict[str, tuple[str, ...]]
    """Of targets that are missed: the binding constraints that keep the share from the one asked for."""

    alone: Mapping[str, float] = field(default_factory=dict)
    """Of every target of which the pool has anything: the largest size in tokens of a mixture that meets it, were it
    the only one."""

    possible: float = 0.0
    """The largest size in tokens of a mixture without targets."""

    @property
    def missed(self) -> dict[str, tuple[float, float]]:
        return {name: shares for name, shares in self.planned.items() if abs(shares[0] - shares[1]) > MISS}


def solve_mixture(
    cells: Sequence[Cell], available: Sequence[int], config: DrawConfig, capacity: Sequence[float] | None = None
) -> MixtureSolution:
    """The draw from groups (source, language, domain) that have `available` tokens each, all more than 0.

    `capacity`: the most tokens of each group with repeats; by default its tokens times the epochs cap of its source and
    domain. UsageError when no mixture satisfies the floors and caps of `config`, or one of the size asked for; it names
    the constraints that contradict each other.
    """
    if not cells:
        raise UsageError("there is nothing to draw from: no document of the pool has a token")
    supply = np.array(available, dtype=np.float64)
    assert (supply > 0).all()
    caps = [config.epochs_cap(source, domain) for source, _, domain in cells]
    pool = Pool(cells, supply, np.array(caps) * supply if capacity is None else np.array(capacity, dtype=np.float64))
    _check_languages(pool, config)
    hard = constraints_of(pool, config)
    targets = config.wanted()
    aims = np.array([target.share for target in targets])
    aimed = np.stack([pool.of_target(target) for target in targets]) if targets else np.zeros((0, len(cells)))
    possible, hard_limits = largest_size(hard, pool)
    smallest = min(possible, float(pool.capacity[pool.capacity > 0].min()))
    attained = _closest(pool, hard, smallest, aimed, aims)
    largest, limits = largest_size([*hard, *held(targets, aimed, attained)], pool)
    if config.tokens is not None and config.tokens > whole_tokens(possible):
        raise UsageError(
            f"a mixture of {config.tokens:,} tokens is not possible: it is limited by {listed(hard_limits)}; "
            f"{_ask_for(whole_tokens(possible), 'or ')}loosen one of these"
        )

    def solved(tokens: float) -> MixtureSolution:
        if tokens <= largest:
            return _solve(pool, hard, tokens, targets, aimed, attained, limits if tokens == largest else ())
        size, limited = min(tokens, possible), hard_limits if tokens >= possible else ()
        return _solve(pool, hard, size, targets, aimed, _closest(pool, hard, size, aimed, aims), limited)

    solution = solved(largest if config.tokens is None else float(config.tokens))
    if missed := _beyond(solution, config):
        smaller = 0
        if config.tokens is not None and (np.abs(aims - attained) <= config.tolerance + MISS).all():
            near = [*hard, *held(targets, aimed, aims, config.tolerance + MISS + SLACK)]
            bound = largest_size(near, pool)[0]
            smaller = _most_tokens(lambda size: not _beyond(solved(size), config), largest, bound, config.tokens)
        raise _too_far(solution, missed[0], config, smaller)
    alone = {
        target.name: largest_size([*hard, *held([target], aimed[[i]], attained[[i]])], pool)[0]
        for i, target in enumerate(targets)
        if aimed[i].any()
    }
    return replace(solution, alone=alone, possible=possible)


def _check_languages(pool: Pool, config: DrawConfig) -> None:
    """UsageError for a language that is asked for and that no document has: it may be misspelt."""
    there = {language for _, language, _ in pool.cells}
    joint = {name.partition("/")[0]: share for name, share in config.joint_targets.items() if share > 0}
    for name, share in {**config.language_targets, **config.min_language_share, **joint}.items():
        if share > 0 and name not in there:
            raise UsageError(
                f"no document of the pool has the language {name!r}, which the draw asks for; "
                "languages are those of the column `language`"
            )


def _beyond(solution: MixtureSolution, config: DrawConfig) -> list[str]:
    """The targets that are missed by more than the tolerance."""
    return [name for name, (a, b) in solution.missed.items() if abs(a - b) > config.tolerance + MISS]


def _most_tokens(are_met: Callable[[float], bool], met: float, bound: float, missed: int) -> int:
    """The most whole tokens at which the targets are met within the tolerance, by halving: with one more they are not.
    They are at `met`, not at `missed`, and hardly beyond `bound`. 0 where that is less than a token."""
    low, high = int(met), missed
    if low and not are_met(float(low)):
        return 0
    # what one target limits is met up to the bound: no halving of millions
    guesses = [int(bound * (1 - 10 * SLACK)), int(bound * (1 + 10 * SLACK)) + 1]
    while high - low > 1:
        size = guesses.pop() if guesses else (low + high) // 2
        if low < size < high:
            low, high = (size, high) if are_met(float(size)) else (low, size)
    return low


def _ask_for(tokens: int, then: str = "") -> str:
    return f"ask for at most {tokens:,} tokens, {then}" if tokens else ""


def _too_far(solution: MixtureSolution, name: str, config: DrawConfig, met_at: int) -> UsageError:
    """For a target that is missed beyond the tolerance. `met_at`: the most tokens that meet all; 0: no size does."""
    asked, planned = solution.planned[name]
    return UsageError(
        f"target {name} = {asked:g} is missed by more than the tolerance of {config.tolerance:g}: "
        f"{planned:.4g} is possible, limited by {listed(solution.limits_of[name])}; {_ask_for(met_at)}loosen one of "
        "these, or raise tolerance"
    )


def _solve(
    pool: Pool,
    hard: list[Constraint],
    tokens: float,
    targets: Sequence[Target],
    aimed: Floats,
    attained: Floats,
    limits: tuple[str, ...],
) -> MixtureSolution:
    """Problem 4 for a mixture of `tokens` tokens."""
    natural = pool.supply / pool.supply.sum()
    matrix = np.stack([each.coefficients for each in hard])
    bounds = np.array([each.bound(tokens) for each in hard])
    raked = _raked(natural, hard, bounds, aimed, attained)
    shares = _nearest_shares(raked, matrix, bounds, aimed, attained)
    slacks = matrix @ shares - bounds
    # floors and caps are loosened by the slack of problem 4; epochs are relative to what a group has
    room = [TIGHT * abs(bound) if each.kind == "epochs" else 10 * SLACK for each, bound in zip(hard, bounds)]
    tight = [each for each, slack, most in zip(hard, slacks, room) if slack <= most and each.name]
    planned = {
        target.name: (float(target.share), round(float(share), 6)) for target, share in zip(targets, aimed @ shares)
    }
    members = {target.name: row > 0 for target, row in zip(targets, aimed)}
    return MixtureSolution(
        drawn=tuple(_rounded(share * tokens, most) for share, most in zip(shares, pool.capacity)),
        tokens=tokens,
        binding=tuple(sorted({each.name for each in tight} | set(limits))),
        in_binding_floor=_members_of(tight, "floor", len(natural)),
        in_binding_cap=_members_of(tight, "cap", len(natural)),
        planned=planned,
        limits_of={
            name: _limits_of(tight, members[name], share < asked)
            for name, (asked, share) in planned.items()
            if abs(asked - share) > MISS
        },
    )


def _members_of(tight: Sequence[Constraint], kind: str, count: int) -> tuple[bool, ...]:
    """For each group, whether a binding constraint of this kind counts it."""
    rows = [each.coefficients != 0 for each in tight if each.kind == kind]
    return tuple(bool(value) for value in np.any(rows, axis=0)) if rows else (False,) * count


def _limits_of(tight: Sequence[Constraint], members: npt.NDArray[np.bool_], is_short: bool) -> tuple[str, ...]:
    """What keeps a target's share down: caps on its groups, and floors on others. What keeps it up: the reverse."""
    if not members.any():
        return ("the pool, which has nothing of it",)
    found = []
    for each in tight:
        on_members, on_others = ((each.coefficients != 0) & part for part in (members, ~members))
        holds_down = each.kind in ("epochs", "cap")
        if (on_members if holds_down == is_short else on_others).any():
            found.append(each.name)
    return tuple(sorted(set(found))) or ("the other targets",)


def _rounded(value: float, most: float) -> float:
    """Rounded to seven digits, so that the plan does not depend on the last bits of a linear algebra library."""
    return most if value >= most * (1 - TIGHT) else float(f"{value:.7g}")


def _closest(pool: Pool, hard: list[Constraint], tokens: float, aimed: Floats, aims: Floats) -> Floats:
    """The attainable shares of the targets nearest to `aims` in a mixture of `tokens` tokens, shape (targets,).

    Misses, divided by the root of the ridge, are variables of their own, which makes the problem a nearest point.
    """
    if not len(aims):
        return aims
    natural = pool.supply / pool.supply.sum()
    matrix = np.stack([each.coefficients for each in hard])
    bounds = np.array([each.bound(tokens) for each in hard])
    count, identity = len(natural), np.eye(len(aims)) * _RIDGE**0.5
    padded = np.hstack([matrix, np.zeros((len(matrix), len(aims)))])
    rows = np.vstack([padded, np.hstack([aimed, -identity]), np.hstack([-aimed, identity])])
    nearest = nearest_point(np.concatenate([natural, np.zeros(len(aims))]), rows, np.concatenate([bounds, aims, -aims]))
    return aimed @ np.maximum(nearest[:count], 0.0)


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
    # Constraints on several groups are loosened by the slack, so that rounding in the problems before cannot make
    # this one infeasible.
    slack = np.where((matrix != 0).sum(axis=1) > 1, SLACK, 0.0)
    rows = np.vstack([matrix, aimed, -aimed]) * root
    limits = np.concatenate([bounds - slack, attained - 2 * SLACK, -attained - 2 * SLACK])
    return np.maximum(nearest_point(root, rows, limits), 0.0) * root
