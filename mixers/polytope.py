"""The point of a polytope that is nearest to a given one: the only solver that a draw needs.

min |x - x0|^2 subject to G x >= h, by the dual active-set method of Goldfarb and Idnani (Mathematical Programming 27,
1983) with the identity as Hessian. It begins at x0 and adds the most violated row until none is: exact, deterministic
and finite. When there is no such point it gives the proof: a combination of rows with weights >= 0 that says
0 >= something positive (Farkas). Sizes here are hundreds of variables and rows.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-9
_DEPENDENT = 1e-8


class Infeasible(Exception):
    """No point satisfies all rows. `proof`: weights >= 0, one per row, with proof @ G = 0 and proof @ h > 0."""

    def __init__(self, proof: Floats) -> None:
        super().__init__("no point satisfies all rows")
        self.proof = proof


def nearest_point(x0_N: Floats, G_MN: Floats, h_M: Floats) -> Floats:
    """Raises `Infeasible`. Rows hold to within `TOLERANCE` times the length of the row."""
    lengths = np.linalg.norm(G_MN, axis=1)
    empty = lengths == 0.0
    if (empty & (h_M > TOLERANCE)).any():
        raise Infeasible(np.eye(len(h_M))[int(np.argmax(empty & (h_M > TOLERANCE)))])
    scale = np.where(empty, 1.0, lengths)
    rows, bounds = G_MN / scale[:, None], h_M / scale
    active: list[int] = []
    x, weights = x0_N.copy(), np.zeros(0)
    # The method is finite; the bound turns a numerical cycle into a loud failure.
    for _ in range(100 * (len(x0_N) + len(h_M))):
        violation = np.where(empty, -np.inf, bounds - rows @ x)
        worst = int(np.argmax(violation)) if len(violation) else -1
        if worst < 0 or violation[worst] <= TOLERANCE:
            return x
        active, weights = _add_row(rows, bounds, x, active, weights, worst, scale)
        # Not x0 + weights @ rows: large weights that cancel would leave x beside the rows it lies on.
        tight = rows[active]
        x = x0_N + np.linalg.lstsq(tight, bounds[active] - tight @ x0_N, rcond=None)[0]
    raise AssertionError("the active-set method did not end")


def _add_row(
    rows: Floats, bounds: Floats, x: Floats, active: list[int], weights: Floats, new: int, scale: Floats
) -> tuple[list[int], Floats]:
    """Make row `new` hold, letting go of active rows whose weight would turn negative."""
    active, weights, weight = list(active), weights.copy(), 0.0
    while True:
        # How the active weights must fall as the new row's rises, and the direction in which x then moves.
        fall = np.linalg.lstsq(rows[active].T, rows[new], rcond=None)[0] if active else np.zeros(0)
        direction = rows[new] - fall @ rows[active] if active else rows[new]
        norm = float(direction @ direction)
        falling = np.flatnonzero(fall > 1e-12)
        limits = weights[falling] / fall[falling]
        first = int(np.argmin(limits)) if len(limits) else -1
        stop = float(limits[first]) if first >= 0 else np.inf
        if norm <= _DEPENDENT**2:
            if first < 0:
                proof = np.zeros(len(bounds))
                proof[active], proof[new] = np.maximum(-fall, 0.0), 1.0
                raise Infeasible(proof / scale)
            step, reached = stop, False
        else:
            wanted = float(bounds[new] - rows[new] @ x) / norm
            step, reached = (wanted, True) if wanted <= stop else (stop, False)
            x = x + step * direction
        weights = np.maximum(weights - step * fall, 0.0)
        weight += step
        if reached:
            return [*active, new], np.append(weights, weight)
        drop = int(falling[first])
        del active[drop]
        weights = np.delete(weights, drop)
