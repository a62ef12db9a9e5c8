"""How many epochs of each (source, domain) group make the mixture that was asked for.

With s_g the share of group g in the mixture, a_g its share in the pool and T tokens in all, floors, caps, epoch caps
and the bands around targets are linear in s for a given T. Three questions are asked of them in this order:

1. How large can T be? Each T that cannot be has a proof (Farkas), a sum of rows whose bound on T is the next to try;
   after a few proofs T is the largest possible, and the last proof names what limits it.
2. How near can the targets be met? The least squares of their misses.
3. Among the mixtures that meet them so, which is most like the pool? The pool is raked (Deming and Stephan 1940): its
   groups scaled by source and by domain in turn, so that proportions inside each stay and no group is left out while
   others repeat; then the nearest point to that in chi-square distance satisfies every row exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from infra.errors import UsageError
from mixers.domains import domains_of
from mixers.polytope import Floats, Infeasible, nearest_point
from mixers.targets import DrawConfig

# Weight of staying near the pool against meeting targets in question 2: misses are right to about this much.
_RIDGE = 1e-6
# Shares that question 2 found are kept to this much in question 3; also by how much T stays below its bound.
_SLACK = 1e-6
# A row this near to its bound, relatively, binds; epochs this near to their cap are the cap.
_TIGHT = 1e-5
_RAKING_ROUNDS = 100
_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Row:
    """coefficients @ s >= constant + per_token / T. `name` is empty for what goes without saying (shares sum to 1)."""

    name: str
    coefficients: Floats
    constant: float
    per_token: float = 0.0
    kind: Literal["shares", "epochs", "floor", "cap", "target"] = "shares"

    def bound(self, tokens: float) -> float:
        return self.constant + self.per_token / tokens


@dataclass(frozen=True)
class Balance:
    """epochs: for each group, in the order given. tokens: planned size. binding: the names of what holds it there.

    under_floor: the groups that a binding floor speaks of. missed: target -> (asked, planned), where they differ.
    """

    epochs: tuple[float, ...]
    tokens: float
    binding: tuple[str, ...]
    under_floor: tuple[bool, ...]
    missed: dict[str, tuple[float, float]]


def balance(groups: Sequence[tuple[str, str]], available: Sequence[int], config: DrawConfig) -> Balance:
    """Solve the draw for groups (source, domain) that hold `available` tokens each, all more than 0.

    UsageError when nothing satisfies the configuration: it names the rows that contradict each other.
    """
    if not groups:
        raise UsageError("there is nothing to draw from: no document of the pool has a token")
    supply = np.array(available, dtype=np.float64)
    assert (supply > 0).all()
    rows = _rows(groups, supply, config)
    largest, limits = _largest(rows, supply, config)
    tokens = largest
    if config.tokens is not None and config.tokens < largest:
        tokens, limits = float(config.tokens), ()
    elif config.tokens is not None and config.tokens > largest * (1 + 10 * _SLACK):
        raise UsageError(
            f"a mixture of {config.tokens:,} tokens is not possible: it is limited by {_listed(limits)}; "
            f"ask for at most {int(largest):,} tokens, or loosen one of these"
        )
    return _solve(groups, supply, rows, tokens, limits, config)


def _rows(groups: Sequence[tuple[str, str]], supply: Floats, config: DrawConfig) -> list[Row]:
    count = len(groups)
    one = np.ones(count)
    rows = [Row("", one, 1.0), Row("", -one, -1.0)]
    rows += [Row("", unit, 0.0) for unit in np.eye(count)]
    for (source, domain), tokens, unit in zip(groups, supply, np.eye(count)):
        cap = config.epochs_cap(source, domain)
        name = f"max_epochs {cap:g} of {source}/{domain} ({int(tokens):,} tokens)"
        rows.append(Row(name, -unit, 0.0, -cap * tokens, "epochs"))
    for source, share in sorted(config.min_source_share.items()):
        members = _of_source(groups, source)
        rows.append(Row(f"min_source_share {source} = {share:g}{_nothing(members)}", members, share, kind="floor"))
    for source, share in sorted(config.max_source_share.items()):
        rows.append(Row(f"max_source_share {source} = {share:g}", -_of_source(groups, source), -share, kind="cap"))
    for key, share in sorted(config.min_share.items()):
        members = _of_domain(groups, key)
        rows.append(Row(f"min_share {key} = {share:g}{_nothing(members)}", members, share, kind="floor"))
    for key, share in sorted(config.max_share.items()):
        rows.append(Row(f"max_share {key} = {share:g}", -_of_domain(groups, key), -share, kind="cap"))
    for key, share in sorted(config.targets.items()):
        members = _of_domain(groups, key)
        name = f"target {key} = {share:g} within {config.tolerance:g}{_nothing(members)}"
        rows.append(Row(name, members, share - config.tolerance, kind="target"))
        rows.append(Row(name, -members, -share - config.tolerance, kind="target"))
    return rows


def _of_source(groups: Sequence[tuple[str, str]], source: str) -> Floats:
    return np.array([float(group[0] == source) for group in groups])


def _of_domain(groups: Sequence[tuple[str, str]], name: str) -> Floats:
    members = domains_of(name)
    return np.array([float(group[1] in members) for group in groups])


def _nothing(members: Floats) -> str:
    return "" if members.any() else " (the pool has nothing of it)"


def _largest(rows: list[Row], supply: Floats, config: DrawConfig) -> tuple[float, tuple[str, ...]]:
    """The largest total that the rows allow, and the names of the rows that limit it. UsageError when there is none."""
    matrix, natural = np.stack([row.coefficients for row in rows]), supply / supply.sum()
    tokens, limits = -sum(row.per_token for row in rows), tuple(row.name for row in rows if row.kind == "epochs")
    # Each proof is a vertex of a polyhedron: there are finitely many, and T falls with each.
    for _ in range(10_000):
        if tokens < 1:
            raise UsageError(
                f"no mixture of this pool, of any size, satisfies {_listed(limits)}; "
                f"loosen one of these{', or raise tolerance' if config.targets else ''}"
            )
        try:
            nearest_point(natural, matrix, np.array([row.bound(tokens) for row in rows]))
            return tokens, limits
        except Infeasible as infeasible:
            limits = _names(rows, infeasible.proof)
            constant = sum(weight * row.constant for weight, row in zip(infeasible.proof, rows))
            per_token = sum(weight * row.per_token for weight, row in zip(infeasible.proof, rows))
        # The proof says constant + per_token / T <= 0.
        tokens = min(-per_token / constant if constant > 0 else 0.0, tokens) * (1 - _SLACK)
    raise AssertionError("the search for the largest total did not end")


def _solve(
    groups: Sequence[tuple[str, str]],
    supply: Floats,
    rows: list[Row],
    tokens: float,
    limits: tuple[str, ...],
    config: DrawConfig,
) -> Balance:
    natural = supply / supply.sum()
    matrix, bounds = np.stack([row.coefficients for row in rows]), np.array([row.bound(tokens) for row in rows])
    targets = sorted(config.targets)
    aims = np.array([config.targets[name] for name in targets])
    aimed = np.stack([_of_domain(groups, name) for name in targets]) if targets else np.zeros((0, len(groups)))
    attained = _closest(natural, matrix, bounds, aimed, aims)
    raked = _raked(natural, rows, bounds, aimed, attained)
    shares = _nearest_shares(raked, matrix, bounds, aimed, attained)
    tight = [row for row, slack, bound in zip(rows, matrix @ shares - bounds, bounds) if slack <= _TIGHT * abs(bound)]
    floors = [row.coefficients > 0 for row in tight if row.kind == "floor"]
    planned = aimed @ shares
    return Balance(
        epochs=tuple(
            _epochs(share * tokens / has, config.epochs_cap(*group))
            for group, share, has in zip(groups, shares, supply)
        ),
        tokens=tokens,
        binding=tuple(sorted({row.name for row in tight if row.kind in ("epochs", "floor", "cap")} | set(limits))),
        under_floor=tuple(bool(value) for value in np.any(floors, axis=0)) if floors else (False,) * len(groups),
        missed={
            name: (float(aim), round(float(share), 6))
            for name, aim, share in zip(targets, aims, planned)
            if abs(aim - share) > 10 * _SLACK
        },
    )


def _epochs(value: float, cap: float) -> float:
    """Seven digits: the plan is the same where the last bits of a linear algebra library are not."""
    return cap if value >= cap * (1 - _TIGHT) else float(f"{value:.7g}")


def _closest(natural: Floats, matrix: Floats, bounds: Floats, aimed: Floats, aims: Floats) -> Floats:
    """The shares of the targets that come nearest to `aims`.

    Misses, divided by the root of the ridge, are variables of their own, so that the problem is a nearest point.
    """
    if not len(aims):
        return aims
    count, identity = len(natural), np.eye(len(aims)) * _RIDGE**0.5
    padded = np.hstack([matrix, np.zeros((len(matrix), len(aims)))])
    rows = np.vstack([padded, np.hstack([aimed, -identity]), np.hstack([-aimed, identity])])
    nearest = nearest_point(np.concatenate([natural, np.zeros(len(aims))]), rows, np.concatenate([bounds, aims, -aims]))
    return aimed @ nearest[:count]


def _raked(natural: Floats, rows: list[Row], bounds: Floats, aimed: Floats, attained: Floats) -> Floats:
    """The pool's shares, scaled row by row towards what the rows ask. Positive, and only nearly right."""
    shares = natural.copy()
    for _ in range(_RAKING_ROUNDS):
        before = shares
        for row, bound in zip(rows, bounds):
            now = float(row.coefficients @ shares)
            # What a row of one sign asks of the sum of its members; both signs come to `bound / now`.
            if row.name and now < bound and now != 0.0:
                shares = np.where(row.coefficients != 0, shares * max(bound / now, 1e-12), shares)
        for members, share in zip(aimed, attained):
            now = float(members @ shares)
            shares = np.where(members > 0, shares * max(share / now, 1e-12), shares) if now > 0 else shares
        shares = np.maximum(shares / shares.sum(), 1e-12 * natural)
        if np.abs(shares - before).max() <= 1e-12:
            break
    return shares


def _nearest_shares(raked: Floats, matrix: Floats, bounds: Floats, aimed: Floats, attained: Floats) -> Floats:
    """The shares nearest to `raked` that satisfy all rows: least sum of (s_g - r_g)^2 / r_g.

    In s_g / sqrt(r_g) that is the distance to sqrt(r), a nearest point.
    """
    root = np.sqrt(raked)
    # Rows over several groups give way by the slack, so that rounding in question 2 cannot contradict question 3.
    slack = np.where((matrix != 0).sum(axis=1) > 1, _SLACK, 0.0)
    rows = np.vstack([matrix, aimed, -aimed]) * root
    limits = np.concatenate([bounds - slack, attained - _SLACK, -attained - _SLACK])
    return np.maximum(nearest_point(root, rows, limits), 0.0) * root


def _names(rows: list[Row], weights: Floats) -> tuple[str, ...]:
    floor = 1e-9 * float(weights.max())
    return tuple(sorted({row.name for row, weight in zip(rows, weights) if row.name and weight > floor}))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES_SHOWN
    return "; ".join(names[:_NAMES_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
