"""A keep_rate step as a stage: its manifest and ledger, frozen bounds, and what is refused."""

import random
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.baseline import Baseline
from pipeline.job.context import open_context
from pipeline.pool.keep_rate import KeepBudget, budget_of
from pipeline.recipes.parse import load_recipe
from pipeline.revise.freeze_bounds import freeze_bounds
from pipeline.stages.audit import pool_notes
from pipeline.stages.run import run
from tests.pipeline.command import answer, refinery
from tests.pipeline.datasets import document, make_dataset
from tests.pipeline.pools import judged, pool_recipe


def baseline(docs: float, tokens: float, **more: Any) -> Baseline:
    values = {"pages": 1000, "sampled": 1000, "docs_variance": 0.0, "tokens_variance": 0.0, **more}
    return Baseline("falcon", docs=docs, tokens=tokens, **values)


def test_the_budget_is_the_aim_but_no_more_than_at_most_of_the_lower_end() -> None:
    assert budget_of(baseline(400, 200_000), 0.075, 0.08, 0.09) == KeepBudget(30, 16_000)
    unsure = baseline(400, 200_000, sampled=50, docs_variance=60.0**2, tokens_variance=90_000.0**2)
    found = budget_of(unsure, 0.075, 0.075, 0.09)
    assert found.docs == int(0.09 * (unsure.docs_interval[0] or 0)) < 30
    assert found.tokens == int(0.09 * (unsure.tokens_interval[0] or 0)) < 15_000


def pool_rows(count: int = 400) -> list[dict[str, Any]]:
    draw = random.Random(4)
    rows = []
    for number in range(count):
        words = draw.randint(20, 400)
        domain = draw.choice(["mathematics", "literature", "general"])
        score = min(0.999, draw.random() ** 0.5 * (words / 400) ** 0.2)
        rows.append(document(number, text="w " * words, token_count=words, language_score=score, domain=domain))
    return rows


def rated(folder: Path, given: Path, **options: Any) -> Dataset:
    recipe = pool_recipe(folder / "recipe.toml", "keep_rate", signal="language_score", **options)
    return run(open_context(str(recipe), LocalEngine()), read_inputs([str(given)]), folder / "out").last


def test_a_stage_keeps_the_share_of_its_baseline_and_says_so(tmp_path: Path) -> None:
    rows = pool_rows()
    extra = {"baseline": baseline(300, 100_000, languages={"en": 200.0, "zh": 100.0}).as_json()}
    make_dataset(tmp_path / "given", "filter", rows, [], extra=extra, cuts=[100, 250])
    made = rated(tmp_path, tmp_path / "given", aim_docs=0.09, aim_tokens=0.09)
    pool = made.manifest.extra["pool"]
    sums = made.manifest.shards.sums
    assert pool["used"] == "pool" and 25 <= sums.rows <= 27 and 7000 <= sums.tokens <= 9000
    assert pool["strictness"]["docs"] == {
        "share": round(sums.rows / 300, 6), "interval": [round(sums.rows / 300, 6)] * 2
    }  # fmt: skip
    assert sum(group["kept"] for group in pool["groups"]) == sums.rows
    assert {group["group"] for group in pool["groups"]} == {
        f"{a}/{b}" for a in ("en", "zh") for b in ("IQ", "EQ", "general")
    }
    chinese = made.manifest.languages["zh"]["docs"]
    assert chinese >= 0.7 * sums.rows / 3
    ledger = made.ledger()
    assert {*ledger["rule"].to_pylist()} == {"min_language_score"}
    short = [
        (value, least)
        for value, least in zip(ledger["value"].to_pylist(), ledger["threshold"].to_pylist(), strict=True)
        if least is not None and value >= least
    ]
    assert not short


