"""Curves of several sizes, divided by their final losses, fall onto one, which tells a run's end and when it is ill."""

import json

import numpy as np
import pytest

from infra.errors import UsageError
from tests.trainer.scaling.made import PEAK
from trainer.scaling.collapse import ALARM, CollapsedCurve, collapse, collapses
from trainer.scaling.curves import Curve


def run(steps: int, scale: float, seed: int, noise: float = 0.004, decay: float = 0.2) -> Curve:
    """A run whose loss is a multiple of one curve of its fraction, but for a small difference of its own."""
    at = np.arange(1.0, steps + 1) / steps
    own = 1 + 0.004 * np.random.default_rng(seed).uniform(-1, 1) * (1 - at)
    rates = PEAK * np.minimum(1.0, np.minimum(at / 0.02, (1 - at) / decay + 1e-3))
    losses = scale * (1.0 + 0.12 * at**-0.4 - 0.12 + 0.1 * np.clip(1 - at, 0, decay)) * own
    return Curve(at * steps, rates, f"r{seed}", losses + noise * np.random.default_rng(seed).standard_normal(steps))


def small() -> list[Curve]:
    return [run(400, 3.6, 1), run(800, 3.3, 2), run(1600, 3.0, 3)]


def at(curve: Curve, until: float) -> tuple[np.ndarray, np.ndarray]:
    """In means over a hundredth of the run."""
    wide = curve.steps.size // 100
    steps, losses = (each[: wide * 100].reshape(100, wide).mean(1) for each in (curve.steps, curve.losses))
    some = steps <= until * curve.steps[-1]
    return steps[some] / curve.steps[-1], losses[some]


@pytest.mark.parametrize("part", [0.1, 0.2, 0.3])
def test_the_first_part_of_a_larger_run_tells_its_end(part: float) -> None:
    errors, held = [], []
    for seed in range(20):
        large = run(6400, 2.7 - 0.02 * seed, 100 + seed)
        loss, half = collapse(small()).predict(*at(large, part))
        end = float(large.losses[-128:].mean())
        errors.append(abs(loss / end - 1))
        held.append(abs(loss - end) <= half)
    assert np.mean(errors) < 0.004 and np.mean(held) >= 0.7


def test_a_departure_is_told_and_a_sound_run_has_none() -> None:
    curve, sound = collapse(small()), run(6400, 2.7, 7)
    for until in (0.1, 0.3, 0.6, 0.9):
        assert abs(curve.departure_of(*at(sound, until), 0.0005)) < ALARM
    fractions, losses = at(sound, 0.5)
    losses[-1] *= 1.05
    assert curve.departure_of(fractions, losses, 0.0005) > ALARM
    assert curve.departure_of(fractions[:1], losses[:1], 0.0005) == 0.0


def test_a_schedule_is_known_by_its_fractions() -> None:
    curve = collapse(small())
    assert curve.of_schedule(run(5000, 2.0, 1)) and not curve.of_schedule(run(5000, 2.0, 1, decay=0.5))
    with pytest.raises(UsageError, match="these have several"):
        collapse([run(400, 3.0, 1), run(400, 3.0, 2, decay=0.5)])
    with pytest.raises(UsageError, match=r"from 5% of its steps on: it has 2\.0%"):
        curve.predict(np.array([0.02]), np.array([3.0]))


def test_runs_of_one_name_and_schedule_collapse() -> None:
    a, b, c = small()
    other = run(800, 3.0, 5, decay=0.5)
    late = Curve(a.steps[200:], a.rates[200:], "late", a.losses[200:])
    sizes = {"1M": {"x": a, "y": a, "z": late, "one": a}, "4M": {"x": b, "y": other, "z": late}, "9M": {"x": c}}
    found = collapses(sizes)
    assert [*found] == ["x"]
    again = CollapsedCurve.from_json(json.loads(json.dumps(found["x"].as_json())))
    assert again.predict(*at(c, 0.3)) == found["x"].predict(*at(c, 0.3))


def test_one_run_alone_is_its_own_curve() -> None:
    large = run(6400, 2.7, 9)
    loss, half = collapse(small()[:1]).predict(*at(large, 0.3))
    assert abs(loss - large.losses[-128:].mean()) < half
