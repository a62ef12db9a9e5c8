"""What a baseline would keep, estimated on a sample: exact when all pages are sampled, else within its interval."""

import random
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset, SideBySide
from pipeline.job.baseline import Baseline, BaselineTally, baseline_of, estimated, strictness
from tests.pipeline.command import answer, refinery
from tests.pipeline.datasets import document, make_dataset
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import PREFILTER, judge, small

Drawn = list[tuple[int, int, int | None]]


def crawl(draw: random.Random, pages: int) -> Drawn:
    """Pages as (step of the prefilter where they end, characters, tokens that the baseline keeps)."""
    made: Drawn = []
    for _ in range(pages):
        outcome = draw.choice([2, 4, 9])
        chars = int(draw.lognormvariate(7, 1.0))
        keeps = draw.random() < {2: 0.02, 4: 0.3, 9: 0.8}[outcome]
        made.append((outcome, chars, int(chars / 5 * draw.uniform(0.5, 1)) + 1 if keeps else None))
    return made


def tallied(pages: Drawn, sampled: set[int], share: float) -> Baseline:
    tally = BaselineTally()
    for number, (outcome, chars, tokens) in enumerate(pages):
        stratum = tally.page(outcome, chars, share, "en" if outcome == 9 else None)
        if number in sampled:
            tally.sampled(stratum, chars, tokens)
    return estimated("falcon", tally.counts)


def truth(pages: Drawn) -> tuple[int, int]:
    kept = [tokens for _, _, tokens in pages if tokens is not None]
    return len(kept), sum(kept)


def test_a_sample_of_all_pages_has_no_error() -> None:
    pages = crawl(random.Random(1), 700)
    found = tallied(pages, set(range(700)), 1.0)
    docs, tokens = truth(pages)
    assert (found.pages, found.sampled, found.docs, found.tokens) == (700, 700, docs, tokens)
    assert found.docs_interval == [docs, docs] and found.tokens_interval == [tokens, tokens]
    assert found.languages == {"en": sum(outcome == 9 for outcome, _, _ in pages)}


def test_the_interval_of_a_sample_holds_the_truth_about_as_often_as_it_says() -> None:
    draw, inside = random.Random(5), [0, 0]
    rounds = 150
    for _ in range(rounds):
        pages = crawl(draw, 2000)
        found = tallied(pages, set(draw.sample(range(2000), 300)), 0.15)
        for unit, (true, (low, high)) in enumerate(
            zip(truth(pages), (found.docs_interval, found.tokens_interval), strict=True)
        ):
            assert low is not None and high is not None
            inside[unit] += low <= true <= high
    assert min(inside) / rounds >= 0.87


def test_strata_make_the_estimate_of_tokens_nearer_than_the_plain_mean() -> None:
    draw, error, plain = random.Random(8), 0.0, 0.0
    for _ in range(100):
        pages = crawl(draw, 2000)
        sampled = set(draw.sample(range(2000), 300))
        true = truth(pages)[1]
        error += (tallied(pages, sampled, 0.15).tokens / true - 1) ** 2
        plain += (sum(pages[n][2] or 0 for n in sampled) * 2000 / 300 / true - 1) ** 2
    assert error < 0.75 * plain


def test_nothing_kept_by_the_baseline_leaves_an_upper_end() -> None:
    found = tallied([(2, 100, None)] * 500, set(range(100)), 0.2)
    assert found.docs == 0 and found.docs_interval[0] == 0
    assert 0 < (found.docs_interval[1] or 0) < 25 and found.tokens_interval == [0.0, None]
    kept = strictness(3, 900, found)
    assert kept["docs"]["share"] is None and kept["docs"]["interval"][1] is None
    assert kept["tokens"] == {"share": None, "interval": [0.0, None]}