def test_a_pool_without_a_sample_or_too_small_has_the_bounds_of_the_recipe(tmp_path: Path) -> None:
    bounds = {"en/IQ": 0.88, "zh/general": 0.73}
    rows = [
        {"id": str(n), "text": "w " * 50, "language": language, "language_score": score}
        for n, (language, score) in enumerate([("en", 0.95), ("en", 0.8), ("zh", 0.8), ("fr", 0.8), ("fr", 0.9)])
    ]
    made = judged(tmp_path / "bare", rows, "keep_rate", signal="language_score", bounds=bounds)
    assert made.to_arrow()["id"].to_pylist() == ["0", "2", "4"]
    assert made.manifest.extra["pool"]["used"] == "shipped" and "no audit sample" in made.manifest.extra["pool"]["note"]
    extra = {"baseline": baseline(40, 8000).as_json()}
    make_dataset(tmp_path / "given", "filter", pool_rows(90), [], extra=extra)
    small = rated(tmp_path / "small", tmp_path / "given", bounds=bounds)
    assert "90 documents, where falcon would keep about 40, is too small" in small.manifest.extra["pool"]["note"]
    (said,) = pool_notes([small])
    assert said == f"rule: {small.manifest.extra['pool']['note']}"
    assert small.manifest.extra["pool"]["strictness"]["docs"]["share"] == round(small.manifest.counts["out"] / 40, 6)


@pytest.mark.parametrize("by", [["domain"], ["domain", "axis"], ["language", "axis", "domain"]])
def test_domains_of_any_name_are_groups_and_the_budget_is_full(by: list[str], tmp_path: Path) -> None:
    rows = pool_rows()
    rows[0]["domain"], rows[1]["domain"], rows[2]["domain"] = None, "", "science/physics"
    extra = {"baseline": baseline(300, 100_000, languages={"en": 200.0, "zh": 100.0}).as_json()}
    make_dataset(tmp_path / "given", "filter", rows, [], extra=extra, cuts=[100, 250])
    made = rated(tmp_path, tmp_path / "given", aim_docs=0.09, aim_tokens=0.09, by=by)
    groups = {group["group"]: group for group in made.manifest.extra["pool"]["groups"]}
    assert sum(group["docs"] for group in groups.values()) == 400 and 25 <= made.manifest.shards.sums.rows <= 27
    depth = len(by)
    assert {name.count("/") for name in groups} == {depth - 1}
    assert {name.rpartition("/")[2] for name in groups} == {"mathematics", "literature", "general", "science physics"}


def test_frozen_bounds_decide_for_a_later_pool_and_the_drift_is_reported(tmp_path: Path) -> None:
    extra = {"baseline": baseline(300, 100_000).as_json()}
    make_dataset(tmp_path / "given", "filter", pool_rows(), [], extra=extra)
    first = rated(tmp_path / "first", tmp_path / "given")
    recipe = load_recipe(str(tmp_path / "first" / "recipe.toml"))
    assert freeze_bounds(recipe, first, tmp_path / "frozen.toml") == "rule"
    other = open_context(str(pool_recipe(tmp_path / "other.toml", "keep_rate")), LocalEngine()).recipe
    with pytest.raises(UsageError, match=r"was ranked by language_score, but step 'rule' of .* ranks by quality"):
        freeze_bounds(other, first, tmp_path / "mixed.toml")
    assert not (tmp_path / "mixed.toml").exists()
    later = [row | {"language_score": row["language_score"] ** 2} for row in pool_rows()]
    make_dataset(tmp_path / "later", "filter", later, [], extra=extra)
    context = open_context(str(tmp_path / "frozen.toml"), LocalEngine())
    same = run(context, read_inputs([str(tmp_path / "given")]), tmp_path / "same").last
    assert same.to_arrow()["id"] == first.to_arrow()["id"] and same.manifest.extra["pool"]["used"] == "frozen"
    moved = run(context, read_inputs([str(tmp_path / "later")]), tmp_path / "moved").last
    drift = moved.manifest.extra["pool"]["drift"]
    assert sum(row["kept"] for row in drift) == moved.manifest.counts["out"] < first.manifest.counts["out"]
    assert sum(row["own_bounds_keep"] for row in drift) > moved.manifest.counts["out"]


def test_the_command_freezes_bounds_and_says_what_it_lacks(tmp_path: Path) -> None:
    extra = {"baseline": baseline(300, 100_000).as_json()}
    make_dataset(tmp_path / "given", "filter", pool_rows(), [], extra=extra)
    first = rated(tmp_path / "first", tmp_path / "given")
    words = ("calibrate", "--input", first.folder, "--recipe", tmp_path / "first" / "recipe.toml")
    found = answer(*words, "--out", tmp_path / "frozen.toml")
    assert found["changed"] == ["rule"] and found["bounds"]["groups"] == first.manifest.extra["pool"]["bounds"]
    options = load_recipe(str(tmp_path / "frozen.toml")).source["stage"][0]["step"][0]["options"]
    kept = {"price": options["price"], "free_tokens": options["free_tokens"], "groups": options["bounds"]}
    assert options["frozen"] is True and kept == found["bounds"]
    assert "give --signal and --keep, or --recipe and --out" in refinery(*words[:3], code=2)


