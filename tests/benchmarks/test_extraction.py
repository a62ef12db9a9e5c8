"""The benchmarks of extraction and of language: how ground truth is read, how texts are scored, and their tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import language
from benchmarks.__main__ import main
from benchmarks.gold import GoldText, read_gold, score_snippets, score_text, words
from benchmarks.prefilter import rank_correlation
from pipeline.models.language_vote import Spoken
from pipeline.warc.reader import read_split
from pipeline.warc.records import RawRecord
from pipeline.warc.splits import plan_splits
from tests.files import write_rows
from tests.pipeline.pages import article, sentences, write_warc


def gold(
    text: str = "", allowed: str = "", required: tuple[str, ...] = (), forbidden: tuple[str, ...] = ()
) -> GoldText:
    return GoldText(text, allowed, required, forbidden)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"form": "full_text", "text": " a b "}, gold("a b")),
        ({"form": "full_text(+light tags)", "text": "<p>a &amp; b\n<l>c"}, gold("a & b\n\nc")),
        ({"form": "full_text(+light tags)", "text": "a!@#$%^&*()  COMMENTS b"}, gold("a", " b")),
        ({"form": "full_text+snippets", "text": None, "with": ["a"], "without": ["b"]}, gold("", "", ("a",), ("b",))),
        ({"form": "snippets", "with": ["a"], "without": None}, gold("", "", ("a",))),
        ({"form": "clean_html", "html": "<div><p>a</p>b<script>c</script></div>"}, gold("a\nb")),
        ({"form": "recipe_fields_json", "meta": {"ingredients": ["a"]}}, gold(required=("a",))),
        ({"form": "full_text", "text": ""}, None),
        ({"form": "date", "date": "2020-01-01"}, None),
    ],
)  # fmt: skip
def test_forms_of_ground_truth(row: dict[str, Any], wanted: GoldText | None) -> None:
    assert read_gold(row) == wanted


def test_annotated_html_is_read_by_its_nearest_mark() -> None:
    html = (
        "<body><p class='x-nc-sel0'>menu</p><h1 class='big x-nc-sel1'>head</h1><div class='x-nc-sel2'>one"
        "<b class='x-nc-sel3'>by</b>two<i>three</i></div><script class='x-nc-sel2'>no</script>"
        "<p class='x-nc-sel5'>said</p>plain</body>"
    )
    found = read_gold({"form": "annotated_html(x-nc-sel classes)", "html": html})
    assert found is not None
    assert words(found.text) == ["head", "one", "two", "three"] and words(found.allowed) == ["by", "said"]


def test_scores_are_of_bags_of_words() -> None:
    assert score_text("a b b c", gold("b a b d")) == pytest.approx((0.75, 0.75, 0.75))
    assert score_text("", gold("a")) == (0, 0, 0)
    # comments are neither asked for nor wrong, but once is enough
    assert score_text("a b said said", gold("a b", "said")) == pytest.approx((0.8, 2 / 3, 1))
    assert words("Été 2024, 海上生 Straße x_y") == ["été", "2024", "海", "上", "生", "strasse", "x_y"]


def test_snippets_are_found_as_runs_of_words() -> None:
    asked = gold(required=("one, two", "three four"), forbidden=("five", "!"))
    assert score_snippets("One two three. Six four", asked) == (0.5, 1)
    assert score_snippets("five", asked) == (0, 0)
    assert score_snippets("x", gold("x")) == (None, None)


def test_rank_correlation() -> None:
    import numpy as np

    assert rank_correlation(np.array([1.0, 5, 5, 9]), np.array([2.0, 3, 3, 400])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of the benchmark: ten articles with full gold text, one with snippets, one of another form."""
    folder = tmp_path_factory.mktemp("crawl")
    menu = "<nav><a href=/>Subscribe now</a></nav>"
    warc = write_warc(folder / "a.warc.gz", [(f"http://host{i}.example/", article(i, extra=menu)) for i in range(12)])
    events = (event for split in plan_splits(str(warc), warc.name) for event in read_split(split))
    records = [event for event in events if isinstance(event, RawRecord)][:12]
    index, truths = [], []
    for i, record in enumerate(records):
        page = {"id": f"{'ab'[i % 2]}/{i}", "url": f"http://host{i}.example/", "type": "article", "lang": "en-US"}
        index.append({**page, "warc": warc.name, "offset": record.offset, "length": record.length})
        text = " ".join(" ".join(sentences(i * 1000 + j, 3)) for j in range(12))
        snippets = {"with": [sentences(i * 1000, 1)[0]], "without": ["Subscribe now"]}
        truth = (
            {"form": "date"} if i == 11 else {"form": "snippets" if i == 10 else "full_text", "text": text, **snippets}
        )
        truths.append({"id": page["id"], **truth})
    for name, rows in (("index", index), ("gold", truths)):
        write_rows(folder / f"{name}.jsonl", rows)
    return ["--pages", str(warc), "--index", str(folder / "index.jsonl"), "--gold", str(folder / "gold.jsonl")]


