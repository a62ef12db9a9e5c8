"""What the ledger says of near copies is true, whatever the link, the measure and the way components are found."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dedup.minhash import MinHash
from dedup.shingles import shingles
from dedup.verify import containment, jaccard
from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.report.duplicates import read_duplicates, warnings
from pipeline.report.views import StageView
from pipeline.stages import dedup_components
from pipeline.stages.dedup import dedup_stage
from tests.pipeline.stages.part_numbers import PartNumber, PartNumbers

PARTS, EACH, CHAIN = 3, 10, 24
SCHEMA = schemas.documents(())
NOT_MEASURED = ("measure", "similarity", "threshold", "bands")
MEASURES = {"jaccard": jaccard, "containment": containment}


def text_of(document: int) -> str:
    """A window over one long text, that moves on by four words: a chain of pages, each similar to the next. Behind them
    pages like no other."""
    first = document * 4 if document < CHAIN else document * 1000
    return " ".join(f"w{first + word}" for word in range(100))


@dataclass(frozen=True)
class Write:
    fingerprint: str = "write"
    schema: pa.Schema = SCHEMA

    def __call__(self, part: PartNumber) -> Iterator[Output]:
        rows = [
            {
                **dict.fromkeys(SCHEMA.names),
                "text": text_of(part.number * EACH + row),
                "id": None if row % 4 == 3 else f"<{part.number}:{row}>",
                "url": f"http://{'a' if row % 2 else 'b'}.example/{part.number}/{row}",
                "file_path": f"{part.number:03d}.warc.gz",
                "warc_offset": row,
                "copies": 1,
                "snapshots": 1,
                "repeats": 1,
                "signals": {},
            }
            for row in range(EACH)
        ]
        yield Output(pa.RecordBatch.from_pylist(rows, SCHEMA), None, {"in": EACH, "rejected": 0})


@dataclass
class World:
    folder: Path
    engine: LocalEngine
    source: Dataset

    def dedup(self, name: str, **options: Any) -> Dataset:
        step = {"kind": "dedup", "method": "minhash", "options": {"bands": 40, "rows": 4, **options}}
        recipe = parse_recipe(
            {"name": "some", "about": "x", "stage": [{"name": "near", "command": "dedup", "step": [step]}]}, "some"
        )
        return dedup_stage(Context(recipe, self.engine, {}), recipe.stages[0], self.source, self.folder / name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with LocalEngine(1) as engine:
        header = Header(Kind.DOCUMENTS, "write", RecipeRef("some", ""), {}, ())
        yield World(tmp_path, engine, engine.map_shards(Write(), [PartNumbers(PARTS)], tmp_path / "source", header))


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
@pytest.mark.parametrize("link", ["direct", "component"])
def test_the_ledger_is_true(world: World, link: str, measure: str) -> None:
    policy = "longest" if measure == "containment" else "content"
    made = world.dedup("made", link=link, measure=measure, threshold=0.8, policy=policy)
    texts = {(row["file_path"], row["warc_offset"]): row for row in world.source.to_arrow().to_pylist()}
    names = {row["id"] or f"{key[0]}:{key[1]}": key for key, row in texts.items()}
    kept = {(row["file_path"], row["warc_offset"]) for row in made.to_arrow().to_pylist()}
    ledger = made.ledger().to_pylist()
    assert len(kept) + len(ledger) == PARTS * EACH and len(ledger) > CHAIN // 2
    for row in ledger:
        survivor = row["survivor_path"], row["survivor_offset"]
        assert survivor in kept
        other = survivor if row["via"] is None else names[row["via"]]
        assert row["via"] is None or (link == "component" and other != survivor)
        pair = [shingles(texts[key]["text"]) for key in ((row["file_path"], row["warc_offset"]), other)]
        assert row["similarity"] == row["value"] == MEASURES[measure](*pair) >= row["threshold"] == 0.8
        assert row["measure"] == measure
        keys = [MinHash(40, 4).band_keys(each) for each in pair]
        assert row["bands"] == (keys[0] == keys[1]).sum() > 0
    through = sum(row["via"] is not None for row in ledger)
    assert (through > CHAIN // 2) == (link == "component")


def test_in_rounds_the_same_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = world.dedup("forest", link="component", policy="longest")
    monkeypatch.setattr(dedup_components, "FOREST_NODES", 0)
    made = world.dedup("rounds", link="component", policy="longest")
    assert [file.sha256 for file in made.manifest.all_files()] == [
        file.sha256 for file in expected.manifest.all_files()
    ]


def test_nothing_is_measured_without_verification(world: World) -> None:
    rows = world.dedup("made", verify=False, link="component").ledger().to_pylist()
    assert rows and {tuple(row[name] for name in NOT_MEASURED) for row in rows} == {(None,) * 4}


def test_the_report_warns_of_chains(world: World) -> None:
    for link, lines in (("component", 1), ("direct", 0)):
        found = read_duplicates(StageView("x: near", world.dedup(link, link=link), world.source, {}))
        assert len(list(warnings(found))) == lines
        assert found.whole and found.hosts["removed"].to_pylist() == sorted(found.hosts["removed"].to_pylist())[::-1]
        ledger = found.clusters["copies"].to_pylist()
        assert (
            sum(ledger)
            == sum(found.hosts["removed"].to_pylist())
            == PARTS * EACH - sum(found.hosts["kept"].to_pylist())
        )
    assert "of the copies are similar to others only" in next(
        warnings(read_duplicates(StageView("x: near", Dataset(world.folder / "component"), None, {})))
    )
    bounded = read_duplicates(StageView("x: near", Dataset(world.folder / "component"), None, {}), most=1)
    assert not bounded.whole
