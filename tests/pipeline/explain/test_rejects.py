"""`rejects`: the rules of a run by what they rejected; of one rule a sample that is the same each time, with texts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.explain.rejects import RejectSampling, rejects, rules_of
from pipeline.explain.rejects_text import rejects_text
from pipeline.stages.final import datasets_in
from tests.pipeline.command import refinery
from tests.pipeline.here import run_here, takedown_here
from tests.pipeline.pages import article, sentences, write_recipe, write_warc
from tests.pipeline.recipe_texts import BRIEF, EXTRACT, INGEST, REMOVE_URLS, judge, recipe, stage
from tests.pipeline.two_languages import write_world

SPREAD = 60
Rows = list[dict[str, Any]]


def texts(count: int) -> list[str]:
    """Of 1, 2, 3, … words."""
    words = " ".join(sentences(3, count)).split()
    return [" ".join(words[: number + 1]) for number in range(count)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of which a rule rejects those of 1 to 60 words, another also those of 1 to 5 characters."""
    folder = tmp_path_factory.mktemp("rejects")
    rows = [{"text": text, "id": f"id-{number}", "url": f"http://a/{number}"} for number, text in enumerate(texts(90))]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rules = ({"signal": "words", "min": SPREAD + 1}, {"signal": "characters", "min": 60})
    (folder / "size.toml").write_text(recipe("size", stage("filter", "filter", judge("size", *rules))))
    run_here(folder / "size.toml", folder / "docs.jsonl", folder / "out")
    return folder


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory, two_language_models: Path) -> Path:
    """A run with a gate, a prefilter, copies by payload and near copies; and a damaged archive in another one."""
    folder = write_world(tmp_path_factory.mktemp("rejects-crawl") / "world", two_language_models)
    run_here(folder / "prefilter.toml", folder / "crawl", folder / "out", folder / "models")
    return folder


def of(run: Path, rule: str, **more: Any) -> Rows:
    found, faults = rejects(run, rule, **more)
    assert faults == []
    return found


def test_the_rules_are_those_of_the_manifests_with_the_most_first(crawl: Path) -> None:
    rows = rules_of(crawl / "out")
    there = {
        (each.manifest.stage, rule): number
        for each in map(Dataset, datasets_in(crawl / "out"))
        for rule, number in each.manifest.rejected_by.items()
    }
    assert {(row["stage"], row["rule"]): row["documents"] for row in rows} == there
    assert [row["documents"] for row in rows] == sorted((row["documents"] for row in rows), reverse=True)
    pages = Dataset(crawl / "out/01-ingest").manifest.counts["out"]
    assert all(row["share"] == row["documents"] / pages for row in rows)
    told = refinery("rejects", "--run", crawl / "out").splitlines()
    assert told[0].split() == ["documents", "share", "stage", "rule"] and len(told) == len(rows) + 1
    one = refinery("rejects", "--run", crawl / "out", "--stage", "extract", "--json").splitlines()
    assert [json.loads(line) for line in one] == rules_of(crawl / "out", "extract")


def test_a_small_rule_is_shown_whole_nearest_first(world: Path) -> None:
    found = of(world / "out", "size/min_words", sampling=RejectSampling(n=100))
    assert [row["value"] for row in found] == list(range(SPREAD, 0, -1))
    assert {row["threshold"] for row in found} == {SPREAD + 1}
    for row in found:
        assert row["text"] == texts(90)[int(row["value"]) - 1]
        assert [other["rule"] for other in row["also"]] == (["size/min_characters"] if len(row["text"]) < 60 else [])


