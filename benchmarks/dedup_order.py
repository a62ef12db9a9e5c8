"""The same documents in other orders and files leave the same documents, texts and evidence, by every kind of copy.

    python -m benchmarks dedup_order --texts documents.jsonl.gz [--orders 3] [--workers 2]

Documents are JSON lines with `id`, `text`, and `url` and `date` where there are any. As they are given, in one file,
and then shuffled and dealt to other numbers of files, they go through a recipe that removes copies by address, by text,
near copies, lines and repeated spans, of each of which one copy stays. It fails if two orders leave other documents or
texts, or give other reasons: of each removed document the step, the survivor, the similarity and the bands.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.shared import add, markdown, read_rows
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import run as run_recipe

FILES: Final = (1, 5, 2, 11, 3)  # so many in each order
METHODS: Final[dict[str, dict[str, Any]]] = {
    "url": {},
    "text": {},
    "minhash": {},
    "paragraphs": {"keep": "first", "lines": 3},
    "substring": {"keep": "first"},
}
REASONS: Final = ("id", "step", "rule", "survivor", "similarity", "bands")


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--workers")
    parser.add_argument("--orders", type=int, default=3, help=f"2 to {len(FILES)}")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if not 2 <= args.orders <= len(FILES):
        raise UsageError(f"--orders is {args.orders}; give 2 to {len(FILES)}")
    rows = [
        {"id": f"n{number}", **row}
        for number, row in enumerate(each for path in args.texts for each in read_rows(path))
    ]
    if len({row["id"] for row in rows}) < len(rows):
        raise UsageError("two documents have one id: leave `id` out, so that they are numbered")
    found = []
    with tempfile.TemporaryDirectory(prefix="dedup-order-") as scratch, LocalEngine(args.workers) as engine:
        for number, files in enumerate(FILES[: args.orders]):
            order = random.Random(number).sample(rows, len(rows)) if number else rows
            found.append(left_by(engine, Path(scratch) / str(number), order, files))
    first = found[0]
    return {
        "documents": len(rows),
        "removed": first["removed"],
        "left": len(first["texts"]),
        "changed": sum(first["texts"][row["id"]] != row["text"] for row in rows if row["id"] in first["texts"]),
        "orders": [
            {
                "files": FILES[number],
                "other documents": len(first["texts"].keys() ^ each["texts"].keys()),
                "other texts": sum(each["texts"].get(name, text) != text for name, text in first["texts"].items()),
                "other reasons": len(first["reasons"] ^ each["reasons"]),
            }
            for number, each in enumerate(found)
        ],
        "passed": all(each == first for each in found),
    }  # fmt: skip


def left_by(engine: LocalEngine, folder: Path, rows: list[dict[str, Any]], files: int) -> dict[str, Any]:
    """The documents that are left, by id, and the reasons of all removals."""
    (folder / "in").mkdir(parents=True)
    for number in range(files):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows[number::files])
        (folder / "in" / f"{number:02}.jsonl").write_text("".join(lines), "utf-8", "surrogatepass")
    stages = [
        {"name": method, "command": "dedup", "step": [{"kind": "dedup", "method": method, "options": given}]}
        for method, given in METHODS.items()
    ]
    recipe = parse_recipe({"name": "order", "about": "every kind of copy", "stage": stages}, "order")
    done = run_recipe(Context(recipe, engine, {}), read_inputs([str(folder / "in")]), folder / "out")
    kept = done.last.to_arrow(["id", "text"])
    return {
        "texts": dict(zip(kept["id"].to_pylist(), kept["text"].to_pylist(), strict=True)),
        "reasons": {reason for dataset in done.datasets for reason in reasons_of(dataset)},
        "removed": {dataset.manifest.stage: dataset.manifest.counts["rejected"] for dataset in done.datasets},
    }


def reasons_of(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    return (tuple(row[name] for name in REASONS) for row in dataset.ledger().to_pylist())


def show(found: dict[str, Any]) -> Iterator[str]:
    removed = ", ".join(f"{name} {count:,}" for name, count in found["removed"].items())
    cut = f"{found['left']:,} left, {found['changed']:,} of them cut"
    yield f"{found['documents']:,} documents, {cut}; removed: {removed}"
    head = ("files", "other documents", "other texts", "other reasons")
    yield from markdown(head, [[each[name] for name in head] for each in found["orders"]])
    yield "every order leaves the same" if found["passed"] else "the orders DIFFER"
