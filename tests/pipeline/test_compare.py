"""`compare`: shared stages are made once, ratios and intervals are what the counts say."""

from pathlib import Path

import pytest

from pipeline.compare import host_of, interval
from tests.pipeline.command import answer, refinery
from tests.pipeline.pages import RECIPE, write_crawl


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, dict[str, object]]]]:
    folder = tmp_path_factory.mktemp("compare")
    write_crawl(folder / "crawl", files=1)
    (folder / "lax.toml").write_text(RECIPE)
    (folder / "strict.toml").write_text(RECIPE.replace("min = 50", "min = 400"))
    words = (
        "--recipe",
        folder / "strict.toml",
        folder / "lax.toml",
        "--input",
        folder / "crawl",
        "--out",
        folder / "out",
    )
    return folder, answer("compare", *words)


def test_ratios_are_of_what_was_kept(compared: tuple[Path, dict[str, dict[str, dict[str, object]]]]) -> None:
    folder, told = compared
    strict, lax = str(folder / "strict.toml"), str(folder / "lax.toml")
    recipes, ratio = told["recipes"], told["ratio"][strict][lax]
    assert isinstance(ratio, dict)
    kept, all_kept = recipes[strict]["docs"], recipes[lax]["docs"]
    assert isinstance(kept, int) and isinstance(all_kept, int) and 0 < kept < all_kept
    assert ratio["docs"] == round(kept / all_kept, 6)
    low, high = ratio["docs_interval"]
    assert low <= ratio["docs"] <= high


def test_shared_stages_are_made_once(compared: tuple[Path, dict[str, dict[str, dict[str, object]]]]) -> None:
    folder, _ = compared
    names = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "out").glob("0*"))
    assert names.count("01-ingest") == names.count("02-extract") == 1
    assert names.count("03-filter") == 2


def test_one_recipe_is_no_comparison(tmp_path: Path) -> None:
    words = ("compare", "--recipe", "yi", "--input", tmp_path, "--out", tmp_path / "out")
    (tmp_path / "x.warc").write_bytes(b"x")
    assert "two recipes" in refinery(*words, code=2)


def test_intervals_follow_hosts_not_pages() -> None:
    spread = {f"h{i}": 1 for i in range(100)}
    one_host = {"h0": 100}
    low, high = interval({f"h{i}": 1 for i in range(0, 100, 2)}, spread) or [0, 0]
    assert 0.3 < low < 0.5 < high < 0.7
    assert interval(one_host, one_host | {"h1": 100}) != interval(spread, spread)
    assert interval(spread, {}) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://A.example/x", "a.example"), ("https://unknown.invalid/1", ""), ("", ""), (None, ""), ("http://[x", "")],
)
def test_hosts(url: str | None, host: str) -> None:
    assert host_of(url) == host
