"""How good readers found what a keep rate keeps, what it just rejects, and the others that it rejects.

    python -m benchmarks kept_grades --kept OUT/09-keep-rate --graded graded-en.jsonl graded-zh.jsonl [--nearest 60]

`--kept`: the stage of a finished run whose step is `keep_rate`. `--graded`: rows of `id` (a document's address, or its
id) and `grades` (1 to 5, one of each reader; all rows of a document's address and of its id are its grades); the table
has three rows for each file. Just rejected are the graded documents nearest to the bound of their group: least by the
score that a document of their length needed, less their own. So all that reach the stage should be graded, or what is
kept, what is nearest and a random draw of the others.

For a figure that nothing is fitted to, the quality of the run is one that has nothing of these texts
(`python -m benchmarks grades --graded others.jsonl --apart graded.jsonl --out grade.tsv --combination quality.json`).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grades import GOOD, VERY_GOOD
from benchmarks.rows import GRADES, ID, checked_rows
from benchmarks.shared import markdown
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.job.intervals import wilson

RULE = "min_"
COLUMNS = ("of", "what", "graded", "mean", "good (95 %)", "very good (95 %)")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kept", type=Path, required=True, help="the keep-rate stage of a finished run")
    parser.add_argument("--graded", nargs="+", type=Path, required=True, help="JSON lines: id, grades")
    parser.add_argument("--nearest", type=int, default=60, help="how many are just rejected")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.nearest < 1:
        raise UsageError(f"--nearest is {args.nearest}; give a number of documents")
    made = Dataset(args.kept)
    if (made.manifest.extra.get("pool") or {}).get("method") != "keep_rate":
        raise UsageError(f"{args.kept} is of no keep_rate step: give the folder of that stage, as OUT/09-keep-rate")
    kept = [(row["url"], row["id"]) for row in made.to_arrow(["url", "id"]).to_pylist()]
    gaps = {(row["url"], row["id"]): gap(row) for row in made.ledger().to_pylist() if row["rule"].startswith(RULE)}
    rejected = sorted(gaps, key=lambda name: (gaps[name], str(name)))
    rows: list[dict[str, Any]] = []
    for path in args.graded:
        given: dict[str, list[float]] = {}
        for row in checked_rows(path, ID, GRADES):
            given.setdefault(str(row["id"]), []).extend(row["grades"])
        of_kept, of_rejected = (graded(names, given) for names in (kept, rejected))
        if not of_kept and not of_rejected:
            raise UsageError(f"no document of {args.kept} has an id or address of {path}")
        parts = {"kept": of_kept, "just rejected": of_rejected[: args.nearest], "others": of_rejected[args.nearest :]}
        rows += [{"of": path.name, "what": name, **told(found)} for name, found in parts.items() if found]
    return {"kept": len(kept), "rejected": len(rejected), "rows": rows}


def gap(row: Mapping[str, Any]) -> float:
    """By how much a score is under the one that was needed for a document of its length."""
    return float(row["threshold"] or 0.0) - float(row["value"] or 0.0)


def graded(names: Sequence[tuple[str | None, str | None]], given: Mapping[str, Sequence[float]]) -> list[float]:
    """The mean grades of these documents, in their order, of those that have grades by address, id or both."""
    found = [[grade for name in dict.fromkeys(both) for grade in given.get(name or "", ())] for both in names]
    return [float(np.mean(each)) for each in found if each]


def told(grades: Sequence[float]) -> dict[str, Any]:
    shares = {name: [grade >= least for grade in grades] for name, least in (("good", GOOD), ("very good", VERY_GOOD))}
    return {
        "graded": len(grades),
        "mean": round(float(np.mean(grades)), 2),
        **{name: float(np.mean(each)) for name, each in shares.items()},
        **{f"{name} interval": wilson(sum(each), len(each)) for name, each in shares.items()},
    }


def show(found: Mapping[str, Any]) -> Iterator[str]:
    yield from markdown(
        COLUMNS,
        [
            (
                row["of"], row["what"], f"{row['graded']:,}", f"{row['mean']:.2f}",
                *(f"{row[name]:.2f} ({row[f'{name} interval'][0]:.2f} to {row[f'{name} interval'][1]:.2f})"
                  for name in ("good", "very good")),
            )
            for row in found["rows"]
        ],
    )  # fmt: skip
    yield f"{found['kept']:,} documents are kept, {found['rejected']:,} rejected by the keep rate"
