"""Bounds that others make moot are reported, and none that can still reject something."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.recipes.moot import moot_bounds
from pipeline.recipes.parse import load_recipe, parse_recipe, shipped
from tests.pipeline.command import answer, refinery
from tests.pipeline.recipe_texts import EXTRACT, INGEST, PREFILTER, RESILIPARSE, Part, dedup, recipe, stage, step


def rules(name: str, *rules: Any, **keys: Any) -> Part:
    return step("judge", name=name, rules=list(rules), **keys)


def spoken(*languages: str, **keys: Any) -> Part:
    return step("label", what="language", model="m", **({"keep": list(languages)} if languages else {}), **keys)


def only_in(language: str, *rules: str) -> Part:
    return {"languages": [language], "rules": list(rules)}


REMOVE_URLS = step("rewrite", edit="remove_urls")
QUALITY = step("label", what="quality", model="q")
STRICT, LAX = rules("strict", "words >= 200"), rules("lax", "words >= 50")
GOOD, FAIR = rules("good", "quality >= 0.9"), rules("fair", "quality >= 0.5")
MOOT = "f.lax.words.min = 50: f.strict.words.min = 200 is at least as strict"


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([STRICT, LAX], [MOOT]),
        ([LAX, STRICT], []),  # to reject early saves work
        ([rules("a", "words <= 50"), rules("b", "words <= 200")],
         ["f.b.words.max = 200: f.a.words.max = 50 is at least as strict"]),
        ([rules("a", "words <= 200"), rules("b", "words >= 50")], []),
        ([rules("a", "words >= 50"), rules("b", "words >= 50")],
         ["f.b.words.min = 50: f.a.words.min = 50 is at least as strict"]),
        ([rules("a", "words >= 50", "words >= 200")],
         ["f.a.words.min = 50: f.a.words.min = 200 is at least as strict"]),
        # the value may have changed
        ([STRICT, REMOVE_URLS, LAX], []),
        ([STRICT, spoken("en"), LAX], []),
        ([QUALITY, GOOD, REMOVE_URLS, FAIR],
         ["f.fair.quality.min = 0.5: f.good.quality.min = 0.9 is at least as strict"]),
        ([QUALITY, GOOD, QUALITY | {"name": "again"}, FAIR], []),
        # languages
        ([rules("strict", "words >= 200", languages=["en"]), LAX], []),
        ([STRICT, rules("lax", "words >= 50", languages=["en"])], [MOOT]),
        ([spoken("en"), rules("strict", "words >= 200", languages=["en"]), LAX], [MOOT]),
        ([spoken("en", "de"), rules("strict", "words >= 200", languages=["en"]), LAX], []),
        ([spoken("en", "de"), rules("a", only_in("en", "words >= 90"), only_in("de", "words >= 80")), LAX],
         ["f.lax.words.min = 50: f.a.words.min.de = 80 and f.a.words.min.en = 90 are at least as strict"]),
        ([rules("a", only_in("en", "words >= 90"), only_in("de", "words >= 80"))], []),
        ([spoken("en"), rules("a", only_in("de", "words >= 80"))],
         ["f.a.words.min = 80: no document that comes here has its languages"]),
        ([spoken("en"), spoken("de", languages=["fr"], name="again"), rules("a", only_in("de", "words >= 80"))], []),
    ],
)  # fmt: skip
def test_steps_of_a_stage(steps: list[Part], lines: list[str]) -> None:
    assert moot_bounds(parse_recipe({"stage": [stage("f", "filter", *steps)]}, "here")) == lines


@pytest.mark.parametrize(
    ("between", "lines"),
    [
        ([], ["later.lax.words.min = 50: f.strict.words.min = 200 is at least as strict"]),
        ([dedup("copies", "minhash")], ["later.lax.words.min = 50: f.strict.words.min = 200 is at least as strict"]),
        ([dedup("copies", "paragraphs")], []),
        ([dedup("copies", "substring")], []),
        ([stage("edit", "filter", REMOVE_URLS)], []),
    ],
)
def test_stages_between(between: list[Part], lines: list[str]) -> None:
    stages = [stage("f", "filter", STRICT), *between, stage("later", "filter", LAX)]
    assert moot_bounds(parse_recipe({"stage": stages}, "here")) == lines


@pytest.mark.parametrize(
    ("keys", "moot"), [({}, ["extract.lax.words.min = 50: extract.strict.words.min = 200 is at least as strict"]),
                       ({"audit": 0.1}, [])]
)  # fmt: skip
def test_a_prefilter_binds_no_audit_sample_and_no_later_text(keys: Part, moot: list[str]) -> None:
    extract = stage("extract", "extract", PREFILTER, STRICT, LAX, RESILIPARSE, **keys)
    assert moot_bounds(parse_recipe({"stage": [INGEST, extract, stage("f", "filter", LAX)]}, "here")) == moot


def test_gates_with_other_lists_and_what_a_page_asks_for() -> None:
    def gate(name: str, lists: str, rule: str) -> Part:
        return step("gate", name=name, lists=lists, rules=[rule])

    steps = [gate("a", "one", "url_soft_words <= 0"), gate("b", "two", "url_soft_words <= 1"),
             gate("c", "one", "url_soft_words <= 1"), gate("d", "one", "noai <= 0"),
             PREFILTER, rules("e", "noai <= 0"), RESILIPARSE]  # fmt: skip
    moot = "extract.c.url_soft_words.max = 1: extract.a.url_soft_words.max = 0 is at least as strict"
    assert moot_bounds(parse_recipe({"stage": [INGEST, {**EXTRACT, "step": steps}]}, "here")) == [moot]


@pytest.mark.parametrize("name", shipped())
def test_no_shipped_recipe_has_a_moot_bound(name: str) -> None:
    assert moot_bounds(load_recipe(name)) == []


def test_check_reports_them(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(recipe("mine", stage("f", "filter", STRICT, LAX)))
    assert refinery("recipes", "check", tmp_path / "mine.toml").splitlines()[-1:] == [f"moot: {MOOT}"]
    assert answer("recipes", "check", tmp_path / "mine.toml")["moot"] == [MOOT]
    lax = ("--set", "f.strict.words.min=10")
    assert answer("recipes", "check", tmp_path / "mine.toml", *lax)["moot"] == []


def test_bounds_that_nothing_passes(tmp_path: Path) -> None:
    least, most = rules("least", {"signal": "words", "min": 50}), rules("most", {"signal": "words", "max": 40})
    (tmp_path / "mine.toml").write_text(recipe("mine", stage("f", "filter", least, most)))
    said = answer("recipes", "check", tmp_path / "mine.toml")["moot"]
    assert said == ["f.most.words.max = 40: nothing passes it and f.least.words.min = 50"]
    equal = ("--set", "f.most.words.max=50")
    assert answer("recipes", "check", tmp_path / "mine.toml", *equal)["moot"] == []
