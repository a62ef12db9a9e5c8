"""`explain` of many: several arguments, lines of a file or of stdin, rows such as those of `rejects`."""

import io
import json
import sys
from pathlib import Path

import pytest

import refinery as rf
from infra.dataset.reader import Dataset
from tests.pipeline.command import answer, refinery
from tests.pipeline.here import brief_run, run_here
from tests.pipeline.pages import article, write_warc
from tests.pipeline.recipe_texts import BRIEF

URLS = ["http://host5.example/5", "http://host0.example/0", "http://host4.example/4"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brief_run(tmp_path_factory.mktemp("many"), files=1)


def test_each_is_explained_once_in_the_order_asked(world: Path) -> None:
    told = answer("explain", *URLS, URLS[0], "--run", world / "out")
    assert [one["url"] for one in told] == URLS
    assert told == [one for url in URLS for one in answer("explain", url, "--run", world / "out")]
    assert [one["state"] for one in told] == ["rejected", "kept", "rejected"]
    text = refinery("explain", *URLS, "--run", world / "out/final")
    assert [line for line in text.splitlines() if line.startswith("http")] == URLS


def test_lines_are_urls_ids_or_rows(world: Path) -> None:
    first = Dataset(world / "out/01-ingest").to_arrow(["id", "url", "file_path", "warc_offset"]).to_pylist()
    by_url = {row["url"]: row for row in first}
    rows = [
        URLS[0],
        json.dumps({"id": by_url[URLS[1]]["id"]}),
        json.dumps({"file_path": by_url[URLS[2]]["file_path"], "warc_offset": by_url[URLS[2]]["warc_offset"]}),
        "",
        "HTTP://HOST1.example/1#top",
    ]
    (world / "asked.txt").write_text("\n".join(rows) + "\n")
    told = answer("explain", "--from", world / "asked.txt", "--run", world / "out")
    assert [one["url"] for one in told] == [*URLS, "http://host1.example/1"]


def test_what_rejects_prints_can_be_piped(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = refinery("rejects", "--run", world / "out", "--rule", "text/copy_text", "--n", 3, "--json")
    monkeypatch.setattr(sys, "stdin", io.StringIO(printed))
    told = answer("explain", "--from", "-", "--run", world / "out")
    assert [one["id"] for one in told] == [json.loads(line)["id"] for line in printed.splitlines()]
    assert all(one["rejected_by"] == ["text/copy_text"] and one["duplicates"] for one in told)


def test_a_row_names_one_document_where_ids_and_urls_do_not(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz", [("http://a.example/", article(1)), ("http://a.example/", article(2))])
    (tmp_path / "brief.toml").write_text(BRIEF)
    run_here(tmp_path / "brief.toml", tmp_path / "a.warc.gz", tmp_path / "out")
    rows = Dataset(tmp_path / "out/final").to_arrow(["url", "file_path", "warc_offset"]).to_pylist()
    (one,) = rf.explain(rows[1], tmp_path / "out")
    assert one["warc_offset"] == rows[1]["warc_offset"] > 0
    assert len(rf.explain("http://a.example/", tmp_path / "out")) == 2


def test_documents_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"text": f"{number} " + "words of a text " * 20, "url": f"http://a.example/{number}"} for number in range(4)
    ]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "brief.toml").write_text(BRIEF)
    run_here(tmp_path / "brief.toml", tmp_path / "docs.jsonl", tmp_path / "out")
    told = rf.explain([row["url"] for row in rows], tmp_path / "out")
    assert [one["text_before"] for one in told] == [row["text"] for row in rows]


def test_those_that_are_not_there_are_named(world: Path) -> None:
    told = refinery("explain", URLS[0], "http://no/1", "http://no/2", "--run", world / "out", code=1)
    assert told.startswith(URLS[0])
    assert "'http://no/1', 'http://no/2'" in refinery(
        "explain", "http://no/1", "http://no/2", "--run", world / "out", code=2
    )
    with pytest.raises(rf.UsageError, match="'http://no/1' came into"):
        rf.explain([URLS[0], "http://no/1"], world / "out")


@pytest.mark.parametrize(
    ("line", "says"),
    [('{"text": "no name"}', "line 1: no url, id, or"), ('{"id": ', "line 1"), (None, "cannot be read")],
)
def test_mistakes_in_a_file(line: str | None, says: str, world: Path, tmp_path: Path) -> None:
    if line:
        (tmp_path / "asked").write_text(line + "\n")
    assert says in refinery("explain", "--from", tmp_path / "asked", "--run", world / "out", code=2)


def test_something_must_be_asked_for(world: Path) -> None:
    assert "a URL or id, or --from FILE" in refinery("explain", "--run", world / "out", code=2)


@pytest.mark.parametrize("width", [40, 100])
def test_its_lines_fit(width: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    told = refinery("explain", *URLS, "--run", world / "out")
    assert max(map(len, told.splitlines())) <= width