def test_counters_add_up_in_any_order() -> None:
    pages = crawl(random.Random(2), 400)
    whole = tallied(pages, set(range(0, 400, 3)), 1 / 3)
    parts = [BaselineTally(), BaselineTally()]
    for number, (outcome, chars, tokens) in reversed(list(enumerate(pages))):
        tally = parts[number % 2]
        stratum = tally.page(outcome, chars, 1 / 3, "en" if outcome == 9 else None)
        if number % 3 == 0:
            tally.sampled(stratum, chars, tokens)
    assert estimated("falcon", parts[1].counts + parts[0].counts) == whole


def test_several_datasets_are_summed_and_others_have_none(tmp_path: Path) -> None:
    one = tallied(crawl(random.Random(3), 300), set(range(0, 300, 2)), 0.5)
    rows = [document(1)]
    first, second, bare = (
        make_dataset(tmp_path / str(number), "filter", rows, [], extra=extra)
        for number, extra in enumerate([{"baseline": one.as_json()}, {"baseline": one.as_json()}, {}])
    )
    both = baseline_of(SideBySide((first, second)))
    assert baseline_of(first) == one and both is not None
    assert (both.docs, both.tokens, both.languages["en"]) == (2 * one.docs, 2 * one.tokens, 2 * one.languages["en"])
    assert baseline_of(bare) is None and baseline_of(SideBySide((first, bare))) is None


@pytest.fixture(scope="module")
def run_with_baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every page is sampled; the prefilter rejects those of fewer than 440 words; the baseline takes whatever has a
    text."""
    folder = tmp_path_factory.mktemp("baseline")
    write_crawl(folder / "crawl", files=2, each=14)
    size = judge("prefilter-size", {"signal": "words", "min": 440})
    keys = {"audit": 0.01, "audit_pages": 28, "baseline": "extract"}
    (folder / "recipe.toml").write_text(small(PREFILTER, size, **keys))
    refinery("run", "--recipe", folder / "recipe.toml", "--input", folder / "crawl", "--out", folder / "out")
    return folder


def test_the_manifest_says_what_the_baseline_keeps(run_with_baseline: Path) -> None:
    out = run_with_baseline / "out"
    manifests = [Dataset(path).manifest for path in sorted(out.iterdir()) if path.is_dir() and path.name[0] == "0"]
    extracted = Baseline.read(manifests[1].extra["baseline"])
    assert (extracted.pages, extracted.sampled, extracted.docs) == (28, 28, 28)
    assert not any(name.startswith("sum/") for name in manifests[1].counts)
    filtered, same_text = (Baseline.read(manifests[number].extra["baseline"]) for number in (2, 3))
    assert filtered == extracted
    left = manifests[3].counts["out"] / manifests[3].counts["in"]
    assert same_text.docs == pytest.approx(extracted.docs * left, rel=1e-6) and left < 1


def test_run_and_compare_say_how_strict_they_were(run_with_baseline: Path, tmp_path: Path) -> None:
    words = ("--recipe", run_with_baseline / "recipe.toml", "--input", run_with_baseline / "crawl")
    found = answer("run", *words, "--out", run_with_baseline / "out")
    last = Dataset(Path(found["result"])).manifest
    estimate = Baseline.read(last.extra["baseline"])
    assert found["strictness"] == strictness(last.counts["out"], last.shards.sums.tokens, estimate)
    text = refinery("run", *words, "--out", run_with_baseline / "out")
    assert f"strictness: {found['strictness']['docs']['share']:.4f}" in text and "28 of 28 pages" in text
    report = tmp_path / "report.html"
    refinery("report", "--run", run_with_baseline / "out", "--out", report)
    assert "that extract&#x27;s rules would keep" in report.read_text().replace("&#39;", "&#x27;")


def test_the_same_bytes_with_several_workers(run_with_baseline: Path, tmp_path: Path) -> None:
    words = ("--recipe", run_with_baseline / "recipe.toml", "--input", run_with_baseline / "crawl")
    refinery("run", *words, "--out", tmp_path / "out", "--workers", "2")
    for name in ("02-extract", "04-same-text"):
        made = (tmp_path / "out" / name / "manifest.json").read_bytes()
        assert made == (run_with_baseline / "out" / name / "manifest.json").read_bytes()
