"""`measure`: every signal of every document, on the text that the recipe measures; nothing is dropped or judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from filters.catalog import SIGNALS
from filters.catalog import measure as measure_view
from filters.url import UrlLists
from filters.view import View
from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import open_context
from pipeline.models.loaded import loaded_models
from pipeline.recipes.curves import with_curves
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.revise.measure import measure, measured, measuring_steps, plan
from pipeline.steps.combine import Combine
from pipeline.steps.judge import Judge
from pipeline.steps.label import Label
from tests.files import flip
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.here import run_here
from tests.pipeline.pages import sentences, write_warc
from tests.pipeline.recipe_texts import REMOVE_URLS, judge, stage, step
from tests.pipeline.two_languages import content, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, two_language_models: Path) -> Path:
    folder = write_world(tmp_path_factory.mktemp("measure") / "world", two_language_models)
    here(folder, folder / "crawl", folder / "measured")
    run_here(folder / "prefilter.toml", folder / "crawl", folder / "out", folder / "models")
    return folder


def words(world: Path) -> tuple[object, ...]:
    recipe = ("--recipe", world / "prefilter.toml", "--models", world / "models")
    return (*recipe, "--input", world / "crawl")


def here(world: Path, given: Path, out: Path, *signals: str, engine: str = "local") -> Dataset:
    with open_engine(engine) as made:
        context = open_context(str(world / "prefilter.toml"), made, str(world / "models"))
        return measure(context, read_inputs([str(given)]), out, signals)


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in Dataset(folder).to_arrow().to_pylist()}


def test_nothing_is_dropped(world: Path) -> None:
    dataset = Dataset(world / "measured")
    check_invariant(dataset.manifest)
    assert dataset.verify() == []
    assert dataset.manifest.counts["out"] == len(content())
    assert set(rows(world / "measured")) == {url for url, _ in content()}
    assert {"01-ingest", "02-extract"} == {path.name for path in (world / "measured" / "stages").iterdir()}


def test_every_signal_is_there_and_is_the_catalogs(world: Path) -> None:
    dataset = Dataset(world / "measured")
    names = set(signal_names(dataset.schema))
    assert set(SIGNALS) | {"quality", "perplexity"} <= names
    lists = UrlLists.of(domains=["blocked.example"])
    for row in dataset.to_arrow().to_pylist():
        view = View(row["text"], url=row["url"], language=row["language"])
        expected = measure_view(view, sorted(SIGNALS), lists)
        assert {name: row["signals"][name] for name in expected} == expected, row["url"]


def test_the_signals_equal_those_of_the_run(world: Path) -> None:
    """Kept documents have their judges' numbers: `measure` has the same."""
    every = rows(world / "measured")
    for url, row in rows(world / "out" / "04-filter").items():
        for name, value in row["signals"].items():
            # null there: a judge of another language alone asks for it
            if value is not None and name not in ("audit_sample", "prefilter_rejected"):
                assert every[url]["signals"][name] == value, (url, name)
        assert every[url]["text"] == row["text"]


def test_labels_are_null_for_other_languages(world: Path) -> None:
    for url, row in rows(world / "measured").items():
        english = row["language"] == "en"
        assert english == (row["signals"]["perplexity"] is not None), url
        assert row["signals"]["quality"] is not None
        assert row["signals"]["han_fraction"] is not None


def test_edits_before_a_judge_are_made_and_edits_after_the_last_are_not(world: Path) -> None:
    text = rows(world / "measured")["http://write.example/1"]["text"]
    assert "a.b@mail.example" in text and "http://x.example" not in text


def test_the_lists_are_the_recipes(world: Path) -> None:
    every = rows(world / "measured")
    assert every["http://blocked.example/1"]["signals"]["url_blocked_domain"] == 1
    assert every["http://en0.example/0"]["signals"]["url_blocked_domain"] == 0
    assert every["http://en0.example/0"]["signals"]["url_hard_words"] is None


@pytest.mark.long
def test_the_same_bytes_with_any_workers_and_engine(world: Path, tmp_path: Path) -> None:
    refinery("measure", *words(world), "--out", tmp_path / "two", "--workers", 2)
    assert made(tmp_path / "two") == made(world / "measured")
    here(world, world / "crawl", tmp_path / "beam", engine="beam")
    assert made(tmp_path / "beam") == made(world / "measured")


def test_a_second_call_redoes_nothing(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (world / "measured").rglob("part-*.parquet")}
    output = answer("measure", *words(world), "--out", world / "measured")
    assert {path: path.stat().st_mtime_ns for path in (world / "measured").rglob("part-*.parquet")} == before
    assert output["counts"]["out"] == len(content()) and "quality" in output["signals"]
    assert "signals" in refinery("measure", *words(world), "--out", world / "measured", "--signals", "words", code=2)


