"""Deduplication of many small partitions: they are read and decided in groups, which decides no byte of the result."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages import dedup_parts
from pipeline.stages.dedup import dedup_stage
from pipeline.stages.dedup_parts import part_groups, shards_together
from tests.pipeline.stages.part_numbers import PartNumber, PartNumbers

PARTS, EACH = 30, 5
SCHEMA = schemas.documents(())


def text_of(document: int) -> str:
    """Every fifth document is one of eight that come again and again; others share a line, or most of their words."""
    if document % 5 == 0:
        return "\n".join(f"page {document % 8} line {line} of the same eight" for line in range(12))
    words = " ".join(f"w{document % 40 * 7 + n}" for n in range(60))
    return f"a line that many pages have\n{words}\nand number {document} has this"


@dataclass(frozen=True)
class Write:
    fingerprint: str = "write"
    schema: pa.Schema = SCHEMA

    def __call__(self, part: PartNumber) -> Iterator[Output]:
        count = 0 if part.number % 7 == 3 else EACH  # some have none
        rows = [
            {
                **dict.fromkeys(SCHEMA.names),
                "text": text_of(part.number * EACH + row),
                "id": f"<{part.number}:{row}>",
                "url": f"http://a.example/{part.number}/{row}",
                "dump": f"CC-MAIN-2024-{part.number % 3:02d}",
                "file_path": f"{part.number:03d}.warc.gz",
                "warc_offset": row,
                "token_count": 10,
                "language": "en",
                "copies": 1,
                "snapshots": 1,
                "repeats": 1,
                "signals": {},
            }
            for row in range(count)
        ]
        yield Output(pa.RecordBatch.from_pylist(rows, SCHEMA), None, {"in": count, "rejected": 0})


def header(inputs: tuple[InputRef, ...]) -> Header:
    return Header(Kind.DOCUMENTS, "write", RecipeRef("many", ""), {}, inputs)


def files(dataset: Dataset) -> dict[str, str]:
    return {file.path: file.sha256 for file in dataset.manifest.all_files()}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("text", {}),
        ("minhash", {}),
        ("paragraphs", {}),
        ("paragraphs", {"block": 4}),
        ("paragraphs", {"block": 4, "keep": "first", "lines": 2}),
        ("substring", {}),
        ("substring", {"keep": "first", "tokens": 20}),
    ],
)
def test_groups_of_parts_decide_no_byte(
    method: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step: dict[str, Any] = {"kind": "dedup", "method": method, "options": options}
    stage = {"name": "dedup", "command": "dedup", "step": [step]}
    recipe = parse_recipe({"name": "many", "about": "x", "stage": [stage]}, "many")
    with LocalEngine(1) as engine:
        source = engine.map_shards(Write(), [PartNumbers(PARTS)], tmp_path / "source", header(()))
        context = Context(recipe, engine, {})
        alone = dedup_stage(context, recipe.stages[0], source, tmp_path / "alone")
        assert len(part_groups(source.parts())) == PARTS and shards_together(PARTS, 100) == 1
        monkeypatch.setattr(dedup_parts, "GROUPS", 4)
        assert len(part_groups(source.parts())) < 6 and shards_together(PARTS, 100) == 4
        together = dedup_stage(context, recipe.stages[0], source, tmp_path / "together")
    assert files(alone) == files(together)
    assert alone.manifest.counts == together.manifest.counts
    assert alone.manifest.counts["out"] < alone.manifest.counts["in"] or method in {"paragraphs", "substring"}
    assert alone.to_arrow(["text"]) != source.to_arrow(["text"])
