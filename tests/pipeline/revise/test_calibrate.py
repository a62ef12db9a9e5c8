"""`calibrate`: thresholds that keep the wanted share, their intervals, and recipes frozen with them."""

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import open_context
from pipeline.pool.quantile import GroupThreshold
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.shipped import shipped
from pipeline.recipes.toml import recipe_toml
from pipeline.revise.calibrate import Calibration, Wanted, calibrate, freeze, new_rules
from pipeline.stages.run import run
from tests.files import write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.pools import scored
from tests.pipeline.recipe_texts import judge, recipe, stage


def by_words(**least: int) -> str:
    """A recipe with a step for each argument, which asks for that many words."""
    rules = {name: ({"signal": "characters", "min": 1}, {"signal": "words", "min": n}) for name, n in least.items()}
    return recipe("words", stage("filter", "filter", *(judge(name, *asked) for name, asked in rules.items())))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrate")
    draw = random.Random(4)
    languages = ["en"] * 300 + ["zh"] * 150 + ["fr"] * 20
    lengths = draw.sample(range(1, 1000), len(languages))
    rows = [{"text": "word " * n, "language": language} for n, language in zip(lengths, languages, strict=True)]
    draw.shuffle(rows)
    write_rows(folder / "pool" / "a.jsonl", rows[:200])
    write_rows(folder / "pool" / "b.jsonl", rows[200:])
    (folder / "recipe.toml").write_text(by_words(length=1))
    return folder


def found(world: Path, **wanted: Any) -> Calibration:
    wanted = {"signal": "words", "keep": 0.1, **wanted}
    return calibrate(Wanted(**wanted), LocalEngine(), read_inputs([str(world / "pool")]))


def test_the_threshold_keeps_the_wanted_share_of_each_language(world: Path) -> None:
    output = found(world).as_json()
    assert [(row["group"], row["docs"], row["kept"]) for row in output["thresholds"]] == [
        ("en", 300, 30),
        ("zh", 150, 15),
    ]
    for row in output["thresholds"]:
        assert row["rank_error"] == 0 and row["interval"][0] < row["keep_rate"] == 0.1 < row["interval"][1]
    assert output["refused"] == [{"group": "fr", "docs": 20}]


def test_ties_are_reported_as_rank_error(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "ties.jsonl", scored([1.0] * 180 + [2.0] * 20, ["en"] * 200))
    wanted = Wanted("language_score", 0.05)
    (row,) = calibrate(wanted, LocalEngine(), read_inputs([str(pool)])).as_json()["thresholds"]
    assert (row["threshold"], row["keep_rate"], row["rank_error"]) == (2.0, 0.1, 0.05)


@pytest.mark.parametrize("by", ["language", "all"])
def test_a_frozen_recipe_keeps_it(by: str, world: Path, tmp_path: Path) -> None:
    freeze(str(world / "recipe.toml"), found(world, by=by), tmp_path / "frozen.toml")
    context = open_context(str(tmp_path / "frozen.toml"), LocalEngine())
    kept = run(context, read_inputs([str(world / "pool")]), tmp_path / "out").last.manifest
    # by language, French has no threshold: nothing judges it any more
    assert kept.counts["out"] == {"language": 30 + 15 + 20, "all": 47}[by]
    (record,) = context.recipe.source["calibration"]
    assert (record["signal"], record["keep"], record["step"]) == ("words", 0.1, "length")
    files = read_inputs([str(world / "pool")]).documents
    assert record["pool"] == [{"name": file.name, "sha256": file.version} for file in files]


def test_the_record_is_not_in_the_hash_and_the_thresholds_are(world: Path, tmp_path: Path) -> None:
    before = load_recipe(str(world / "recipe.toml"))
    freeze(str(world / "recipe.toml"), found(world), tmp_path / "a.toml")
    freeze(str(tmp_path / "a.toml"), found(world), tmp_path / "b.toml")
    first, second = (load_recipe(str(tmp_path / name)) for name in ("a.toml", "b.toml"))
    assert len(second.source["calibration"]) == 2
    assert before.sha256 != first.sha256 == second.sha256


def test_a_rule_is_kept_for_languages_without_a_threshold(world: Path) -> None:
    calibration = found(world)
    thresholds = {each.group: each.threshold for each in calibration.found}
    rules = [{"signal": "words", "min": 0.5, "languages": ["fr", "en"]}, {"signal": "words", "max": 1}]
    made = new_rules(rules, [], calibration)
    assert [(rule.get("languages"), rule.get("min")) for rule in made] == [
        (["fr"], 0.5), (["en"], thresholds["en"]), (None, None),
    ]  # fmt: skip
    assert new_rules(rules, [], found(world, side="low"))[0] == rules[0]
    step = new_rules([{"signal": "words", "min": 0.5}], ["fr", "zh"], calibration)
    assert [rule["languages"] for rule in step] == [["fr"], ["zh"]]
    assert new_rules([{"signal": "words", "min": 0.5, "languages": ["fr"]}], [], calibration)[0]["min"] == 0.5