def test_what_cannot_be_frozen_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe("yi")
    bare = make_dataset(tmp_path / "bare", "filter", [document(1)], [])
    with pytest.raises(UsageError, match="was not made by a keep_rate step"):
        freeze_bounds(recipe, bare, tmp_path / "out.toml")
    pool = {"method": "keep_rate", "pool_bounds": None, "note": "too small"}
    small = make_dataset(tmp_path / "small", "filter", [document(1)], [], extra={"pool": pool})
    with pytest.raises(UsageError, match="no bounds were found on this pool: too small"):
        freeze_bounds(recipe, small, tmp_path / "out.toml")


@pytest.mark.parametrize("by", [["language"], ["domain"], ["language", "axis", "domain"]])
def test_names_of_groups_may_end_in_nul(by: list[str], tmp_path: Path) -> None:
    rows = pool_rows()
    for number, row in enumerate(rows):
        row |= {"language": ("en", "en\0", "\0", "")[number % 4], "domain": ("arts", "arts\0", "\0")[number % 3]}
    make_dataset(tmp_path / "given", "filter", rows, [], extra={"baseline": baseline(400, 84_000).as_json()})
    made = rated(tmp_path, tmp_path / "given", by=by)
    groups = made.manifest.extra["pool"]["groups"]
    assert sum(row["docs"] for row in groups) == 400 and all(row["docs"] for row in groups)
    assert sum(row["kept"] for row in groups) == made.manifest.counts["out"] <= 0.09 * 400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aim_docs": 0.2}, "aim_docs 0.2 is above at_most 0.09"),
        ({"aim_tokens": 0.1}, "aim_tokens 0.1 is above at_most 0.09"),
        ({"at_most": 2}, "at_most is 2; it must be a share"),
        *(
            ({"by": by}, "it may name language, axis and domain")
            for by in (["topic"], ["domain", "domain"], [["language"]], {"language": 1}, 3, True)
        ),
        ({"free_tokens": 2**63}, "it must be a number of tokens"),
        ({"domain_floor": -1}, "domain_floor is -1; it must be a share"),
        ({"frozen": True}, "frozen needs the bounds"),
        ({"bounds": {"en/IQ": "x"}}, "bounds must be"),
        ({"price": 1e308}, "price is 1e\\+308; it must be a probability, 0 to 1"),
        ({"price": -0.1}, "price is -0.1; it must be"),
        ({"tilt": 0.781}, "which writes `price` in place of `tilt`"),
        ({"bounds": {"en/IQ": 3.12}}, "'en/IQ' is 3.12; it must be a probability; bounds of an earlier version"),
        ({"bounds": {"en/IQ": -(10**300)}}, "'en/IQ' is -1000.*; it must be a probability$"),
        *(
            ({name: 10**digits}, message)
            for name in ("price", "at_most", "least_score")
            for digits, message in ((300, f"{name} is 1000.*; it must be a"), (400, "is not a finite number"))
        ),
        *(
            ({"bounds": {"en": 0.9, name: 0.9}}, f"no group of bounds can be '{name}': the form is LANGUAGE/AXIS")
            for name in ("", "/IQ", "en/", "en/IQ/code", "/")
        ),
        ({"bounds": {"en/iq": 0.9}}, "the axis 'iq', not one of IQ, EQ, general; did you mean 'IQ'"),
        ({"bounds": {"EQ": 0.9, "en": 0.9}, "by": "axis"}, "the axis 'en', not one of"),
        ({"bounds": {"en/IQ/arts": 0.9}, "by": ["language", "axis", "domain"]}, "but the axis of arts is EQ"),
        ({"bounds": {"en": 0.9}, "by": []}, "no group of bounds can be 'en': the form is all"),
        ({"min_count": 0}, "min_count is 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        judged(tmp_path, [], "keep_rate", **options)


def test_another_baseline_than_the_samples_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "given", "filter", pool_rows(), [], extra={"baseline": baseline(300, 100_000).as_json()})
    with pytest.raises(UsageError, match="of is 'ccnet', but the audit sample went through 'falcon'"):
        rated(tmp_path, tmp_path / "given", of="ccnet")


