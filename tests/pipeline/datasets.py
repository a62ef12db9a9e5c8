"""Datasets as an engine would leave them, written by the tests row by row."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.dataset import schema as schemas
from infra.dataset.files import Shard, write_files
from infra.dataset.manifest import Header, InputRef, Kind, Manifest, RecipeRef
from infra.dataset.reader import Dataset
from infra.dataset.writer import ShardWriter
from infra.hashing import readable_json
from infra.ledger import batch, ledger_batch

RECIPE = RecipeRef("toy", "ab" * 32)

Rows = Sequence[Mapping[str, Any]]


def document(number: int, **more: Any) -> dict[str, Any]:
    text = f"Document {number} is about rivers and bridges. " * 20
    return {
        "text": text, "id": f"<urn:uuid:{number}>", "url": f"https://example.org/{number}", "file_path": "a.warc.gz",
        "language": "en" if number % 3 else "zh", "token_count": len(text.split()), "warc_offset": number,
        "signals": {"words": float(100 + number)}, **more,
    }  # fmt: skip


def record(number: int, **more: Any) -> dict[str, Any]:
    locator = {"id": f"<urn:uuid:{number}>", "url": f"https://example.org/{number}", "file_path": "a.warc.gz"}
    return {**locator, "warc_offset": number, **more}


def reject(number: int, step: str, rule: str, value: float | None, threshold: float | None) -> dict[str, Any]:
    return record(number, step=step, rule=rule, value=value, threshold=threshold)


def funnel_row(name: str, docs: int, chars: int) -> dict[str, Any]:
    return {"step": name, "docs": docs, "chars": chars, "tokens": chars // 6}


def make_dataset(
    folder: Path,
    stage: str,
    rows: Rows,
    ledger: Rows,
    funnel: Rows = (),
    extra: Mapping[str, Any] | None = None,
    kind: Kind = Kind.DOCUMENTS,
    signals: Sequence[str] = ("words",),
    cuts: Sequence[int] = (),
) -> Dataset:
    """Shards, ledger, run.json and manifest. `cuts`: the offsets at which the second and later partitions begin."""
    schema = schemas.RECORDS if kind is Kind.RECORDS else schemas.documents(signals)

    def part_of(some: Rows, index: int) -> list[Mapping[str, Any]]:
        return [row for row in some if bisect_right(cuts, row["warc_offset"]) == index]

    shards: list[Shard] = []
    ledgers: list[Shard | None] = []
    languages: dict[str, dict[str, int]] = {}
    for index in range(len(cuts) + 1):
        name = f"part-{index:05d}.parquet"
        writer = ShardWriter(folder, name, schema, languages=languages)
        ledger_writer = ShardWriter(folder, f"ledger/{name}", schemas.LEDGER)
        for made, target in (
            (batch(part_of(rows, index), schema), writer),
            (ledger_batch(part_of(ledger, index)), ledger_writer),
        ):
            if made is not None:
                target.write(made)
        shards.append(writer.close())
        rejected = ledger_writer.close()
        ledgers.append(rejected if rejected.rows else None)
        if not rejected.rows:
            (folder / rejected.path).unlink()
    rejected_by: dict[str, int] = {}
    for row in ledger:
        name = f"{row['step']}/{row['rule']}"
        rejected_by[name] = rejected_by.get(name, 0) + 1
    documents = len({row["warc_offset"] for row in ledger})
    counts = {"in": len(rows) + documents, "out": len(rows), "rejected": documents, "ledger_documents": documents}
    manifest = Manifest(
        header=Header(kind, stage, RECIPE, {}, (InputRef("a.warc.gz", "0" * 64),)),
        schema=schemas.describe(schema),
        table=write_files(folder, shards, ledgers),
        counts=counts,
        rejected_by=rejected_by,
        languages=languages,
        funnel=tuple(funnel),
        extra=extra or {},
    )
    how = {"engine": "local", "wall_seconds": 1.5, "cpu_seconds": 1.25, "peak_memory_bytes": 2**28}
    (folder / "run.json").write_bytes(readable_json(how))
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return Dataset(folder)
