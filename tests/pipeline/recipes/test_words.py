"""What is no recipe is refused in one line, whatever it is: wrong kinds, names that no folder takes, misspelt words."""

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.recipes.check import check_recipe
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe
from tests.pipeline.recipe_texts import EXTRACT, INGEST, RESILIPARSE, Part, judge, stage, step
from tests.pipeline.recipe_texts import dedup as copies

RULE = {"signal": "words", "min": 50}
TERM = {"signal": "words", "at": [1, 2], "add": [0.0, 1.0]}
GOOD_COMBINE = step("combine", signal="quality", terms=[TERM])
QUANTILE = {"signal": "words", "keep": 0.5, "side": "low"}


def whole(*steps: Any, command: str = "filter", **keys: Any) -> Part:
    return {"stage": [{"command": command, "step": list(steps), **keys}]}


def ruled(**keys: Any) -> Part:
    return whole(judge("size", {**RULE, **keys}))


MALFORMED: list[tuple[Part, str]] = [
    ({"stage": 5}, "stage must be a list of tables, not 5"),
    ({"stage": ["a"]}, "stage must be a list of tables"),
    ({"stage": {"command": "filter"}}, "stage must be a list of tables"),
    ({"name": 5, **whole(judge("a", RULE))}, "name must be a text"),
    ({"about": [], **whole(judge("a", RULE))}, "about must be a text"),
    ({"calibration": 5, **whole(judge("a", RULE))}, "calibration must be a list of tables"),
    ({"calibration": [{"on": date(2024, 1, 2)}], **whole(judge("a", RULE))}, "takes no date"),
    ({}, "at least one"),
    ({"stages": []}, "unknown key 'stages'"),
    ({"stage": [{"command": ["filter"]}]}, "command is"),
    ({"stage": [{"command": "cook"}]}, "command is 'cook'"),
    ({"stage": [{"command": "ingest", "name": "../x"}]}, "cannot be a folder's name"),
    ({"stage": [{"command": "ingest"}, {"command": "ingest"}]}, "two stages are called 'ingest'"),
    (whole(judge("a", RULE), audit=0.5), "unknown key 'audit'"),
    (whole(step("fry")), "kind is 'fry'"),
    (whole(step("rewrite", edit="x")), "no edit 'x'"),
    (whole(step("dedup", method="x"), command="dedup"), "method is 'x'"),
    (whole(step("dedup", method="url")), "filter takes"),
    (whole(command="extract"), "must be an extract step"),
    (whole(step("judge", rules=[]), RESILIPARSE, command="extract"), "needs a text"),
    (whole(RESILIPARSE, step("judge", rules=[]), command="extract"), "last step"),
    (whole(step("extract", engine="all_text"), RESILIPARSE, command="extract"), "another name"),
    (whole(step("extract", engine="all_text", declared="en"), RESILIPARSE, command="extract"), "list of words"),
    (whole(step("label", what="language", model="m", characters=0)), "number from 1"),
    (whole(step("label", what="language", model="m", characters="all")), "number from 1"),
    (whole(step("label", what="bag_of_words", model="m", characters=9)), "labels the language"),
    (whole(judge("a", RULE), name="a" * 300), "cannot be a folder's name"),
    (whole(judge("a", RULE), name=5), "name must be a text"),
    (whole(5), "step must be a list of tables"),
    (whole(step(["judge"])), "kind is"),  # type: ignore[arg-type]
    (whole(step("judge", rules=5)), "rules must be a list of tables"),
    (whole(step("judge", rules=[5])), "rules must be a list of tables"),
    (whole(step("combine", signal="quality")), "terms is empty"),
    (whole(step("combine", signal="quality", terms=[])), "terms is empty"),
    (whole(step("combine", signal="quality", terms=[TERM | {"signal": "nothing"}])), "no signal 'nothing'"),
    (whole(step("combine", signal="quality", terms=[TERM | {"at": [2, 1]}])), "at must rise"),
    (whole(step("combine", signal="quality", terms=[TERM | {"at": [1]}])), "as many numbers"),
    (whole(step("combine", signal="quality", terms=[TERM | {"at": [1], "add": ["x"]}])), "list of numbers"),
    (whole(step("combine", signal="quality", model="c.json", terms=[TERM])), "leave one of the two out"),
    (whole(step("combine", signal="quality", model="c.json", intercept=1)), "leave one of the two out"),
    (whole(step("combine", signal="quality", model="../c.json")), "is not a model's name"),
    (whole(step("combine", signal="quality", model=5)), "model must be a text"),
    (whole(step("prune", judge=5)), "judge must be a text"),
    (whole(step("prune", judge="x" * 300)), "no later step of its stage is a judge called"),
    (whole(judge("a/b", RULE)), "cannot be used in a ledger"),
    (whole(judge("a\x07b", RULE)), "cannot be used in a ledger"),
    (whole(judge("a\nb", RULE)), "cannot be used in a ledger"),
    (whole(judge("", RULE)), "cannot be used in a ledger"),
    (whole(judge("a", RULE, languages="en")), "languages must be a list of words"),
    (whole(step("judge", name="a", source=5, rules=["words >= 5"])), "source must be a text"),
    (whole(judge("a", {"signal": "words"})), "one of min, max"),
    (ruled(max=60), "one of min, max"),
    (ruled(signal="wrods"), "no signal 'wrods'"),
    (ruled(languages="en"), "languages must be a list of words"),
    (ruled(languages=[5]), "languages must be a list of words"),
    (ruled(signal=5), "signal must be a text"),
    (ruled(signal=["words"]), "signal must be a text"),
    (ruled(min=math.nan), "is not a finite number"),
    (ruled(min=math.inf), "is not a finite number"),
    (ruled(min=10**400), "is not a finite number"),
    (ruled(min="x"), "min must be a number"),
    (ruled(min=True), "min must be a number"),
    (ruled(source=5), "source must be a text"),
    (whole(step("rewrite", edit=["a"])), "edit must be a text"),
    (whole(step("label", what=[], model="m")), "what must be a text"),
    (whole(step("label", what="quality", model=5)), "model must be a text"),
    (whole(step("label", what="quality", model="../../etc/passwd")), "is not a model's name"),
    (whole(step("label", what="quality", model="a/../../b")), "is not a model's name"),
    (whole(step("label", what="quality", model="")), "is not a model's name"),
    (whole(step("label", what="quality", model="a\0b")), "is not a model's name"),
    (whole(step("gate", lists=5, rules=[]), RESILIPARSE, command="extract"), "lists must be a text"),
    (whole(step("gate", lists="..", rules=[]), RESILIPARSE, command="extract"), "is not a model's name"),
    (whole(step("extract", engine=["resiliparse"]), command="extract"), "engine must be a text"),
    (whole(step("extract", engine="resiliparse", options=5), command="extract"), "options must be a table"),
    (whole(step("combine", signal="quality", terms=5)), "terms must be a list of tables"),
    (whole(step("combine", signal="quality", terms=[5])), "terms must be a list of tables"),
    (whole(step("combine", signal="quality", terms=[TERM | {"at": "ab"}])), "at must be a list of numbers"),
    (whole(step("combine", signal="quality", terms=[TERM], intercept="x")), "intercept must be a number"),
    (whole(step("combine", signal="quality", terms=[TERM | {"missing": "x"}])), "missing must be a number"),
    (whole(step("combine", signal=["quality"], terms=[TERM])), "signal must be a text"),
    (whole(step("pool", method="quantile", options=5)), "options must be a table"),
    (whole(step("dedup", method="url", options=5), command="dedup"), "options must be a table"),
    (whole(command="dedup"), "exactly one dedup step"),
    (whole(command="tokenize"), "tokenizer: '' is not a model's name"),
    (whole(command="tokenize", tokenizer="../t.model"), "is not a model's name"),
    (whole(command="mix", draw=5), "draw must be a table"),
    ({"stage": [stage("a", "filter"), stage("a", "filter")]}, "two stages are called 'a'"),
    ({"stage": [INGEST, stage("again", "ingest")]}, "'again' reads archives, but 'ingest' before it makes records"),
    ({"stage": [INGEST, stage("size", "filter")]}, "'size' reads documents, but 'ingest' before it makes records"),
    ({"stage": [INGEST, EXTRACT, copies("late", "payload")]}, "'late' reads records"),
    ({"stage": [stage("t", "tokenize", tokenizer="t.model"), stage("f", "filter")]}, "makes tokens"),
    ({"stage": [stage("a", "filter", carried=["words"])]}, "carried is for what steps set"),
    ({"stage": [stage("a", "filter", carried="quality")]}, "carried must be a list of words"),
]


