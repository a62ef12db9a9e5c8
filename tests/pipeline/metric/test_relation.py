"""The fitted relation and its errors, on lines that are known."""

import numpy as np
import pytest

from pipeline.metric.intervals import interval, resampled_ratio
from pipeline.metric.relation import LEAST, left_out, relation, spearman


def test_a_line_is_found_with_its_interval() -> None:
    random = np.random.Generator(np.random.Philox(3))
    x, z = random.uniform(1, 4, (2, 30))
    y = 0.5 + 2 * x - 0.25 * z + random.normal(0, 0.05, 30)
    found = relation(y, {"x": x, "z": z})
    assert found is not None and found["cells"] == 30
    for name, value in (("x", 2.0), ("z", -0.25)):
        each = found["coefficients"][name]
        assert each["low"] < value < each["high"] and each["value"] == pytest.approx(value, abs=0.05)
    assert found["r2"] > 0.99 and found["spearman"] > 0.98 and found["error"] < 0.1 < found["error_of_mean"]


def test_the_one_left_out_is_not_fitted_on() -> None:
    x = np.arange(6.0)
    y = x.copy()
    y[5] = 100.0
    errors = left_out(x[:, None], y)
    assert errors[5] == pytest.approx(-95.0)  # the other five say 5
    assert left_out(x[:, None][:, :0], y)[5] == pytest.approx(2.0 - 100.0)


@pytest.mark.parametrize("count", [0, 1, LEAST - 1])
def test_few_distributions_have_no_relation(count: int) -> None:
    x = np.arange(float(count))
    assert relation(x, {"x": x}) is None


def test_equal_distances_have_no_relation() -> None:
    assert relation(np.arange(9.0), {"x": np.ones(9)}) is None


def test_ranks() -> None:
    assert spearman([1, 2, 3], [10, 20, 15]) == pytest.approx(0.5)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_the_interval_holds_the_mean_and_narrows_with_documents() -> None:
    random = np.random.Generator(np.random.Philox(5))
    widths = []
    for count in (20, 2000):
        size = random.uniform(50, 150, count)
        bits = size * random.normal(2.0, 0.3, count)
        low, high = interval(resampled_ratio(bits, size))
        assert low is not None and high is not None
        assert low < bits.sum() / size.sum() < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_one_document_has_no_interval() -> None:
    assert interval(resampled_ratio(np.ones(1), np.ones(1))) == (None, None)
