"""`explain`: a Chinese page, a reject of the prefilter, a page of the audit sample, copies, the threshold of a pool."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.explain.copies import MAX_LINES, text_changes
from pipeline.explain.text import explain_text
from tests.files import write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.here import datasets, explained, run_here
from tests.pipeline.pages import sentences, write_recipe
from tests.pipeline.recipe_texts import REMOVE_URLS, judge, recipe, stage
from tests.pipeline.recipe_texts import step as recipe_step
from tests.pipeline.two_languages import two_extractions, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, two_language_models: Path) -> Path:
    folder = write_world(tmp_path_factory.mktemp("explain") / "world", two_language_models)
    run(folder, "out")
    return folder


def run(world: Path, out: str, recipe: str = "prefilter.toml") -> Path:
    run_here(world / recipe, world / "crawl", world / out, world / "models")
    return world / out


def explain_one(world: Path, url: str, out: str = "out") -> dict[str, Any]:
    return explained(url, world / out, models=world / "models")


def step(one: dict[str, Any], rule: str) -> dict[str, Any]:
    return next(s for s in one["steps"] if f"{s['step']}/{s['rule']}" == rule)


def test_a_chinese_page_meets_the_steps_of_its_language(world: Path) -> None:
    one = explain_one(world, "http://zh0.example/0")
    assert one["language"] == "zh"
    assert step(one, "chinese/min_han_fraction")["value"] > 0.9
    names = {s["step"] for s in one["steps"]}
    assert "english" not in names and "perplexity" not in names
    combined = step(one, "quality/combine")
    assert combined["values"]["perplexity"] is None and combined["terms"]["perplexity"] == 0.25
    assert "。" in one["text_before"]


def test_every_replayed_stage_agrees_with_the_run(world: Path) -> None:
    """Every document ends in the same state as in the run's datasets."""
    last = Dataset(world / "out" / "07-privacy")
    kept = {row["url"]: row["text"] for row in last.to_arrow().to_pylist()}
    ledgers = [dataset.ledger().to_pylist() for dataset in datasets(world / "out")]
    lost = {row["url"]: f"{row['step']}/{row['rule']}" for ledger in ledgers for row in ledger}
    urls = ["http://en0.example/0", "http://zh1.example/3", "http://copy.example/same-bytes", "http://en1.example/1",
            "http://blocked.example/1", "http://write.example/1", "http://copy.example/nearly"]  # fmt: skip
    for url in urls:
        one = explain_one(world, url)
        if one["state"] == "kept":
            assert one["text_after"] == kept[url]
        else:
            assert lost[url] in one["rejected_by"] and url not in kept


def test_the_prefilter_shows_its_values(world: Path) -> None:
    one = explain_one(world, "http://short.example/1")
    assert one["rejected_by"] == ["prefilter-size/min_characters"]
    assert [s["step"] for s in one["steps"]] == ["payload", "url", "prefilter", "prefilter-size"]
    assert one["text_before"] == "Please log in. 1"
    assert not one["audit_sample"]


def test_a_page_of_the_audit_sample_is_let_through(world: Path) -> None:
    (world / "audit.toml").write_text(two_extractions(audit=1))
    run(world, "audited", "audit.toml")
    one = explain_one(world, "http://short.example/1", "audited")
    prefilter = step(one, "prefilter-size/min_characters")
    assert one["audit_sample"] and not prefilter["passed"] and prefilter["let_through"] == "audit"
    assert one["rejected_by"][0].startswith(("language/", "english/"))
    assert [s["step"] for s in one["steps"]][2:5] == ["prefilter", "prefilter-size", "extract"]
    assert "let through: the page is in the audit sample" in explain_text(one)


def test_terms_of_a_combination_add_up(world: Path) -> None:
    one = explain_one(world, "http://en0.example/3")
    combined = step(one, "quality/combine")
    assert set(combined["terms"]) == {"words", "perplexity"} == set(combined["values"])
    total = combined["intercept"] + sum(combined["terms"].values())
    assert 1 / (1 + 2.718281828459045**-total) == pytest.approx(combined["value"], abs=1e-3)
    assert f"for words {combined['values']['words']:.4g}" in explain_text(one)


def test_a_combination_in_the_prefilter_adds_up_too(world: Path) -> None:
    terms = [{"signal": "characters", "at": [1], "add": [0.25]}]
    prefilter = recipe_step("combine", name="prefilter-sum", signal="quality", intercept=0.5, terms=terms)
    (world / "prefilter-sum.toml").write_text(two_extractions(0, prefilter))
    run(world, "prefilter-sum", "prefilter-sum.toml")
    one = explain_one(world, "http://en0.example/3", "prefilter-sum")
    assert step(one, "prefilter-sum/combine")["values"]["characters"] > 100
    assert "+0.5000 intercept" in explain_text(one) and "+0.2500 for characters" in explain_text(one)


def test_the_threshold_is_the_pools(world: Path) -> None:
    pool = Dataset(world / "out" / "05-best").manifest.extra["pool"]
    one = explain_one(world, "http://en2.example/11")
    best = next(s for s in one["steps"] if s["step"] == "best")
    assert best["rule"] == "min_quality" and best["threshold"] == best["group"]["threshold"]
    assert best["group"]["group"] == "en" and pool["signal"] == "quality"
    assert best["passed"] == (best["value"] >= best["threshold"])


