"""Documents at http(s) addresses: the rows that the files have on disk, whatever the server suffers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import WorkError
from infra.http.budget import serve_budget
from infra.http.limits import HttpLimits
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import open_documents
from pipeline.inputs.inputs import read_inputs
from pipeline.stages.final import FINAL
from refinery import open_dataset
from tests.commoncrawl.server import Cut, Refusal, StandIn, serve
from tests.files import write_rows
from tests.pipeline.command import refinery
from tests.pipeline.pages import text_rows

QUICK = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=20.0)
NAMES = ("a.parquet", "b.jsonl", "c.jsonl.gz", "d.json.zst")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for number, name in enumerate(NAMES):
        rows: list[dict[str, Any]] = [{**row, "id": f"{name}-{row['id']}"} for row in text_rows(60)]
        if name.endswith(".zst"):
            with pa.output_stream(folder / name, compression="zstd") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        else:
            write_rows(folder / name, rows[number:])
    pq.write_table(pq.read_table(folder / NAMES[0]), folder / NAMES[0], row_group_size=10)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[StandIn]:
    with serve(folder) as server, serve_budget(QUICK):
        yield server


def rows_of(places: list[str]) -> list[tuple[str, str]]:
    source = open_documents(read_inputs(places).documents, Columns())
    tables = [pa.Table.from_batches([*part.batches(["id", "text"])]) for part in source.parts()]
    return [(row["id"], row["text"]) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_a_file_at_an_address(name: str, folder: Path, server: StandIn) -> None:
    expected = rows_of([str(folder / name)])
    assert len(expected) >= 57
    assert rows_of([f"{server.url}/{name}?sig=secret"]) == expected
    server.fault(f"{name}*", Refusal(503), times=2)
    server.fault(f"{name}*", Cut(after=500), times=4)
    assert rows_of([f"{server.url}/{name}"]) == expected
    assert server.asked(status=503)


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_file_that_changes_before_it_is_read(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    with serve(tmp_path) as server, serve_budget(QUICK):
        source = open_documents(read_inputs([f"{server.url}/{name}"]).documents, Columns())
        write_rows(tmp_path / name, text_rows(7))
        with pytest.raises(WorkError, match="changed"):
            [*source.parts()[0].batches()]


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_fails_is_no_damage_of_the_file(name: str, folder: Path) -> None:
    with serve(folder) as server, serve_budget(HttpLimits(1000, None, 0.01, 0.05, patience=0.3)):
        source = open_documents(read_inputs([f"{server.url}/{name}"]).documents, Columns())
        (part,) = source.parts()
        server.fault(f"{name}*", Refusal(503), skip=1)
        with pytest.raises(WorkError, match="run the same command again later"):
            [*part.batches()]
        assert not part.rejects
        server.mend()
        assert sum(batch.num_rows for batch in part.batches()) >= 57


def test_a_run_over_addresses(folder: Path, server: StandIn, tmp_path: Path) -> None:
    """By the command, with the rows of a run over the files; a signature is not recorded."""
    for out, where in (("far", f"{server.url}/{{}}?sig=secret"), ("near", f"{folder}/{{}}")):
        refinery("run", "--recipe", "exact", "--input", *map(where.format, NAMES), "--out", tmp_path / out)
    far, near = (open_dataset(tmp_path / out / FINAL).to_arrow(["id", "text"]).to_pylist() for out in ("far", "near"))
    assert sorted(row["text"] for row in far) == sorted(row["text"] for row in near) and len(far) >= 60
    assert not [path for path in (tmp_path / "far").rglob("*.json") if "secret" in path.read_text()]
    assert "there is no such file (404)" in refinery(
        "run", "--recipe", "exact", "--input", f"{server.url}/none.parquet", "--out", tmp_path / "none", code=2
    )
