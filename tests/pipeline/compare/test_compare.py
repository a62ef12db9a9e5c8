"""`compare`: shared stages are made once, ratios agree with the counts, and the result is stored."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.inputs.hosts import host_of
from tests.pipeline.command import answer, refinery
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import small

Compared = tuple[Path, dict[str, Any]]  # the folder, and the JSON that was printed


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compare")
    write_crawl(folder / "crawl", files=1)
    (folder / "lax.toml").write_text(small())
    (folder / "strict.toml").write_text(small(least=400))
    recipes = ("--recipe", folder / "strict.toml", folder / "lax.toml")
    return folder, answer("compare", *recipes, "--input", folder / "crawl", "--out", folder / "out")


def test_ratios_are_of_what_was_kept(compared: Compared) -> None:
    folder, output = compared
    strict, lax = str(folder / "strict.toml"), str(folder / "lax.toml")
    recipes, ratio = output["recipes"], output["ratio"][strict][lax]
    kept, all_kept = recipes[strict]["docs"], recipes[lax]["docs"]
    assert 0 < kept < all_kept
    assert ratio["docs"] == round(kept / all_kept, 6)
    low, high = ratio["docs_interval"]
    assert low <= ratio["docs"] <= high


def test_shared_stages_are_made_once(compared: Compared) -> None:
    folder, _ = compared
    names = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "out").glob("0*"))
    assert names.count("01-ingest") == names.count("02-extract") == 1
    assert names.count("03-filter") == 2


def test_the_tables_are_printed_and_stored(compared: Compared) -> None:
    folder, output = compared
    strict, lax = str(folder / "strict.toml"), str(folder / "lax.toml")
    pair = output["overlap"][lax][strict]
    assert pair["only"] == output["recipes"][lax]["docs"] - pair["both"] > 0
    assert pair["steps"] == {"size": pair["only"]} and pair["rejected_by"] == {"size/min_words": pair["only"]}
    cost = output["cost"]["recipes"][strict]
    assert cost["seconds"] > 0 and cost["documents_per_cpu_second"] > 0
    kept = json.loads((folder / "out" / "comparison.json").read_text())
    assert kept == {name: value for name, value in output.items() if name != "cost"}
    assert json.loads((folder / "out" / "run.json").read_text())["cost"] == output["cost"]


def test_the_same_bytes_with_any_number_of_workers_and_texts_may_be_added(compared: Compared, tmp_path: Path) -> None:
    folder, _ = compared
    recipes = ("--recipe", folder / "lax.toml", folder / "strict.toml", "--input", folder / "crawl")
    again = answer("compare", *recipes, "--out", tmp_path / "out", "--workers", "2")
    first, second = ((place / "out" / "comparison.json").read_bytes() for place in (folder, tmp_path))
    assert first == second
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"url": "http://host0.example/0", "text": "' + "word " * 300 + '"}\n')
    more = answer("compare", *recipes, "--out", tmp_path / "out", "--gold", gold)
    rows = more.pop("gold")["rows"]
    assert more == again and rows[0]["pages"]["long"] == 1
    assert rows[0]["kept"][str(folder / "lax.toml")]["long"] == 1
    text = refinery("compare", *recipes, "--out", tmp_path / "out", "--gold", gold)
    assert "what a recipe keeps that another rejects" in text and "true text of 200 words" in text


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://A.example/x", "a.example"), ("https://unknown.invalid/1", ""), ("", ""), (None, ""), ("http://[x", "")],
)
def test_hosts(url: str | None, host: str) -> None:
    assert host_of(url) == host