def test_some_signals_only(world: Path, tmp_path: Path) -> None:
    here(world, world / "crawl", tmp_path / "a", "words", "quality")
    assert set(signal_names(Dataset(tmp_path / "a").schema)) == {"words", "quality", "replaced_characters"}
    some, every = rows(tmp_path / "a"), rows(world / "measured")
    for url, row in some.items():
        assert row["signals"]["quality"] == every[url]["signals"]["quality"]
    refinery("measure", *words(world), "--out", tmp_path / "command", "--signals", "words", "--signals", "quality")
    assert rows(tmp_path / "command") == some
    here(world, world / "crawl", tmp_path / "b", "recipe")
    assert set(signal_names(Dataset(tmp_path / "b").schema)) == {
        "words", "mean_word_length", "han_fraction", "quality", "perplexity", "characters", "url_blocked_domain",
        "replaced_characters",
    }  # fmt: skip


def test_what_cannot_be_extracted_is_in_the_ledger(world: Path, tmp_path: Path) -> None:
    write_warc(tmp_path / "c.warc.gz", [("http://a.example/", "<html><body></body></html>"), *content()[:3]])
    dataset = here(world, tmp_path / "c.warc.gz", tmp_path / "out")
    check_invariant(dataset.manifest)
    assert dataset.manifest.rejected_by == {"extract/extract/empty": 1}
    assert dataset.ledger()["url"].to_pylist() == ["http://a.example/"]
    flip(tmp_path / "c.warc.gz", 1200)
    refinery("measure", *words(world)[:-1], tmp_path / "c.warc.gz", "--out", tmp_path / "damaged", code=1)
    counts = Dataset(tmp_path / "damaged").manifest.counts
    assert counts["in"] == counts["out"] + counts["rejected"] and counts["rejected"] >= 1


def test_documents_and_datasets_are_measured_as_they_are(world: Path, tmp_path: Path) -> None:
    here(world, world / "out" / "03-extract", tmp_path / "a")
    every = rows(world / "measured")
    for url, row in rows(tmp_path / "a").items():
        assert {n: row["signals"][n] for n in SIGNALS} == {n: every[url]["signals"][n] for n in SIGNALS}
    file = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": "\n".join(sentences(i)), "url": f"http://a/{i}"}) for i in range(5)]
    file.write_text("\n".join([*lines, "no document"]))
    counts = here(world, file, tmp_path / "b").manifest.counts
    assert (counts["out"], counts["rejected"]) == (5, 1)
    here(world, world / "measured" / "stages" / "01-ingest", tmp_path / "c")
    assert rows(tmp_path / "c") == every


def test_signals_without_a_step() -> None:
    yi = load_recipe("yi")
    assert {"quality", "perplexity"} <= set(plan(yi).names)
    with pytest.raises(UsageError, match="did you mean 'words'"):
        plan(yi, ["wordz"])
    with pytest.raises(UsageError, match="no label or combine step that sets the signal 'cluster'"):
        plan(yi, ["cluster"])


def test_unneeded_labels_are_not_run() -> None:
    yi = load_recipe("yi")
    chosen = plan(yi, ["words"]).steps
    assert not [step for step in chosen if isinstance(step, Combine)]
    assert {step.what for step in chosen if isinstance(step, Label)} <= {"language", "domain"}


def test_what_a_combination_reads_is_known_from_its_file() -> None:
    chosen = plan(with_curves(load_recipe("yi")), ["quality"])
    asked = {step.what for step in chosen.steps if isinstance(step, Label)}
    assert asked == {"language", "bag_of_words", "reference", "perplexity", "domain", "hate", "grade", "properties"}
    assert {"quality-en.json", "quality-zh.json", "perplexity-en"} <= set(chosen.models())


def test_a_judge_measures_the_text_before_later_edits() -> None:
    """A signal of two judges is measured at the first; one of none on the last text."""
    one = judge("one", {"signal": "characters", "min": 1})
    two = judge("two", {"signal": "characters", "min": 9}, {"signal": "words", "min": 1})
    read = stage("a", "filter", one, REMOVE_URLS, two, step("rewrite", edit="mask_email"))
    recipe = parse_recipe({"stage": [read]}, "x")
    steps = measuring_steps(recipe)
    assert [step.name for step in steps] == ["one", "remove_urls", "two"]
    assert sum(isinstance(step, Judge) for step in steps) == 2
    document = Document("see http://x.example/ and a@b.example now")
    values = measured(document, plan(recipe), loaded_models(()), {})
    assert document.text == "see  and a@b.example now"
    assert values["characters"] == len("see http://x.example/ and a@b.example now")
    assert values["words"] == measure_view(View(document.text), ["words"])["words"]
