"""`export`: every format holds the documents of the dataset, the same bytes each time, whole or not at all."""

import base64
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.export.columns import chosen_columns, only
from pipeline.export.export import export, whole_file, whole_folder
from pipeline.export.files import FORMATS, sink
from tests.pipeline.command import ROOT, answer, refinery
from tests.pipeline.datasets import document, make_dataset
from tests.pipeline.here import brief_run

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brief_run(tmp_path_factory.mktemp("export"), each=20)


@pytest.fixture(scope="module")
def documents(world: Path) -> Rows:
    rows: Rows = Dataset(world / "out/final").to_arrow().to_pylist()
    assert len(rows) > 20
    return rows


def lines(content: bytes) -> Rows:
    return [json.loads(line) for line in content.splitlines()]


READ: dict[str, Callable[[bytes], Rows]] = {
    "jsonl": lines,
    "jsonl.gz": lambda content: lines(gzip.decompress(content)),
    "jsonl.zst": lambda content: lines(zstandard.ZstdDecompressor().stream_reader(content).read()),
    "parquet": lambda content: pq.read_table(io.BytesIO(content)).to_pylist(),
}


@pytest.mark.parametrize("form", READ)
def test_a_file_holds_every_document_with_every_column(form: str, world: Path, documents: Rows, tmp_path: Path) -> None:
    for name in ("one", "other"):
        refinery("export", "--run", world / "out", "--out", tmp_path / f"{name}{FORMATS[form]}")
    one, other = sorted(tmp_path.iterdir())
    assert one.read_bytes() == other.read_bytes()
    assert READ[form](one.read_bytes()) == documents


@pytest.mark.parametrize("form", READ)
def test_a_folder_has_a_file_for_each_shard(form: str, world: Path, documents: Rows, tmp_path: Path) -> None:
    told = answer("export", "--run", world / "out", "--format", form, "--out", tmp_path / "made")
    files = sorted((tmp_path / "made").iterdir())
    assert [file.name for file in files] == [f"part-0000{i}{FORMATS[form]}" for i in range(2)]
    assert (told["documents"], told["files"]) == (len(documents), 2)
    assert [row for file in files for row in READ[form](file.read_bytes())] == documents


@pytest.mark.parametrize("form", READ)
@pytest.mark.parametrize("words", [("text,url,signals.words",), ("text", "url,signals.words")])
def test_columns_by_name_and_those_inside_a_struct(
    words: tuple[str, ...], form: str, world: Path, documents: Rows, tmp_path: Path
) -> None:
    out = tmp_path / f"made{FORMATS[form]}"
    refinery("export", "--run", world / "out/final", "--columns", *words, "--out", out)
    wanted = [{"text": d["text"], "url": d["url"], "signals.words": d["signals"]["words"]} for d in documents]
    assert READ[form](out.read_bytes()) == wanted
    assert list(READ[form](out.read_bytes())[0]) == ["text", "url", "signals.words"]


@pytest.mark.parametrize("form", ["text", "text.gz", "text.zst"])
def test_texts_have_a_line_between_them(form: str, world: Path, documents: Rows, tmp_path: Path) -> None:
    out = tmp_path / f"made{FORMATS[form]}"
    refinery("export", "--run", world / "out", "--out", out, "--separator", "<|end|>", "--limit", 3)
    content = out.read_bytes()
    if form == "text.gz":
        content = gzip.decompress(content)
    if form == "text.zst":
        content = zstandard.ZstdDecompressor().stream_reader(content).read()
    assert content.decode() == "\n<|end|>\n".join(d["text"] for d in documents[:3]) + "\n"


def test_the_limit_counts_over_all_shards(world: Path, documents: Rows, tmp_path: Path) -> None:
    first = Dataset(world / "out/final").manifest.shards[0].rows
    for limit, files in ((first + 2, 2), (first, 1), (1, 1)):
        told = export(world / "out", str(tmp_path / str(limit)), "jsonl", limit=limit)
        assert (told["documents"], told["files"]) == (limit, files)
        made = [row for file in sorted((tmp_path / str(limit)).iterdir()) for row in lines(file.read_bytes())]
        assert made == documents[:limit]