def test_a_sample_is_spread_over_the_values_and_always_the_same(world: Path) -> None:
    found = of(world / "out", "size/min_words", sampling=RejectSampling(n=6))
    values = [row["value"] for row in found]
    tenth = SPREAD // 6
    assert [int((SPREAD - value) // tenth) for value in values] == list(range(6))  # one of every sixth
    assert of(world / "out", "size/min_words", sampling=RejectSampling(n=6)) == found
    others = [row["value"] for row in of(world / "out", "size/min_words", sampling=RejectSampling(n=6, seed=1))]
    assert others != values


def test_the_sample_is_not_that_of_the_partitions(world: Path, tmp_path: Path) -> None:
    """The same documents in several files, and so in another order and other partitions: the same hashes decide."""
    lines = (world / "docs.jsonl").read_text()
    assert of(world / "out", "size/min_words", sampling=RejectSampling(n=4))
    (tmp_path / "docs.jsonl").write_text(lines)
    (tmp_path / "more.jsonl").write_text(json.dumps({"text": "long " * 90}) + "\n")
    shutil.copy(world / "size.toml", tmp_path)
    run_here(tmp_path / "size.toml", tmp_path, tmp_path / "out")
    ids = [row["id"] for row in of(tmp_path / "out", "size/min_words", sampling=RejectSampling(n=4))]
    assert ids == [row["id"] for row in of(world / "out", "size/min_words", sampling=RejectSampling(n=4))]


def test_near_are_the_nearest_to_the_threshold(world: Path) -> None:
    found = of(world / "out", "size/min_words", sampling=RejectSampling(n=5, near=True))
    assert [row["value"] for row in found] == [60, 59, 58, 57, 56]


def test_texts_of_records_are_extracted_again_without_models(crawl: Path) -> None:
    (short, *_) = of(crawl / "out", "prefilter-size/min_characters")
    assert short["text"].startswith("Please log in.") and short["value"] == len(short["text"])
    (blocked, *_) = of(crawl / "out", "url/max_url_blocked_domain")  # rejected by its address, before any text
    assert blocked["url"].startswith("http://blocked.example/") and len(blocked["text"]) > 100


def test_copies_have_their_survivor(crawl: Path) -> None:
    (near, *_) = of(crawl / "out", "minhash/copy_minhash")
    assert (near["url"], near["survivor_url"]) == ("http://copy.example/nearly", "http://en1.example/7")
    assert near["similarity"] == near["value"] >= near["threshold"]
    told = refinery("rejects", "--run", crawl / "out", "--rule", "minhash/copy_minhash")
    assert "copy of http://en1.example/7" in told
    (same, *_) = of(crawl / "out", "payload/copy_payload")
    assert same["survivor"] and len(same["text"]) > 100


def test_the_text_is_the_one_before_the_stage(tmp_path: Path) -> None:
    """Not as an edit of the same stage left it."""
    text = "Short, but see http://x.example/y for more."
    (tmp_path / "docs.jsonl").write_text(json.dumps({"text": text}) + "\n")
    size = judge("size", {"signal": "words", "min": 50})
    (tmp_path / "edit.toml").write_text(recipe("edit", stage("filter", "filter", REMOVE_URLS, size)))
    run_here(tmp_path / "edit.toml", tmp_path / "docs.jsonl", tmp_path / "out")
    assert [row["text"] for row in of(tmp_path / "out", "size/min_words")] == [text]


def test_an_archive_that_has_moved(crawl: Path, tmp_path: Path) -> None:
    shutil.copytree(crawl, tmp_path / "world", symlinks=True)
    moved = tmp_path / "world"
    for path in moved.glob("out/[0-9]*/run.json"):
        path.write_text(path.read_text().replace(str(crawl), "/nowhere"))
    found, faults = rejects(moved / "out", "prefilter-size/min_characters")
    assert found[0]["text"] is None and "--source ROOT" in faults[0]
    assert "(no text)" in rejects_text(found, len(found), False, 80)
    assert of(moved / "out", "prefilter-size/min_characters", source=moved / "crawl")[0]["text"]


def test_a_run_that_began_at_a_dataset(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "size.toml", tmp_path)
    (tmp_path / "all.toml").write_text(
        recipe("all", stage("all", "filter", judge("any", {"signal": "words", "min": 1})))
    )
    run_here(tmp_path / "all.toml", world / "docs.jsonl", tmp_path / "given")
    run_here(tmp_path / "size.toml", tmp_path / "given/final", tmp_path / "out")
    found = of(tmp_path / "out", "size/min_words", sampling=RejectSampling(n=100), source=tmp_path / "given/final")
    assert [row["text"] for row in found] == texts(SPREAD)[::-1]


def test_damage_and_what_was_taken_down_have_no_text(tmp_path: Path) -> None:
    archive = write_warc(tmp_path / "a.warc.gz", [(f"http://host{n}.example/", article(n)) for n in range(6)])
    content = bytearray(archive.read_bytes())
    content[200] ^= 0xFF
    archive.write_bytes(content)
    (tmp_path / "brief.toml").write_text(BRIEF)
    run_here(tmp_path / "brief.toml", archive, tmp_path / "out")
    (damage,) = rules_of(tmp_path / "out", "ingest")
    (one,) = of(tmp_path / "out", damage["rule"])
    assert one["text"] is None and one["url"] is None
    assert "a.warc.gz at 0" in refinery("rejects", "--run", tmp_path / "out", "--rule", damage["rule"])
    with pytest.raises(UsageError, match="no threshold to be near to"):
        rejects(tmp_path / "out", damage["rule"], sampling=RejectSampling(near=True))
    (tmp_path / "list.txt").write_text("host:host3.example\n")
    takedown_here(tmp_path / "out", tmp_path / "without", tmp_path / "list.txt")
    assert "takedown/listed" in [row["rule"] for row in rules_of(tmp_path / "without")]
    assert of(tmp_path / "without", "takedown/listed") == []
    assert "no document can be shown" in refinery("rejects", "--run", tmp_path / "without", "--rule", "takedown/listed")


@pytest.mark.parametrize("width", [30, 80])
def test_lines_fit_and_texts_are_whole_only_if_asked_for(
    width: int, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    words = ("rejects", "--run", world / "out", "--rule", "size/min_words", "--n", 3)
    brief, full = refinery(*words), refinery(*words, "--full")
    assert all(len(line) <= width for line in (brief + full).splitlines())
    assert brief.startswith("3 of 60 documents") and "(threshold 61)" in brief
    for row in of(world / "out", "size/min_words", sampling=RejectSampling(n=3)):
        assert " ".join(row["text"].split()) in " ".join(full.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rule", "size/min_word"), "did you mean size/min_words"),
        (("--rule", "min_words"), "did you mean size/min_words? Rules that rejected something: size/min_characters, "),
        (("--rule", "size/min_words", "--stage", "filtr"), "no stage 'filtr' in"),
        (("--run", "{w}"), "it has no recipe.json"),
    ],
)
def test_mistakes_are_told_with_the_names_that_there_are(words: tuple[str, ...], says: str, world: Path) -> None:
    given = [word.format(w=world) for word in words]
    run = () if "--run" in given else ("--run", world / "out")
    assert says in refinery("rejects", *run, *given, code=2)


def test_a_recipe_without_an_extraction_before_the_rule(tmp_path: Path) -> None:
    """Copies by payload are removed before there is a text: the extraction that would follow gives it."""
    write_warc(tmp_path / "a.warc.gz", [("http://a.example/", article(1)), ("http://b.example/", article(1))])
    same = stage("same-payload", "dedup", {"kind": "dedup", "method": "payload"})
    (tmp_path / "same.toml").write_text(recipe("same", INGEST, same, EXTRACT))
    run_here(tmp_path / "same.toml", tmp_path / "a.warc.gz", tmp_path / "out")
    (copy,) = of(tmp_path / "out", "payload/copy_payload")
    (kept,) = Dataset(tmp_path / "out/final").to_arrow(["text", "id", "url"]).to_pylist()
    assert (copy["text"], copy["survivor"], copy["survivor_url"]) == (kept["text"], kept["id"], kept["url"])


def test_a_run_without_rejections(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz", [("http://a.example/", article(1))])
    write_recipe(tmp_path)
    run_here(tmp_path / "small.toml", tmp_path / "a.warc.gz", tmp_path / "out")
    assert refinery("rejects", "--run", tmp_path / "out").strip() == "nothing was rejected"
    said = refinery("rejects", "--run", tmp_path / "out", "--rule", "size/min_words", code=2)
    assert "nor by any other rule" in said
