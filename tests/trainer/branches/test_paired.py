"""Paired bootstrap: intervals that hold as often as they say, and ranks."""

import numpy as np
import pytest

from trainer.branches.paired import MOST_UNITS, paired_differences, spearman, summed_units


def documents(seed: int, count: int, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits of a method and of the control, and bytes: documents differ far more than the methods do."""
    random = np.random.default_rng(seed)
    size = random.lognormal(6.0, 1.0, count)
    control = size * random.normal(2.0, 0.4, count)
    return control + size * (effect + random.normal(0.0, 0.02, count)), control, size


def test_the_difference_is_of_totals_and_the_interval_is_narrower_than_the_documents_are_apart() -> None:
    bits, control, size = documents(1, 300, -0.01)
    found = paired_differences(bits[None], control, size, np.ones((1, 300), bool), 0.95)
    difference, low, high = (float(part[0, 0]) for part in found)
    assert difference == pytest.approx((bits.sum() - control.sum()) / size.sum())
    assert low < difference < high < 0 and high - low < 0.02


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = []
    for seed in range(120):
        bits, control, size = documents(seed, 150, -0.01)
        found = paired_differences(bits[None], control, size, np.ones((1, 150), bool), 0.8, seed)
        held.append(found.low[0, 0] <= -0.01 <= found.high[0, 0])
    assert 0.68 <= np.mean(held) <= 0.9


def test_groups_and_methods_are_apart() -> None:
    bits, control, size = documents(2, 100, 0.0)
    groups = np.stack([np.ones(100, bool), np.arange(100) < 50, np.arange(100) == 7, np.zeros(100, bool)])
    found = paired_differences(np.stack([bits, control, control + size]), control, size, groups, 0.95)
    assert found.difference[1].tolist()[:3] == [0.0, 0.0, 0.0]
    assert found.difference[2, :3] == pytest.approx([1.0] * 3) and found.high[2, 0] == pytest.approx(1.0)
    half = groups[1]
    assert found.difference[0, 1] == pytest.approx((bits - control)[half].sum() / size[half].sum())
    assert np.isnan(found.low[:, 2]).all() and np.isnan(found.difference[:, 3]).all()


def test_many_documents_are_resampled_in_parts_with_the_same_interval() -> None:
    bits, control, size = documents(3, 3 * MOST_UNITS, -0.001)
    values = np.stack([bits - control, size], 1)
    assert len(summed_units(values)) == MOST_UNITS and summed_units(values).sum(0) == pytest.approx(values.sum(0))
    found = paired_differences(bits[None], control, size, np.ones((1, len(bits)), bool), 0.95)
    residual = values[:, 0] - found.difference[0, 0] * size
    by_theory = 2 * 1.96 * np.sqrt(np.sum(residual**2)) / size.sum()
    assert found.high[0, 0] - found.low[0, 0] == pytest.approx(by_theory, rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    bits, control, size = documents(4, 60, 0.0)
    a, b = (paired_differences(bits[None], control, size, np.ones((1, 60), bool), 0.95, 9) for _ in range(2))
    assert np.array_equal(a.low, b.low) and np.array_equal(a.high, b.high)


def test_ranks() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 90.0])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None