@pytest.mark.parametrize("by", ["language", "all"])
def test_the_threshold_of_documents_without_a_language(by: str, tmp_path: Path) -> None:
    texts = [" ".join(sentences(number)[: number % 5 + 1]) for number in range(20)]
    rows = [{"text": text, "id": f"n{number}", "language": None} for number, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = {"signal": "words", "keep": 0.5, "side": "high", "by": by, "min_count": 2}
    best = stage("best", "filter", recipe_step("pool", name="best", method="quantile", options=options))
    (tmp_path / "best.toml").write_text(recipe("best", best))
    made = run_here(tmp_path / "best.toml", tmp_path / "texts.jsonl", tmp_path / "out")
    (group,) = made.last.manifest.extra["pool"]["groups"]
    for ident in ("n0", "n4"):
        (found,) = explained(ident, tmp_path / "out")["steps"]
        assert (found["group"], found["rule"], found["threshold"]) == (group, "min_words", group["threshold"])
        assert found["passed"] == (found["value"] >= group["threshold"])


def test_copies_come_with_evidence(world: Path) -> None:
    near = explain_one(world, "http://copy.example/nearly")
    (copy,) = near["duplicates"]
    assert copy["url"] == "http://en1.example/7" and copy["similarity"] >= copy["threshold"]
    shared = copy["shingles"]
    assert 0 < shared["shared"] <= shared["theirs"] < shared["mine"]
    assert copy["line"] and copy["line"] in near["text_after"]
    (stayed,) = explain_one(world, "http://en1.example/7")["duplicates"]
    assert stayed["url"] == "http://copy.example/nearly" and stayed["removed"] == near["id"]
    pair = [explain_one(world, url) for url in ("http://en1.example/1", "http://copy.example/same-bytes")]
    lost = next(one for one in pair if one["state"] == "rejected")
    assert lost["rejected_by"] == ["payload/copy_payload"] and lost["duplicates"][0]["shingles"] is None
    assert lost["duplicates"][0]["survivor"] == next(one["id"] for one in pair if one["state"] == "kept")
    assert [s["step"] for s in lost["steps"]] == ["payload"]


def test_edits_are_shown_as_lines(world: Path) -> None:
    one = explain_one(world, "http://write.example/1")
    assert step(one, "mask_email/mask_email")["changes"]["lines"] == [
        "- Write to a.b@mail.example or see .",
        "+ Write to email@example.com or see .",
    ]
    assert "http://x.example/y" in one["text_before"] and "http://x.example/y" not in one["text_after"]
    words = ("explain", "http://write.example/1", "--run", world / "out", "--models", world / "models")
    assert "+ Write to email@example.com" in refinery(*words)
    assert answer(*words) == [one]


def test_an_equivalent_url_is_found(world: Path) -> None:
    assert explain_one(world, "HTTPS://EN0.example/0/?utm_source=x")["url"] == "http://en0.example/0"


def test_a_run_of_documents_is_replayed_from_their_file(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    rows = [{"text": "\n".join(sentences(i)) + "\nsee http://x.example/ now", "id": f"n{i}"} for i in range(4)]
    rows.append({"text": "too short, see http://x.example/ now", "id": "short"})
    file = write_rows(tmp_path / "texts.jsonl", rows)
    run_here(recipe, file, tmp_path / "out")
    kept = explained("n1", tmp_path / "out")
    assert kept["text_before"] == rows[1]["text"] and "http" not in kept["text_after"]
    short = explained("short", tmp_path / "out")
    assert short["rejected_by"] == ["size/min_words"] and step(short, "size/min_words")["value"] == 4
    file.rename(tmp_path / "moved.jsonl")
    assert "--source ROOT" in refinery("explain", "n1", "--run", tmp_path / "out", code=2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved.jsonl").rename(tmp_path / "elsewhere" / "texts.jsonl")
    assert explained("n1", tmp_path / "out", tmp_path / "elsewhere")["state"] == "kept"


def test_a_run_that_began_at_a_dataset_needs_its_folder(world: Path, tmp_path: Path) -> None:
    later = stage("filter", "filter", REMOVE_URLS, judge("size", {"signal": "words", "min": 50}))
    (tmp_path / "later.toml").write_text(recipe("later", later))
    run_here(tmp_path / "later.toml", world / "out" / "03-extract", tmp_path / "out")
    url = "http://write.example/1"
    with pytest.raises(UsageError, match="--source DATASET"):
        explained(url, tmp_path / "out")
    one = explained(url, tmp_path / "out", world / "out" / "03-extract")
    assert "http://x.example/y" in one["text_before"] and "http://x.example/y" not in one["text_after"]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a\nb\nc", "a\nc", ["- b"]),
        ("a\na\n\n", "a", ["- a"]),
        ("a", "a", []),
        ("x\ny", "X\nY", ["- x", "+ X", "- y", "+ Y"]),
        ("\ud800\0", "", ["- \ud800\0"]),
    ],
)
def test_changes_are_removed_and_added_lines(before: str, after: str, lines: list[str]) -> None:
    assert text_changes(before, after)["lines"] == lines


def test_changes_are_counted_in_full_and_shown_in_short() -> None:
    changes = text_changes("\n".join(str(i) for i in range(50_000)), "")
    assert changes["removed"] == 50_000 and len(changes["lines"]) == MAX_LINES
