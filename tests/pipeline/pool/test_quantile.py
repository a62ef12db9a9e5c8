"""Quantile rules: exact against sorting, with ties, nulls, odd floats and small groups; every document in one state."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import open_context
from pipeline.pool.quantile import ordered_bits, value_of_bits, wanted_rank
from pipeline.stages.run import run
from pipeline.steps.pool import PoolRule
from tests.pipeline.pools import judged, pool_recipe, scored

FINITE = st.floats(allow_nan=False, allow_infinity=False)
OPTIONS = {"signal": "language_score", "keep": 0.3, "side": "low", "min_count": 1}


@given(FINITE, FINITE)
def test_bits_are_in_the_order_of_the_values(a: float, b: float) -> None:
    values = np.array([a, b]) + 0.0
    low, high = ordered_bits(values).tolist()
    assert (low < high, low == high) == (a < b, a == b)
    assert value_of_bits(low) == a


@given(st.integers(1, 10**9), st.sampled_from([0.01, 0.07, 0.1, 0.3, 0.55, 1.0, 1e-9]))
def test_the_rank_is_of_the_decimal_share_not_of_its_binary_neighbour(docs: int, keep: float) -> None:
    hundred_million = round(keep * 10**9)
    count = max(-(-docs * hundred_million // 10**9), 1)
    assert wanted_rank(docs, keep, "low") == count
    assert wanted_rank(docs, keep, "high") == docs - count + 1


CASES: dict[str, list[Any]] = {
    "spread": [random.Random(1).lognormvariate(6, 1) for _ in range(500)],
    "ties": [float(random.Random(2).randrange(7)) for _ in range(300)],
    "all equal": [4.5] * 50,
    "one": [3.0],
    "signs and extremes": [-1.0, -0.0, 0.0, 5e-324, -5e-324, 1.7e308, -1.7e308, 2.0, -2.0, 1e-300],
    "neighbours": [math.nextafter(1.0, 2.0), 1.0, math.nextafter(1.0, 0.0), 1.0 + 3e-16] * 5,
    "nulls": [None, 1.0, None, 2.0, 3.0, None],
    "not finite": [math.nan, 1.0, math.inf, 2.0, -math.inf, 3.0],
}


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("case", CASES)
def test_as_by_sorting(case: str, side: str, tmp_path: Path) -> None:
    values = CASES[case]
    dataset = judged(tmp_path, scored(values, ["en"] * len(values)), "quantile", **OPTIONS | {"side": side})
    (group,) = dataset.manifest.extra["pool"]["groups"]
    threshold, kept = exact(values, 0.3, side)
    assert (group["threshold"], group["kept"]) == (threshold, kept)
    nulls = len(values) - group["docs"]
    assert dataset.manifest.counts["out"] == kept + nulls == kept + group["unmeasured"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(FINITE | st.none(), st.sampled_from(["en", "zh", None])), min_size=1, max_size=60),
    st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    st.sampled_from(["low", "high"]),
)
def test_any_pool_by_language(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float | None, str | None]], keep: float, side: str
) -> None:
    values, languages = zip(*rows, strict=True)
    options = OPTIONS | {"keep": keep, "side": side, "min_count": 5}
    dataset = judged(tmp_path_factory.mktemp("any"), scored(values, languages), "quantile", **options)
    groups = {group["group"]: group for group in dataset.manifest.extra["pool"]["groups"]}
    assert set(groups) == {language or "und" for language in languages}
    for name, group in groups.items():
        mine = [value for value, language in rows if (language or "und") == name]
        known = [value for value in mine if value is not None]
        assert (group["docs"], group["unmeasured"]) == (len(known), len(mine) - len(known))
        if len(known) < 5:
            assert group["threshold"] is None and group["kept"] == len(known)
        else:
            assert (group["threshold"], group["kept"]) == exact(known, keep, side)
            assert group["kept"] >= math.ceil(keep * len(known) - 1e-9)
    assert dataset.manifest.counts["out"] == sum(group["kept"] + group["unmeasured"] for group in groups.values())


def test_every_rejection_is_one_row_with_value_and_threshold(tmp_path: Path) -> None:
    values = [float(i) for i in range(100)]
    rows = scored(values, ["en", "zh"] * 50)
    dataset = judged(tmp_path, rows, "quantile", **OPTIONS | {"by": "all"})
    kept, ledger = dataset.to_arrow().to_pylist(), dataset.ledger().to_pylist()
    assert [row["language_score"] for row in kept] == values[:30]
    assert Counter(row["id"] for row in [*kept, *ledger]) == Counter(row["id"] for row in rows)
    for row in ledger:
        assert (row["step"], row["rule"], row["threshold"]) == ("rule", "max_language_score", 29.0)
        assert row["value"] > 29.0
    assert dataset.manifest.rejected_by == {"rule/max_language_score": 70}
    assert dataset.verify() == []


def test_a_signal_of_the_text_is_measured_and_kept(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "word " * (i + 1), "language": "en"} for i in range(40)]
    options = {"signal": "words", "keep": 0.25, "side": "high", "min_count": 10}
    kept = judged(tmp_path, rows, "quantile", **options).to_arrow().to_pylist()
    assert [row["signals"]["words"] for row in kept] == [float(i) for i in range(31, 41)]


def test_lines_that_are_not_documents_do_not_shift_the_values(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "text": "x"} | ({} if i % 3 else {"text": 5}) | {"language_score": float(i)} for i in range(30)
    ]
    dataset = judged(tmp_path, rows, "quantile", **OPTIONS)
    assert dataset.manifest.rejected_by["read/no_text"] == 10
    assert [row["language_score"] for row in dataset.to_arrow().to_pylist()] == [1.0, 2.0, 4.0, 5.0, 7.0, 8.0]


def test_the_signals_of_earlier_stages_are_kept(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": f"three {'long' * (i + 1)} words", "language": "en"} for i in range(20)]
    first = judged(tmp_path / "a", rows, "quantile", **OPTIONS | {"signal": "words", "keep": 1.0})
    recipe = pool_recipe(tmp_path / "b.toml", "quantile", **OPTIONS | {"signal": "characters"})
    second = run(open_context(str(recipe), LocalEngine()), read_inputs([str(first.folder)]), tmp_path / "b").last
    assert second.manifest.counts["out"] == 6
    for row in second.to_arrow().to_pylist():
        assert row["signals"]["words"] == 3.0 and row["signals"]["characters"] == len(row["text"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"signal": "words", "keep": 0.3, "side": "low", "model": "x"}, "no option 'model'"),
        ({"keep": 0.3, "side": "low"}, "needs a signal"),
        ({"signal": "words", "side": "low"}, "keep is None"),
        ({"signal": "words", "keep": 0, "side": "low"}, "keep is 0"),
        ({"signal": "words", "keep": 30, "side": "low"}, "keep is 30"),
        ({"signal": "words", "keep": True, "side": "low"}, "keep is True"),
        ({"signal": "words", "keep": float("nan"), "side": "low"}, "keep is nan"),
        ({"signal": "words", "keep": 0.3}, "side is None"),
        ({"signal": "words", "keep": 0.3, "side": "low", "by": "domain"}, "by is 'domain'"),
        ({"signal": "words", "keep": 0.3, "side": "low", "min_count": 0}, "min_count is 0"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        PoolRule("head", "quantile", options).check()


def test_a_signal_that_nothing_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no document carries signals\.perplexity"):
        judged(tmp_path, scored([1.0], ["en"]), "quantile", **OPTIONS | {"signal": "perplexity"})
    with pytest.raises(UsageError, match="no signal 'perplexty'"):
        judged(tmp_path / "b", scored([1.0], ["en"]), "quantile", **OPTIONS | {"signal": "perplexty"})


def exact(values: Sequence[float | None], keep: float, side: str) -> tuple[float, int]:
    """The threshold and the number kept, by sorting."""
    known = sorted(value for value in values if value is not None and math.isfinite(value))
    count = -(-len(known) * round(keep * 1000) // 1000)
    if side == "low":
        return known[count - 1], sum(value <= known[count - 1] for value in known)
    return known[-count], sum(value >= known[-count] for value in known)
