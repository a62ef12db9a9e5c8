"""Which source each sequence is of."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from tests.trainer.data.made import Made, write_made
from trainer.data.documents import DocumentTable
from trainer.data.mixture import Blend, MixtureSchedule, MixtureStage, mixture_from_json, mixture_json, whole_shares
from trainer.data.tokens import TokenDataset

NAMES = ["c", "a", "b", "d"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> DocumentTable:
    rows = [Made("1", "web", 60), Made("2", "books", 10, 2), Made("3", "code", 20), Made("4", "none", 5, 0)]
    return TokenDataset(write_made(tmp_path_factory.mktemp("mixture") / "d", rows)).documents


def drawn_by_hand(weights: dict[str, int], count: int) -> list[str]:
    """The rule as it is said: the largest deficit, ties to the first name."""
    total, draws = sum(weights.values()), dict.fromkeys(sorted(weights), 0)
    found = []
    for i in range(1, count + 1):
        behind = {name: weights[name] * i - total * n for name, n in draws.items() if weights[name]}
        name = max(behind, key=lambda each: behind[each])
        draws[name] += 1
        found.append(name)
    return found


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any), st.integers(0, 50))
def test_the_source_that_is_furthest_behind_is_drawn(weights: list[int], first: int) -> None:
    given_weights = dict(zip(NAMES, weights, strict=True))
    exact = whole_shares({name: float(weight) for name, weight in given_weights.items()})
    blend = Blend(NAMES, {name: float(weight) for name, weight in given_weights.items()})
    by_hand = drawn_by_hand(exact, first + 40)
    assert [NAMES[i] for i in blend.sources(first, 40).tolist()] == by_hand[first:]
    for i, name in enumerate(NAMES):
        assert blend.count(i, first) == by_hand[:first].count(name)


def test_draws_repeat_after_a_period_and_are_found_by_number() -> None:
    blend = Blend(["a", "b"], {"a": 3.0, "b": 1.0})
    assert blend.period == 4
    order = blend.sources(0, 12)
    assert (order[:4] == order[4:8]).all() and (order == 0).sum() == 9
    for source in (0, 1):
        places = np.flatnonzero(order == source).tolist()
        assert [blend.find(source, number) for number in range(len(places))] == places


def test_small_weights_are_kept() -> None:
    shares = whole_shares({"a": 1.0, "b": 1e-9, "c": 0.0, "d": 0.5})
    assert shares["b"] == 1 and shares["c"] == 0
    assert shares["a"] == pytest.approx(2 * shares["d"], rel=1e-4)


def test_weights_default_to_tokens_times_repeats_and_change_by_schedule(table: DocumentTable) -> None:
    stages = (MixtureStage(10, {"code": 1, "web": 1}), MixtureStage(20, {"books": 2.5}))
    mixture = MixtureSchedule(mixture_from_json(mixture_json(stages)), table, 5)
    names = [table.sources[i].name for i in mixture.sources(0, 150).tolist()]
    assert [names[:50].count(name) for name in ("web", "books", "code", "none")] == [30, 10, 10, 0]
    assert [names[50:100].count(name) for name in ("web", "books", "code")] == [25, 0, 25]
    assert set(names[100:]) == {"books"}
    assert mixture.sources(45, 10).tolist() == mixture.sources(0, 150)[45:55].tolist()
    for i, source in enumerate(table.sources):
        assert mixture.count(i, 30, 130) == names[30:130].count(source.name)
        places = [place for place in range(30, 130) if names[place] == source.name]
        assert [mixture.find(i, 30, 130, number) for number in range(len(places))] == places


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((MixtureStage(0, {"weg": 1}),), "no source 'weg'; its sources are 'web', 'books', 'code', 'none'"),
        ((MixtureStage(3, {"web": -1}),), "from step 3: the weight of 'web' is -1"),
        ((MixtureStage(3, {"web": float("nan")}),), "must be 0 or more"),
        ((MixtureStage(3, {"web": 0}),), "no weight is over 0"),
        ((MixtureStage(3, {"none": 1}),), "no document of 'none' has repeats"),
        ((MixtureStage(3, {"web": 1}), MixtureStage(3, {"web": 1})), "larger than the one before"),
    ],
)
def test_bad_mixtures_are_named(table: DocumentTable, stages: tuple[MixtureStage, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MixtureSchedule(stages, table, 4)


def test_weights_of_the_past_may_name_what_the_dataset_has_not(table: DocumentTable) -> None:
    stages = (MixtureStage(0, {"gone": 1}), MixtureStage(8, {"web": 1}))
    assert set(MixtureSchedule(stages, table, 4, from_step=8).sources(32, 10).tolist()) == {0}
    with pytest.raises(UsageError, match="'gone'"):
        MixtureSchedule(stages, table, 4, from_step=7)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    table = TokenDataset(write_made(tmp_path / "d", [Made("1", "web", 5, 0)])).documents
    with pytest.raises(UsageError, match="repeats 0"):
        MixtureSchedule((), table, 1)
