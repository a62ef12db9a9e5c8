"""What deduplication removes of a pool, pair by pair: similarities, what no verification would have removed, clusters.

    python -m benchmarks removed_pairs --documents OUT [--threshold 0.8] [--pairs pairs.jsonl]

`--documents`: a dataset of documents, or a run. Near copies are removed from it twice, with each pair verified and
without, as the published recipes do that take every candidate for a copy. Of every removed document the similarity to
its survivor is computed again from both texts, by a set of shingles each. It fails if the ledger says another one, or
one below the threshold.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import markdown
from dedup.marks import READ, unmarked_texts
from dedup.shingles import shingles
from dedup.tables import Hashes
from dedup.verify import jaccard
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from pipeline.inputs.inputs import dataset_in
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.stages import run_stage

# From one to the next, by the similarity to the survivor.
BOUNDS = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)
TOP = 5
Place = tuple[str, int]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--pairs", type=Path, help="a file for all pairs, with their addresses")


def run(args: argparse.Namespace) -> dict[str, Any]:
    documents = dataset_in(args.documents)
    with tempfile.TemporaryDirectory(prefix="removed-pairs-") as scratch, LocalEngine() as engine:
        found = {
            name: pairs_of(removed(documents, engine, Path(scratch) / name, args.threshold, name == "verified"))
            for name in ("verified", "unverified")
        }
    wanted = {place for pairs in found.values() for pair in pairs for place in (pair["copy"], pair["survivor"])}
    sets, urls = shingles_at(documents, wanted)
    for pairs in found.values():
        for pair in pairs:
            pair["true"] = jaccard(sets[pair["copy"]], sets[pair["survivor"]])
            pair["urls"] = [urls[pair["copy"]], urls[pair["survivor"]]]
    if args.pairs:
        rows = ({"verified": name == "verified", **pair} for name, pairs in found.items() for pair in pairs)
        args.pairs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    right = all(
        pair["true"] >= args.threshold and abs(pair["true"] - pair["similarity"]) < 1e-9 for pair in found["verified"]
    )
    return {
        "documents": documents.manifest.counts["out"],
        "threshold": args.threshold,
        **{name: summary(pairs, args.threshold) for name, pairs in found.items()},
        "passed": right,
    }


def removed(documents: Dataset, engine: LocalEngine, out: Path, threshold: float, verify: bool) -> Dataset:
    step = {"kind": "dedup", "method": "minhash", "options": {"threshold": threshold, "verify": verify}}
    recipe = parse_recipe({"name": "pairs", "stage": [{"name": "near", "command": "dedup", "step": [step]}]}, "pairs")
    return run_stage(Context(recipe, engine, {}), recipe.stages[0], documents, out)


def pairs_of(made: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "copy": (row["file_path"], row["warc_offset"]),
            "survivor": (row["survivor_path"], row["survivor_offset"]),
            "similarity": row["similarity"],
        }
        for row in made.ledger().to_pylist()
    ]


def shingles_at(documents: Dataset, wanted: set[Place]) -> tuple[dict[Place, Hashes], dict[Place, str | None]]:
    """The sets of shingles of the documents at these places, and their addresses."""
    sets: dict[Place, Hashes] = {}
    urls: dict[Place, str | None] = {}
    for batch in documents.batches([*READ, "url", "file_path", "warc_offset"]):
        places = zip(batch["file_path"].to_pylist(), batch["warc_offset"].to_pylist(), strict=True)
        for row, place in enumerate(places):
            if place in wanted:
                sets[place] = shingles(unmarked_texts(batch.slice(row, 1))[0].as_py() or "")
                urls[place] = batch["url"][row].as_py()
    return sets, urls


def summary(pairs: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    true = np.array([pair["true"] for pair in pairs])
    clusters = Counter(pair["survivor"] for pair in pairs)
    by_survivor: dict[Place, list[dict[str, Any]]] = {}
    for pair in pairs:
        by_survivor.setdefault(pair["survivor"], []).append(pair)
    return {
        "removed": len(pairs),
        "below": int((true < threshold).sum()),
        "shares": [int(((true >= low) & (true < high)).sum()) for low, high in pairwise((*BOUNDS, 2.0))],
        "clusters": [
            {
                "url": by_survivor[survivor][0]["urls"][1],
                "documents": copies + 1,
                "least": round(min(pair["true"] for pair in by_survivor[survivor]), 3),
            }
            for survivor, copies in sorted(clusters.items(), key=lambda each: (-each[1], each[0]))[:TOP]
        ],
    }


def show(found: Mapping[str, Any]) -> Iterator[str]:
    bounds = [*(f"{low} to {high}" for low, high in pairwise(BOUNDS)), "1"]
    sides = ("verified", "unverified")
    rows = [(name, f"{found[name]['removed']:,}", *map(str, found[name]["shares"])) for name in sides]
    yield from markdown(("similarity to the survivor", "removed", *bounds), rows)
    yield (
        f"{found['documents']:,} documents; without verification {found['unverified']['below']:,} are removed that "
        f"have less than {found['threshold']} in common with their survivor"
    )
    for name in sides:
        yield ""
        clusters = [(each["url"], str(each["documents"]), f"{each['least']:.3f}") for each in found[name]["clusters"]]
        yield from markdown((f"largest clusters, {name}", "documents", "least similarity"), clusters)
