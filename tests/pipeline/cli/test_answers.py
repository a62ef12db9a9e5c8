"""What the commands tell people: the last line of a run, and the table of an evaluation."""

from pathlib import Path

import pytest

from pipeline.cli.app import main
from pipeline.cli.train_text import evaluation_text
from tests.files import flip, write_rows
from tests.pipeline.command import refinery
from tests.pipeline.pages import text_rows, write_crawl


def last_line(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, words), "--workers", "1"])
    assert (stopped.value.code or 0) == code
    return capsys.readouterr().err.splitlines()[-1]


def test_a_run_ends_in_its_result_and_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    out = tmp_path / "my out"
    line = last_line(capsys, "run", "--recipe", "exact", "--input", tmp_path / "crawl", "--out", out)
    result, _, command = line.partition("; next: refinery ")
    assert result == f"kept 30 documents of 40 (75.0%): {out / 'final'}"
    assert command == f"rejects --run '{out}'"
    rows = text_rows(6)
    write_rows(tmp_path / "texts.jsonl", [*rows, {**rows[0], "id": "again"}])
    line = last_line(capsys, "run", "--recipe", "exact", "--input", tmp_path / "texts.jsonl", "--out", tmp_path / "o")
    assert line.startswith(f"kept 6 documents of 7 (85.7%): {tmp_path / 'o/final'}; ")


def test_also_where_the_input_was_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (archive,) = write_crawl(tmp_path / "crawl", files=1)
    flip(archive, 0.5)
    words = ("run", "--recipe", "exact", "--input", archive, "--out", tmp_path / "out")
    assert last_line(capsys, *words, code=1).startswith("kept ")


def test_junk_is_counted_and_in_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.warc.gz").write_bytes(b"no archive at all")
    words = ("ingest", "--recipe", "extract", "--input", tmp_path / "a.warc.gz", "--out", tmp_path / "out")
    line = last_line(capsys, *words, code=1)
    assert line.startswith("1 damaged range or unreadable line of the input: ingest/damage/junk 1; ")
    assert "The ledger has file and offset of each" in line
    assert refinery("verify", tmp_path / "out") == "1 dataset: every file is as it was written\n"


def test_an_evaluation_is_a_table() -> None:
    domains = {"arts": 2.5, "code": 1.0}
    at_k = {
        "bits_per_byte": domains,
        "overall": 2.0,
        "iq": 1.0,
        "eq": None,
        "active_experts": 4.0,
        "load_imbalance": [1.5, 2.5],
    }
    zipped = {"bits_per_byte": domains, "overall": 3.0, "iq": 2.0, "eq": 4.0}
    answer = {
        **{"bits_per_byte": domains, "by_k": {"4": at_k}, "baselines": {"gzip": zipped}, "kv_bytes_per_token": 352.0},
        **{"documents": 1200, "bytes": 5000, "tokens": 1300, "checkpoint": "5ec"},
    }
    assert evaluation_text(answer).splitlines() == [
        "bits per byte             k = 4  gzip",
        "overall                       2     3",
        "iq                            1     2",
        "eq                                  4",
        "  arts                      2.5   2.5",
        "  code                        1     1",
        "experts per token             4",
        "largest load / mean load      2",
        "1,200 documents, 5,000 bytes, 1,300 tokens",
        "352 bytes of KV cache per token; checkpoint 5ec",
    ]
