"""Combinations in files: what was written is read, what is none is refused, and no term adds more than its largest."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.models.combination import Combination, Term, load_combination
from pipeline.models.store import CARD, shipped_models
from pipeline.recipes.parse import parse_recipe

NUMBERS = st.floats(-1e6, 1e6)
TERM = {"signal": "words", "at": [1, 2.5], "add": [0.5, 1], "missing": 0}
WHOLE = {"format": "refinery.combination/1", "intercept": -0.5, "terms": [TERM]}


@st.composite
def curves(draw: st.DrawFn, signal: str = "words") -> Term:
    at = sorted(draw(st.sets(NUMBERS, min_size=1, max_size=5)))
    add = draw(st.lists(NUMBERS, min_size=len(at), max_size=len(at)))
    return Term(signal, tuple(at), tuple(add), draw(NUMBERS))


def test_a_term_is_straight_between_its_points_and_flat_outside() -> None:
    term = Term("words", (10.0, 20.0), (-1.0, 1.0), missing=0.25)
    assert [term.added(x) for x in (0, 10, 15, 20, 99)] == [-1.0, -1.0, 0.0, 1.0, 1.0]
    assert term.added(None) == 0.25 and term.largest == 1.0


@given(curves(), st.none() | NUMBERS)
def test_a_term_adds_no_more_than_its_largest(term: Term, value: float | None) -> None:
    assert term.added(value) <= term.largest


@given(st.lists(curves(), min_size=1, max_size=3), NUMBERS)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, terms: list[Term], intercept: float
) -> None:
    made = Combination(intercept, tuple(terms))
    path = tmp_path_factory.getbasetemp() / "c.json"
    path.write_text(made.as_text())
    assert load_combination(path) == made and path.read_text().count("\n") == len(terms) + 2


@pytest.mark.parametrize(
    "change",
    [
        *("", "[]", "{}", "[" * 10_000, "\x00"),
        {"format": "other"},
        {"terms": []},
        {"terms": 5},
        {"terms": [5]},
        {"intercept": True},
        {"intercept": "1"},
        {"intercept": float("nan")},
        {"intercept": int("9" * 400)},
        {"more": 1},
        {"terms": [TERM | {"at": [2, 1]}]},
        {"terms": [TERM | {"at": [1]}]},
        {"terms": [TERM | {"at": [], "add": []}]},
        {"terms": [TERM | {"at": "ab"}]},
        {"terms": [TERM | {"add": [1, None]}]},
        {"terms": [TERM | {"missing": float("inf")}]},
        {"terms": [TERM | {"signal": 5}]},
        {"terms": [{name: value for name, value in TERM.items() if name != "missing"}]},
    ],
)
def test_what_is_no_combination_is_refused_in_one_line(change: dict[str, Any] | str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(WHOLE))
    assert load_combination(path) == Combination(-0.5, (Term("words", (1.0, 2.5), (0.5, 1.0)),))
    path.write_text(change if isinstance(change, str) else json.dumps(WHOLE | change))
    with pytest.raises(UsageError, match=r"^[^\n]* is no refinery\.combination/1 model: run `refinery fit [^\n]*$"):
        load_combination(path)


def test_a_signal_that_does_not_exist_is_named_when_a_recipe_takes_the_file(tmp_path: Path) -> None:
    step = {"kind": "combine", "signal": "quality", "model": "c.json"}
    recipe = parse_recipe({"stage": [{"command": "filter", "step": [step]}]}, "here")
    (tmp_path / "c.json").write_text(json.dumps(WHOLE | {"terms": [TERM | {"signal": "wrods"}]}))
    with pytest.raises(UsageError, match=r"c\.json: no signal 'wrods'"):
        recipe.bound({"c.json": tmp_path / "c.json"})


def test_every_shipped_model_has_a_card() -> None:
    models = shipped_models()
    assert {"quality-en.json", "quality-zh.json", "prefilter-quality-en.json", "prefilter-quality-zh.json"} <= set(
        models
    )
    for name, path in models.items():
        card = json.loads(path.with_name(f"{name}{CARD}").read_bytes())
        assert card["model"] == name and card["held_out"] and card["command"].endswith(f" {name}")
