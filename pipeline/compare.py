"""`compare`: the same input through several recipes.

Recipes are walked as a prefix tree: stages that two of them share from the start are made once. Ratios of what
remains come with bootstrap intervals over hosts, since pages of one host are kept or lost together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from infra.build import RUN, claim
from infra.canon import readable_json
from infra.dataset import Dataset
from infra.engine import Engine
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.console import table
from pipeline.context import Context, resolve_recipe
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import funnel, limit_param, stages_for, whole_stage
from pipeline.stages import first_source, run_stage

REPLICATES = 2000
SEED = 20240511
UNITS = ("docs", "chars", "tokens")
COMPARISON = "comparison.json"


def compare(
    names: Sequence[str], engine: Engine, inputs: Inputs, out: Path, limit: int | None, models: str | None
) -> dict[str, Any]:
    """The contract's JSON: `input`, `recipes` and `ratio`. Also written to `out/comparison.json`."""
    if len(set(names)) < 2:
        raise UsageError("compare needs two recipes or more: --recipe yi falcon")
    resolved = {name: resolve_recipe(load_recipe(name), models) for name in sorted(set(names))}
    arguments = {
        "verb": "compare",
        "recipes": {name: recipe.sha256 for name, (recipe, _) in resolved.items()},
        "inputs": [asdict(file.ref) for file in (*inputs.archives, *inputs.documents)]
        + [asdict(ref) for dataset in inputs.datasets for ref in dataset.refs],
        **limit_param(limit),
    }
    with claim(out, arguments):
        chains = {
            name: chain(recipe, places, engine, inputs, out, limit) for name, (recipe, places) in resolved.items()
        }
        answer = summary(chains)
        write_bytes(out / COMPARISON, readable_json(answer))
        write_bytes(out / RUN, readable_json({"chains": {n: [d.folder.name for d in c] for n, c in chains.items()}}))
    return answer


def chain(
    recipe: Recipe, places: Mapping[str, str], engine: Engine, inputs: Inputs, out: Path, limit: int | None
) -> list[Dataset]:
    """The datasets of a recipe's stages, each in a folder named by the hash of the recipe up to there."""
    source: Any = None
    datasets: list[Dataset] = []
    for stage in stages_for(recipe, inputs):
        prefix = recipe.prefix(recipe.stages.index(stage) + 1)
        params = limit_param(limit) if source is None else {}
        context = Context(prefix, engine, places, params)
        source = source or first_source(inputs, stage, limit)
        source = run_stage(context, stage, source, out / f"{len(prefix.stages):02d}-{stage.name}-{prefix.sha256[:12]}")
        datasets.append(source)
    return datasets


def summary(chains: Mapping[str, list[Dataset]]) -> dict[str, Any]:
    first = next(iter(chains.values()))[0].manifest
    hosts = {name: by_host(datasets[-1]) for name, datasets in chains.items()}
    recipes = {name: recipe_summary(datasets) for name, datasets in chains.items()}
    return {
        "input": {"stage": first.stage, "counts": dict(first.counts), **whole_stage(first)},
        "recipes": recipes,
        "ratio": {
            name: {
                other: ratio(recipes[name], recipes[other], hosts[name], hosts[other])
                for other in chains
                if other != name
            }
            for name in chains
        },
    }


def recipe_summary(datasets: list[Dataset]) -> dict[str, Any]:
    last = datasets[-1].manifest
    totals = whole_stage(last)
    rejected: dict[str, int] = {}
    for dataset in datasets:
        for rule, number in dataset.manifest.rejected_by.items():
            rejected[rule] = rejected.get(rule, 0) + number
    return {
        **{unit: totals[unit] for unit in UNITS},
        "funnel": funnel([dataset.manifest for dataset in datasets]),
        "by_language": {name: dict(numbers) for name, numbers in sorted(last.languages.items())},
        "rejected_by": dict(sorted(rejected.items(), key=lambda item: (-item[1], item[0]))),
    }


def by_host(dataset: Dataset) -> dict[str, int]:
    """Documents kept by host. A page without a real address counts as a host of its own."""
    counts: dict[str, int] = {}
    for part in dataset.parts():
        for batch in part.batches(["url", "file_path", "warc_offset"]):
            for row in batch.to_pylist():
                host = host_of(row["url"]) or f"{row['file_path']}:{row['warc_offset']}"
                counts[host] = counts.get(host, 0) + 1
    return counts


def host_of(url: str | None) -> str:
    """The host of a URL; empty where there is none, or where it is only a stand-in (`.invalid`, RFC 2606)."""
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
    return "" if host.endswith(".invalid") else host


def ratio(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], my_hosts: Mapping[str, int], their_hosts: Mapping[str, int]
) -> dict[str, Any]:
    answer: dict[str, Any] = {unit: round(mine[unit] / theirs[unit], 6) if theirs[unit] else None for unit in UNITS}
    return answer | {"docs_interval": interval(my_hosts, their_hosts)}


def interval(mine: Mapping[str, int], theirs: Mapping[str, int]) -> list[float] | None:
    """95 % interval of the ratio of documents: Poisson bootstrap over hosts, seeded (percentile method)."""
    hosts = sorted({*mine, *theirs})
    if not any(theirs.values()):
        return None
    counts: npt.NDArray[np.float64] = np.array([[mine.get(h, 0), theirs.get(h, 0)] for h in hosts], dtype=np.float64)
    weights = np.random.default_rng(SEED).poisson(1.0, size=(REPLICATES, len(hosts)))
    sums = weights @ counts
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1.0)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return [round(float(low), 6), round(float(high), 6)]


def compare_text(answer: Mapping[str, Any]) -> str:
    """The funnels one after the other, then the ratios."""
    parts = []
    for name, recipe in answer["recipes"].items():
        parts.append(f"{name}\n" + table(recipe["funnel"], ["stage", "step", "docs", "chars", "tokens"]))
    rows = [
        {"recipe": name, "of": other, "docs": n["docs"], "tokens": n["tokens"], "95 % of docs": between(n)}
        for name, others in answer["ratio"].items()
        for other, n in others.items()
    ]
    parts.append(table(rows, ["recipe", "of", "docs", "tokens", "95 % of docs"]))
    return "\n\n".join(parts)


def between(numbers: Mapping[str, Any]) -> str:
    interval = numbers["docs_interval"]
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
