"""A rule or a term on a signal that nothing sets is refused before any work: it would pass every document."""

from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.job.context import resolve_recipe
from pipeline.models.combination import Combination, Term
from pipeline.models.store import shipped_models
from pipeline.recipes.check import check_recipe
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.shipped import shipped
from tests.pipeline.command import refinery
from tests.pipeline.recipe_texts import EXTRACT, INGEST, PREFILTER, RESILIPARSE, Part, judge, recipe, stage, step

LANGUAGE = step("label", what="language", model="m")
QUALITY = judge("good", {"signal": "quality", "min": 0.9})
SUM = step("combine", signal="quality", terms=[{"signal": "words", "at": [5, 9], "add": [-3.0, 3.0]}])
CLUSTERS = step("pool", method="clusters", options={"clusters": 4, "drop": 1, "score": "words"})
WORST = step("pool", method="quantile", options={"signal": "perplexity", "keep": 0.9, "side": "low"})
UNKNOWN = step("combine", signal="quality", terms=[{"signal": "bag_of_words", "at": [1], "add": [1]}])


def on(*signals: str) -> Part:
    return judge("asks", *({"signal": signal, "max": 0} for signal in signals))


def check(*stages: Part) -> Recipe:
    recipe = parse_recipe({"name": "r", "stage": list(stages)}, "here")
    check_recipe(recipe)
    return recipe


def extracted(*prefilter: Any, **keys: Any) -> Part:
    return stage("extract", "extract", *prefilter, RESILIPARSE, **keys)


@pytest.mark.parametrize("name", shipped())
def test_what_the_shipped_recipes_ask_for_is_set(name: str) -> None:
    check_recipe(load_recipe(name).bound(shipped_models()))


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([stage("f", "filter", QUALITY)], "nothing before it sets 'quality'"),
        ([stage("f", "filter", QUALITY, SUM)], "nothing before it sets 'quality'"),
        ([stage("f", "filter", on("language_score"))], "nothing before it sets 'language_score'"),
        ([stage("f", "filter", UNKNOWN)],
         "combine 'quality': nothing before it sets 'bag_of_words'"),
        ([stage("f", "filter", on("url_strict_words"))], "'url_strict_words' needs lists: use it in a gate"),
        ([stage("f", "filter", on("rps_doc_ut1_blacklist"))], "nothing before it sets 'rps_doc_ut1_blacklist'"),
        ([INGEST, EXTRACT, stage("f", "filter", on("noai"))], "'noai' is set in the extract stage alone"),
        ([INGEST, EXTRACT, stage("f", "filter", on("audit_sample"))], "'audit_sample' is set where"),
        ([INGEST, extracted(PREFILTER, on("prefilter_rejected"), audit=0.5)],
         "'prefilter_rejected' is set where"),
        ([INGEST, extracted(PREFILTER, SUM, step("extract", name="more",
          engine="all_text"), QUALITY)], "nothing before it sets 'quality'"),
        ([INGEST, extracted(PREFILTER, SUM), stage("f", "filter", QUALITY)],
         "nothing before it sets 'quality'"),
        ([INGEST, EXTRACT, stage("f", "filter", WORST)], "pool 'quantile': nothing before it sets 'perplexity'"),
        ([stage("f", "filter", on("cluster")), stage("c", "filter", CLUSTERS)], "nothing before it sets 'cluster'"),
        ([INGEST, extracted(step("gate", name="g", rules=[{"signal": "url_hard_words", "max": 0}]))],
         "a gate without lists has no signal 'url_hard_words': there are noai, noindex"),
        ([INGEST, extracted(step("gate", name="g", lists="l", rules=[{"signal": "words", "max": 0}]))],
         "a gate has no signal 'words'"),
    ],
)  # fmt: skip
def test_a_signal_that_nothing_sets(stages: list[Part], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        check(*stages)
    assert says in str(refused.value) and str(refused.value).startswith("r: stage ")


@pytest.mark.parametrize(
    "stages",
    [
        [stage("f", "filter", SUM, QUALITY)],
        [stage("s", "filter", SUM), stage("c", "dedup", step("dedup", method="url")), stage("f", "filter", QUALITY)],
        [stage("f", "filter", LANGUAGE, on("language_score"))],
        [stage("f", "filter", step("label", what="redpajama", model="m"), on("rps_doc_ut1_blacklist"))],
        [stage("f", "filter", on("url_characters", "url_curated_source"))],
        [stage("c", "filter", CLUSTERS), stage("f", "filter", on("cluster", "cluster_score"))],
        [INGEST, extracted(audit=0.5), stage("f", "filter", on("audit_sample", "prefilter_rejected"))],
        [INGEST, extracted(PREFILTER, on("noai", "noindex"))],
        [INGEST, extracted(step("gate", name="g", lists="l", rules=[{"signal": "url_hard_words", "max": 0}]))],
        [stage("f", "filter", WORST)],
        [stage("f", "filter", QUALITY, carried=["quality"])],
    ],
)
def test_a_signal_that_something_sets(stages: list[Part]) -> None:
    """Nothing is said against the recipe."""
    assert len(check(*stages).stages) == len(stages)


def test_the_terms_of_a_model_are_asked_for_as_those_of_the_recipe_are(tmp_path: Path) -> None:
    """And its file is in the recipe's hash."""
    named = step("combine", name="sum", signal="quality", model="mine.json")
    recipe = parse_recipe({"name": "r", "stage": [stage("f", "filter", named, QUALITY)]}, "here")
    check_recipe(recipe)
    hashes = set()
    for signal in ("words", "characters", "perplexity"):
        made = Combination(0.0, (Term(signal, (1.0,), (0.5,)),))
        (tmp_path / "mine.json").write_text(made.as_text())
        if signal == "perplexity":
            with pytest.raises(UsageError, match="combine 'sum': nothing before it sets 'perplexity'"):
                resolve_recipe(recipe, str(tmp_path))
        else:
            resolved, places = resolve_recipe(recipe, str(tmp_path))
            assert resolved.stages[0].steps[0].terms == made.terms and list(places) == ["mine.json"]
            hashes.add(resolved.sha256)
    assert len(hashes) == 2


def test_a_signal_that_the_documents_bring_along(tmp_path: Path) -> None:
    """Measured once, judged later by a recipe of its own; documents without it are refused, not passed."""
    lines = [f'{{"id": "{number}", "text": "{"word " * number}"}}' for number in (3, 12)]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    (tmp_path / "sum.toml").write_text(recipe("sum", stage("f", "filter", SUM)))
    (tmp_path / "judge.toml").write_text(recipe("judge", stage("f", "filter", QUALITY, carried=["quality"])))
    (tmp_path / "blind.toml").write_text(recipe("blind", stage("f", "filter", QUALITY)))
    refinery("measure", "--recipe", tmp_path / "sum.toml", "--input", tmp_path / "pages.jsonl", "--out", tmp_path / "m")
    words = ("--input", tmp_path / "m", "--out", tmp_path / "out")
    assert "carried" in refinery("filter", "--recipe", tmp_path / "blind.toml", *words, code=2)
    assert "carried" in refinery("recipes", "check", tmp_path / "blind.toml", code=2)
    refinery("filter", "--recipe", tmp_path / "judge.toml", *words)
    assert Dataset(tmp_path / "out").to_arrow()["id"].to_pylist() == ["12"]
    words = ("--input", tmp_path / "pages.jsonl", "--out", tmp_path / "none")
    assert "no document carries signals.quality" in refinery(
        "filter", "--recipe", tmp_path / "judge.toml", *words, code=2
    )
    assert not (tmp_path / "none").exists()