def test_languages_that_no_bound_names_are_told(tmp_path: Path) -> None:
    rows = [document(n) | {"language": "en" if n % 2 else "zh", "language_score": 0.9} for n in range(6)]
    make_dataset(tmp_path / "given", "filter", rows, [])
    told = "; no bound is of zh: the highest of the others decides there"
    for number, (bounds, says) in enumerate([({"en": 0.8}, True), ({"en": 0.8, "zh/IQ": 0.8}, False), ({}, False)]):
        made = rated(tmp_path / str(number), tmp_path / "given", bounds=bounds)
        assert made.manifest.extra["pool"]["note"].endswith(told) is says


def test_bounds_of_groups_that_are_perhaps_misspelt_are_told(tmp_path: Path) -> None:
    languages = ["en"] * 5 + ["fra_Latn"]  # labels of one's own model
    rows = [
        document(n) | {"language": name, "domain": "own", "language_score": 0.9} for n, name in enumerate(languages)
    ]
    make_dataset(tmp_path / "given", "filter", rows, [])
    by = ["language", "axis", "domain"]
    fine = {"en/general/own": 0.8, "fra_Latn/general": 0.8, "en/EQ/arts": 0.8, "zh/EQ": 0.8}
    for number, odd in enumerate(({}, {"en/EQ/artz": 0.8}, {"enlish/EQ": 0.8}, {"eng": 0.8}, {"eng_Latn/IQ": 0.8})):
        made = rated(tmp_path / str(number), tmp_path / "given", bounds={**fine, **odd}, by=by)
        told = made.manifest.extra["pool"]["note"].partition("; ")[2]
        assert told == "".join(
            f"no document is of {name}, of which there are bounds: perhaps the name is misspelt" for name in odd
        )


def test_frozen_bounds_that_keep_more_than_at_most_are_told(tmp_path: Path) -> None:
    extra = {"baseline": baseline(300, 100_000).as_json()}
    make_dataset(tmp_path / "given", "filter", pool_rows(), [], extra=extra)
    strict = rated(tmp_path / "strict", tmp_path / "given", bounds={"en": 0.99, "zh": 0.99}, frozen=True)
    assert strict.manifest.extra["pool"]["note"] == "" and strict.manifest.shards.sums.rows < 27
    loose = rated(tmp_path / "loose", tmp_path / "given", bounds={"en": 0.01, "zh": 0.01}, frozen=True)
    sums, pool = loose.manifest.shards.sums, loose.manifest.extra["pool"]
    own = sum(row["own_bounds_keep"] for row in pool["drift"])
    assert pool["note"] == (
        f"the recipe's bounds keep {sums.rows / 300:.3g} of the documents and {sums.tokens / 1e5:.3g} of the tokens "
        f"that falcon would, above at_most 0.09 ({sums.rows} documents, where the pool's own bounds would keep {own})"
    )


def test_run_compare_and_report_say_why_a_pool_had_no_bounds_of_its_own(tmp_path: Path) -> None:
    made = pool_recipe(tmp_path / "keep.toml", "keep_rate", signal="language_score", of="falcon", bounds={"en": 0.88})
    other = pool_recipe(tmp_path / "half.toml", "quantile", signal="language_score", keep=0.5, side="high")
    rows = [document(n) | {"language": "en", "language_score": 0.9} for n in range(3)]
    make_dataset(tmp_path / "given", "filter", rows, [])
    note = "rule: no audit sample came with these documents: the bounds of the recipe are used"
    for name in ("one", "two"):
        words = ("--recipe", made, "--input", tmp_path / "given", "--out", tmp_path / name)
        assert note in refinery("run", *words).splitlines() and answer("run", *words)["pool_notes"] == [note]
    both = refinery("compare", "--recipe", made, other, "--input", tmp_path / "given", "--out", tmp_path / "both")
    assert both.count(note) == 1
    refinery("report", "--run", tmp_path / "one", tmp_path / "both", "--out", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count(f"{note}.") == 2