def exported(*words: object) -> subprocess.Popen[bytes]:
    code = "from pipeline.cli.app import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "export", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_stdout_has_the_documents_alone(world: Path, documents: Rows) -> None:
    out, err = exported("--run", world / "out", "--out", "-").communicate()
    assert lines(out) == documents and err == b""


def test_who_reads_stdout_may_leave(world: Path) -> None:
    process = exported("--run", world / "out", "--out", "-")
    assert process.stdout is not None and process.stderr is not None
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--out", "{t}/made.jsonl", "--columns", "txt"), "no column 'txt': did you mean text?"),
        (("--out", "{t}/made.jsonl", "--columns", "signals.word"), "did you mean signals.words"),
        (("--out", "{t}/made.jsonl", "--columns", "text,text"), "given twice"),
        (("--out", "{t}/made.jsonl", "--format", "parquet"), "is the name of a file of jsonl"),
        (("--out", "{t}/made", "--format", "csv"), "no format 'csv': give jsonl,"),
        (("--out", "{t}/made.csv"), "does not end in .jsonl"),
        (("--out", "{t}/made.txt", "--columns", "text,url"), "a text is of one column"),
        (("--out", "{t}/made.txt", "--columns", "token_count"), "is int64, not text"),
        (("--out", "-", "--format", "parquet"), "not for the standard output"),
        (("--out", "{t}/there.jsonl"), "exists: choose another --out"),
        (("--out", "{t}/full", "--format", "jsonl"), "exists: choose another --out"),
        (("--out", "{w}/out/made.jsonl"), "is inside"),
        (("--out", "{t}/made.jsonl", "--run", "{t}"), "neither a finished dataset nor a finished run"),
    ],
)
def test_mistakes_leave_nothing_behind(words: tuple[str, ...], says: str, world: Path, tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    given = [word.format(t=tmp_path, w=world) for word in words]
    run = () if "--run" in given else ("--run", world / "out")
    assert says in refinery("export", *run, *given, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "there.jsonl"]
    assert (tmp_path / "there.jsonl").read_text() == "mine"
    assert not (world / "out/made.jsonl").exists()


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "made") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "folder") as folder:
        (folder / "part").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_columns_of_every_kind_become_json() -> None:
    """Those that came with a user's documents: times, bytes, decimals, lists, maps, structs, nanoseconds."""
    at = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    table = pa.table(
        {
            "at": pa.array([at], pa.timestamp("us", "UTC")),
            "ns": pa.array([1_714_566_600_000_000_001], pa.timestamp("ns")),
            "day": pa.array([at.date()]),
            "raw": pa.array([b"\x00\xff"]),
            "price": pa.array([Decimal("1.50")]),
            "tags": pa.array([["a", "b"]]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "meta": pa.array([{"a": {"b": 2}, "c.d": 3}]),
            "nan": pa.array([float("nan")]),
        }
    )
    names = chosen_columns(["at,ns,day,raw,price,tags,map,meta.a.b,meta.c.d,nan"], table.schema)
    file = io.BytesIO()
    (batch,) = (only(batch, names) for batch in table.to_batches())
    with sink("jsonl", file, batch.schema, "") as target:
        target.write(batch)
    assert json.loads(file.getvalue()) == {
        "at": "2024-05-01T12:30:00+00:00",
        "ns": "2024-05-01T12:30:00",
        "day": "2024-05-01",
        "raw": base64.b64encode(b"\x00\xff").decode(),
        "price": "1.50",
        "tags": ["a", "b"],
        "map": [["k", 1]],
        "meta.a.b": 2,
        "meta.c.d": 3,
        "nan": None,
    }


def test_a_dataset_of_tokens_is_refused(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "tokens", "tokens", [document(1)], [])
    manifest = made.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"kind": "documents"', '"kind": "tokens"'))
    with pytest.raises(UsageError, match="contains tokens"):
        export(made.folder, str(tmp_path / "made.jsonl"))
