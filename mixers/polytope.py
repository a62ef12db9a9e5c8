"""Projects a point onto a polytope: the only optimisation problem that a mixture needs.

Minimises |x - x0|^2 subject to G x >= h with the dual active-set method of Goldfarb and Idnani (Mathematical
Programming 27, 1983) and the identity as Hessian. Starts at x0 and makes the most violated row hold until none is
violated: exact, deterministic and finite. When no point satisfies all rows, it returns a Farkas certificate: weights
>= 0 whose combination of the rows reads 0 >= c with c > 0. Problems here have hundreds of variables and rows.

Shapes: N variables, M rows.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-9
_DEPENDENT = 1e-8


class Infeasible(Exception):
    """No point satisfies all rows. `certificate`: weights >= 0, shape (M,), with certificate @ G = 0 and
    certificate @ h > 0."""

    def __init__(self, certificate: Floats) -> None:
        super().__init__("no point satisfies all rows")
        self.certificate = certificate


def nearest_point(x0_N: Floats, G_MN: Floats, h_M: Floats) -> Floats:
    """The x of least |x - x0| with G x >= h, shape (N,). Each row holds to within `TOLERANCE` times its norm.

    Raises `Infeasible` when no point satisfies all rows.
    """
    lengths = np.linalg.norm(G_MN, axis=1)
    empty = lengths == 0.0
    if (empty & (h_M > TOLERANCE)).any():
        raise Infeasible(np.eye(len(h_M))[int(np.argmax(empty & (h_M > TOLERANCE)))])
    scale = np.where(empty, 1.0, lengths)
    rows, bounds = G_MN / scale[:, None], h_M / scale
    active: list[int] = []
    x, weights = x0_N.copy(), np.zeros(0)
    # The method is finite; the bound turns a numerical cycle into an error.
    for _ in range(100 * (len(x0_N) + len(h_M))):
        violation = np.where(empty, -np.inf, bounds - rows @ x)
        worst = int(np.argmax(violation)) if len(violation) else -1
        if worst < 0 or violation[worst] <= TOLERANCE:
            return x
        active, weights = _add_row(rows, bounds, x, active, weights, worst, scale)
        # Not x0 + weights @ rows: large weights that cancel would put x off its active rows.
        tight = rows[active]
        x = x0_N + np.linalg.lstsq(tight, bounds[active] - tight @ x0_N, rcond=None)[0]
    raise AssertionError("the active-set method did not end")


def _add_row(
    rows: Floats, bounds: Floats, x: Floats, active: list[int], weights: Floats, new: int, scale: Floats
) -> tuple[list[int], Floats]:
    """Make row `new` hold and drop active rows whose weight would turn negative: the new active rows and weights."""
    active, weights, weight = list(active), weights.copy(), 0.0
    while True:
        # How the active weights fall as the new row's weight rises, and the direction in which x moves.
        fall = np.linalg.lstsq(rows[active].T, rows[new], rcond=None)[0] if active else np.zeros(0)
        direction = rows[new] - fall @ rows[active] if active else rows[new]
        norm = float(direction @ direction)
        falling = np.flatnonzero(fall > 1e-12)
        limits = weights[falling] / fall[falling]
        first = int(np.argmin(limits)) if len(limits) else -1
        stop = float(limits[first]) if first >= 0 else np.inf
        if norm <= _DEPENDENT**2:
            if first < 0:
                certificate = np.zeros(len(bounds))
                certificate[active], certificate[new] = np.maximum(-fall, 0.0), 1.0
                raise Infeasible(certificate / scale)
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
