"""Documents from other tools skip extraction; a line that is not a document is a ledger row."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import sentences, write_recipe

TEXTS = ["\n".join(sentences(i)) for i in range(20)]


def lines() -> bytes:
    rows = [
        json.dumps({"text": text, "id": f"id-{i}", "url": f"http://a/{i}"}).encode() for i, text in enumerate(TEXTS)
    ]
    rows[3] = b'{"text": 5}'
    rows[7] = b"not json at all"
    rows[9] = b'{"words": "no text"}'
    rows.append(b'{"text": "lone \\ud800 surrogate and \\u0000 zero"}')
    return b"\n".join(rows) + b"\n"


def write(folder: Path, kind: str) -> Path:
    path = folder / f"documents.{kind}"
    if kind == "jsonl":
        path.write_bytes(lines())
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines(), mtime=0))
    elif kind == "jsonl.zst":
        path.write_bytes(zstandard.compress(lines()))
    else:
        pq.write_table(pa.table({"text": TEXTS, "id": [f"id-{i}" for i in range(20)]}), path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_every_format_is_read_and_accounted_for(kind: str, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    words = ("filter", "--recipe", recipe, "--input", write(tmp_path, kind), "--out", tmp_path / "out")
    refinery(*words, code=0 if kind == "parquet" else 1)
    dataset = Dataset(tmp_path / "out")
    check_invariant(dataset.manifest)
    kept = dataset.to_arrow().to_pylist()
    assert [row["text"] for row in kept if row["id"] == "id-0"] == [TEXTS[0]]
    if kind == "parquet":
        assert dataset.manifest.counts["in"] == len(kept) == 20
    else:
        assert dataset.manifest.rejected_by["read/no_text"] == 2
        assert dataset.manifest.rejected_by["read/not_json"] == 1
        assert dataset.manifest.counts["in"] == 21
        content = lines()
        place = next(row["warc_offset"] for row in kept if row["id"] == "id-1")
        assert content[place:].startswith(b'{"text"')


def test_a_cut_file_gives_what_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl.gz")
    path.write_bytes(path.read_bytes()[:-200])
    recipe = write_recipe(tmp_path)
    refinery("filter", "--recipe", recipe, "--input", path, "--out", tmp_path / "out", code=1)
    check_invariant(Dataset(tmp_path / "out").manifest)


def test_run_skips_the_stages_before_documents(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    path = write(tmp_path, "jsonl")
    refinery("run", "--recipe", recipe, "--input", path, "--out", tmp_path / "out", code=1)
    assert sorted(p.name for p in (tmp_path / "out").glob("0*")) == [
        "03-filter", "04-same-text", "05-near-copies", "06-paragraphs",
    ]  # fmt: skip
    refinery("run", "--recipe", recipe, "--input", tmp_path / "out" / "03-filter", "--out", tmp_path / "again")
    refinery("run", "--recipe", recipe, "--input", path, "--out", tmp_path / "limited", "--limit", 5, code=1)
    counts = Dataset(tmp_path / "limited" / "03-filter").manifest.counts
    assert (counts["in"], counts["rejected"]) == (5 + 3, 3)
    assert made(tmp_path / "again")