def test_the_tables_of_extraction(crawl: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    engines = ["--engine", "all_text:title=false", "--engine", "resiliparse"]
    assert main(["extraction", *crawl, *engines, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pages"] == 11
    everything, main_text = found["engines"].values()
    assert (everything["all"]["pages"], everything["all"]["snippet_pages"]) == (10, 11)
    assert everything["all"]["recall"] == 1 > everything["all"]["precision"] and everything["all"]["clean"] == 0
    assert main_text["all"]["clean"] == main_text["all"]["required"] == 1 and main_text["all"]["f1"] > 0.99
    assert {name: row["pages"] for name, row in main_text["by_source"].items()} == {"a": 5, "b": 5}
    assert main_text["cpu_ms_per_page"] > 0

    halves = []
    for half in "ab":
        assert main(["extraction", *crawl, "--engine", "all_text", "--half", half, "--json"]) == 0
        halves.append(json.loads(capsys.readouterr().out)["pages"])
    assert sum(halves) == 11 and all(halves)
    assert main(["extraction", *crawl, *engines, "--limit", "2"]) == 0
    assert "| article | 2 |" in capsys.readouterr().out


def test_mistakes_are_told_in_a_line(crawl: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_warc(tmp_path / "other.warc.gz", [])
    assert main(["extraction", "--pages", str(other), *crawl[2:]]) == 2
    assert "a.warc.gz" in capsys.readouterr().err
    assert main(["extraction", *crawl, "--engine", "lynx"]) == 2
    assert "lynx" in capsys.readouterr().err


def test_language_is_counted_by_language_and_kind(tmp_path: Path) -> None:
    rows = [("a", "en"), ("b", "en"), ("c", "nb"), ("d", "xx"), ("e", "de")]
    path = write_rows(tmp_path / "texts.jsonl", [{"text": text, "lang": name, "kind": "words"} for text, name in rows])
    told = {"a": ("en", 0.9), "b": ("de", 0.5), "c": ("no", 0.7), "e": ("de", 0.2)}
    says = {text: Spoken(*each, {}) for text, each in told.items()}
    guesses, unknown = language.guess(language.read_labelled(path), says.__getitem__, {"en", "no", "de"})
    assert unknown == {"xx": 1}
    found = language.report(guesses, least=0.65)
    assert found["by_language"]["en"]["words"] == {"texts": 2, "accuracy": 0.5, "kept": 0.5, "right_of_kept": 1.0}
    total = {"texts": 4, "accuracy": 0.75, "kept": 0.5, "right_of_kept": 1.0, "mean": 0.8333, "languages": 3}
    assert found["by_kind"]["words"] == total
    plain = {"en-US": "en", "en_us": "en", "eng": "en", "nb": "no", "zh-Hant": "zh"}
    assert {name: language.plain(name) for name in plain} == plain