@pytest.mark.parametrize(("source", "says"), MALFORMED, ids=[says + f" {i}" for i, (_, says) in enumerate(MALFORMED)])
def test_what_is_malformed_is_refused_in_one_line(source: Part, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_recipe(source, "here")
    message = str(refused.value)
    assert says in message and message.startswith("here")
    assert len(message.splitlines()) == 1 and len(message) < 600


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (whole(RESILIPARSE, command="extract", audit=2), "0 to 1"),
        (whole(step("dedup", method="substring", options={"tokens": 1}), command="dedup"), "give at least 2"),
        (
            whole(step("dedup", method="minhash", options={"signature": "dolma3", "rows": 8}), command="dedup"),
            "signature 'dolma3' is 26 bands of 11 rows; leave out rows, or the signature",
        ),
        (
            whole(step("dedup", method="minhash", options={"signature": "finweb"}), command="dedup"),
            "signature is 'finweb', not one of fineweb, dolma3, refinedweb, dclm; did you mean 'fineweb'?",
        ),
    ],
)
def test_what_no_stage_can_run_is_refused(source: Part, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_recipe(parse_recipe(source, "here"))


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (whole(RESILIPARSE, command="extract", audt=1.0), "audit"),
        (whole(command="mix", drow={}), "draw"),
        (whole(command="tokenize", tokeniser="t.model"), "tokenizer"),
        (whole(judge("a", RULE), steps=[]), "step"),
        (whole(step("judge", rule=[])), "rules"),
        (ruled(langages=["en"]), "languages"),
        ({"abuot": "x", **whole(judge("a", RULE))}, "about"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_nearest_right_one(source: Part, meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
        parse_recipe(source, "here")


@pytest.mark.parametrize("content", ["a = " + "9" * 5000, "a = " + "[" * 3000, "a = [", "a = 0x" + "f" * 5000, "\xff"])
def test_a_file_that_is_no_toml_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        load_recipe(str(tmp_path / "r.toml"))
    assert len(str(refused.value).splitlines()) == 1


# Words that a recipe knows, so that what is made at random gets past the first check.
WORDS = """
name about stage command step kind rules signal min max languages what model keep edit method options terms at add
intercept lists engine audit carried draw tokenizer characters declared calibration source missing words quality
filter extract dedup mix tokenize ingest judge label combine rewrite pool gate quantile clusters url minhash side
prune larger smaller low high score mask_pii resiliparse language en .. / policy targets"""
KNOWN = st.sampled_from(WORDS.split())
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), KNOWN, st.dates()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(KNOWN, st.text()), inner, max_size=4)
    ),
    max_leaves=12,
)
# Recipes that are right; one of their values is then changed for another.
RIGHT: tuple[Part, ...] = (
    {"name": "a", "about": "b", "calibration": [{"step": "a"}], **whole(judge("a", RULE, languages=["en"]))},
    whole(step("label", what="language", model="m", keep=["en"], characters=9), GOOD_COMBINE, carried=["quality"]),
    whole(step("prune", judge="a"), GOOD_COMBINE, step("judge", name="a", source="b", rules=["quality >= 0.5"])),
    whole(step("combine", signal="quality", model="c.json", languages=["en"], larger=False)),
    whole(step("judge", name="a", rules=[{"languages": ["en"], "rules": ["words >= 5", "words <= 9"]}])),
    {"stage": [INGEST, copies("same", "payload"), EXTRACT, copies("near", "minhash")]},
    whole(step("gate", lists="l", rules=[{"signal": "noai", "max": 0}]), RESILIPARSE, command="extract", audit=0.5),
    whole(step("pool", method="quantile", options=QUANTILE)),
    whole(
        step("pool", method="clusters", options={"clusters": 4, "drop": 1, "marks": [{"signal": "words", "max": 1}]})
    ),
    whole(command="mix", draw={"targets": {"IQ": 0.5, "EQ": 0.5}}),
    whole(command="tokenize", tokenizer="t.model"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value in `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], to: Callable[[Any], Any]) -> Any:
    if not path:
        return to(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], to)
    return copy


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    source: Any = draw(st.sampled_from(RIGHT))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([path for path in places(source) if path] or [()]))
        new = draw(VALUES)
        source = changed(source, path, lambda _, new=new: new)
    return source


def test_the_recipes_that_are_changed_are_right() -> None:
    for source in RIGHT:
        check_recipe(parse_recipe(source, "here"))


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.dictionaries(st.one_of(KNOWN, st.text()), VALUES, max_size=4), nearly_right()))
def test_anything_is_a_recipe_or_refused_in_one_line(source: Any) -> None:
    try:
        recipe = parse_recipe(source, "here")
        check_recipe(recipe)
    except UsageError as refused:
        assert len(str(refused).splitlines()) == 1
        return
    assert isinstance(recipe, Recipe) and recipe.sha256 and recipe.frozen()
