"""The nearest point is feasible and optimal, or there is a proof that no point is feasible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixers.polytope import Infeasible, nearest_point


@pytest.mark.parametrize(
    ("point", "rows", "bounds", "nearest"),
    [
        ([0, 0], [[1, 1]], [2], [1, 1]),
        ([0.25, 0.75], [[1, 0], [0, 1]], [0, 0], [0.25, 0.75]),  # inside: it stays
        ([0.9, 0.9], [[1, 1], [-1, -1], [-1, 0]], [1, -1, -0.2], [0.2, 0.8]),  # an equality as two rows, and a bound
    ],
)
def test_by_hand(point: list[float], rows: list[list[float]], bounds: list[float], nearest: list[float]) -> None:
    x0, matrix, least = (np.array(each, float) for each in (point, rows, bounds))
    assert np.allclose(nearest_point(x0, matrix, least), nearest)


def test_a_row_of_zeros_that_asks_for_something() -> None:
    with pytest.raises(Infeasible) as caught:
        nearest_point(np.zeros(2), np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([0.0, 0.5]))
    assert caught.value.certificate.tolist() == [0.0, 1.0]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 8), m=st.integers(1, 14))
def test_optimal_or_proven_infeasible(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    x0, rows = rng.normal(size=n), rng.integers(-2, 3, (m, n)).astype(float)
    bounds = rng.normal(size=m)
    try:
        x = nearest_point(x0, rows, bounds)
    except Infeasible as infeasible:
        assert (infeasible.certificate >= 0).all()
        assert np.allclose(infeasible.certificate @ rows, 0, atol=1e-6)
        assert infeasible.certificate @ bounds > 0
        return
    lengths = np.linalg.norm(rows, axis=1)
    assert (rows @ x >= bounds - 1e-8 * np.maximum(lengths, 1)).all()
    # Optimal: no feasible point lies beyond the plane through x that faces x0.
    tight = rows[np.abs(rows @ x - bounds) <= 1e-7]
    weights = np.linalg.lstsq(tight.T, x - x0, rcond=None)[0] if len(tight) else np.zeros(0)
    assert np.allclose(weights @ tight if len(tight) else 0.0, x - x0, atol=1e-6)
    for other in rng.normal(scale=5, size=(200, n)):
        if (rows @ other >= bounds).all():
            assert (x - x0) @ (other - x) >= -1e-6
