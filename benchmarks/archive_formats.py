"""Archives of every kind through `ingest` and `extract`, a line each: bytes by fate, records, documents, ledger.

    python benchmarks/archive_formats.py --input FOLDER --out WORK [--json]

Every file is run by itself, so that the laws are checked for each: bytes of members + damaged ranges = its size,
records in = out + rejected + skipped. Exit code 1 if a law breaks or a file is lost.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import run

RECIPE: dict[str, Any] = {
    "name": "formats",
    "stage": [{"verb": "ingest"}, {"verb": "extract", "step": [{"kind": "extract", "engine": "resiliparse"}]}],
}


def one(path: Path, out: Path) -> dict[str, Any]:
    with open_engine("local") as engine:
        recipe = parse_recipe(RECIPE, "formats").with_models({})
        try:
            made = run(Context(recipe, engine, {}), read_inputs([str(path)]), out)
        except UsageError as error:
            return {"file": path.name, "size": path.stat().st_size, "says": str(error)}
    records, documents = (dataset.manifest for dataset in made.datasets)
    for dataset in made.datasets:
        check_invariant(dataset.manifest)
        assert dataset.verify() == []
    counts = records.counts
    types = {name.removeprefix("type/"): n for name, n in counts.items() if name.startswith("type/")}
    return {
        "file": path.name,
        "size": path.stat().st_size,
        "members": counts.get("bytes/members", 0),
        "damaged": counts.get("bytes/damaged", 0),
        "records": types,
        "pages": counts["out"],
        "documents": documents.counts["out"],
        "ledger": ledger_rows(made.datasets),
    }


def ledger_rows(datasets: tuple[Dataset, ...]) -> int:
    return sum(shard.rows for dataset in datasets for shard in dataset.manifest.ledger)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    paths = [words.input] if words.input.is_file() else sorted(p for p in words.input.rglob("*") if p.is_file())
    rows = [one(path, words.out / f"{number:04d}") for number, path in enumerate(paths)]
    broken = [row for row in rows if "says" not in row and row["members"] + row["damaged"] != row["size"]]
    if words.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            name = row["file"][:52]
            if "says" in row:
                print(f"{name:52} {row['size']:>9,}  {row['says']}")
                continue
            types = " ".join(f"{kind}={count}" for kind, count in sorted(row["records"].items()))
            fate = f"{row['members']:>9,} + {row['damaged']:>7,} = {row['size']:>9,}"
            print(f"{name:52} {fate}  docs {row['documents']:>3}  ledger {row['ledger']:>3}  {types}")
        total = {
            key: sum(row.get(key, 0) for row in rows) for key in ("size", "members", "damaged", "documents", "ledger")
        }
        print(f"{len(rows)} files: {total}; laws broken: {len(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