def test_measured_signals_of_a_dataset_are_used(world: Path, tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "word " * (i + 1), "language": "en"} for i in range(200)]
    given = write_rows(tmp_path / "given.jsonl", rows)
    raw = calibrate(Wanted("words", 0.25), LocalEngine(), read_inputs([str(given)]))
    judged = run(open_context(str(world / "recipe.toml"), LocalEngine()), read_inputs([str(given)]), tmp_path / "out")
    made = calibrate(Wanted("words", 0.25), LocalEngine(), read_inputs([str(judged.folder)]))
    assert raw.found == made.found and raw.found[0].threshold == 151.0
    assert [ref.name for ref in made.pool] == ["filter"]


def test_the_command(world: Path, tmp_path: Path) -> None:
    words = ("calibrate", "--signal", "words", "--keep", "0.1", "--input")
    files = sorted((world / "pool").iterdir(), reverse=True)
    output = answer(*words, *files, "--workers", 2)
    assert output == json.loads(json.dumps(found(world).as_json()))
    out = refinery(*words, *files, "--recipe", world / "recipe.toml", "--out", tmp_path / "frozen.toml")
    assert out.split()[0] == "group" and (tmp_path / "frozen.toml").is_file()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"min_count": 1000}, "no group has 1000 documents with words .the largest has 300.:"),
        ({"signal": "quality"}, r"no document carries signals\.quality"),
        ({"signal": "wrods"}, "no signal 'wrods'"),
        ({"keep": 0}, "--keep is 0"),
        ({"keep": float("nan")}, "--keep is nan"),
        ({"by": "domain"}, "--by is 'domain'"),
        ({"side": "up"}, "--side is 'up'"),
    ],
)
def test_impossible_requests_are_one_line(wanted: dict[str, Any], says: str, world: Path) -> None:
    with pytest.raises(UsageError, match=says) as error:
        found(world, **wanted)
    assert "\n" not in str(error.value)


def test_recipes_without_the_rule_are_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no max rule on 'words'"):
        freeze(str(world / "recipe.toml"), found(world, side="low"), tmp_path / "x.toml")
    with pytest.raises(UsageError, match=r"step 'nowhere' of recipe .* has no min rule on 'words'"):
        freeze(str(world / "recipe.toml"), found(world), tmp_path / "x.toml", "nowhere")
    assert not (tmp_path / "x.toml").exists()


@pytest.mark.parametrize(
    ("earlier", "step", "changed"),
    [(1_000_000, None, ["again", "length"]), (0, None, ["again"]), (0, "length", ["length"])],
)
def test_the_last_step_is_written_and_stricter_ones_before_it_are_loosened(
    earlier: int, step: str | None, changed: list[str], world: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.toml").write_text(by_words(length=earlier, again=1))
    calibration = found(world)
    assert freeze(str(tmp_path / "two.toml"), calibration, tmp_path / "x.toml", step) == changed
    new = {each.threshold for each in calibration.found}
    for name, old in (("length", earlier), ("again", 1)):
        assert words_bounds(tmp_path / "x.toml", name) == (new if name in changed else {old})


def words_bounds(recipe: Path, step: str, signal: str = "words") -> set[float | None]:
    steps = [each for stage in load_recipe(str(recipe)).stages for each in stage.steps if each.name == step]
    return {rule.rule.threshold for each in steps for rule in getattr(each, "rules", ()) if rule.rule.signal == signal}


def test_no_earlier_step_of_yi_is_stricter_than_what_was_written(tmp_path: Path) -> None:
    groups = (GroupThreshold("en", 1000, 0, 0.4, 10), GroupThreshold("zh", 1000, 0, 0.15, 10))
    calibration = Calibration(Wanted("quality", 0.01), (), groups, ())
    assert freeze("yi", calibration, tmp_path / "lax.toml") == ["scores", "prefilter-quality"]
    for step in ("scores", "quality-upper-bound", "prefilter-quality"):
        assert words_bounds(tmp_path / "lax.toml", step, "quality") == {0.4, 0.15}


def test_a_missing_out_is_one_line(world: Path) -> None:
    words = ("calibrate", "--signal", "words", "--keep", "0.1", "--input", world / "pool", "--recipe", "yi")
    assert "give both --recipe and --out" in refinery(*words, code=2)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_written_as_it_was_read(name: str) -> None:
    source = load_recipe(name).source
    assert parse_recipe(tomllib.loads(recipe_toml(source)), name).source == source


def test_ccnet_head_begins_as_ccnet_does() -> None:
    ccnet, head = load_recipe("ccnet").source["stage"], load_recipe("ccnet-head").source["stage"]
    assert head[: len(ccnet)] == ccnet


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4), VALUES)
def test_toml_reads_back(step: dict[str, Any], value: Any) -> None:
    source = {"name": value, "stage": [{"command": value, "step": [step, {"kind": value}]}, {}]}
    assert tomllib.loads(recipe_toml(source)) == source
