"""`compare`: the same input through several recipes.

Recipes are a prefix tree: stages that two of them share from the start are made once. Then one walk over the outcome of
every page (`compare/walk.py`) gives the ratios with their intervals, the overlap and the recall of gold pages.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.dataset.claim import claim
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes
from pipeline.compare.cost import Costs
from pipeline.compare.gold import Gold, GoldRecall
from pipeline.compare.overlap import Overlap
from pipeline.compare.ratio import ALL, UNITS, Hosts, large_languages, ratios
from pipeline.compare.walk import final, walk
from pipeline.inputs.inputs import Inputs
from pipeline.job.context import Context, resolve_recipe
from pipeline.recipes.changes import Changes
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe, check_only_tries, models_of
from pipeline.stages.audit import audit_sample, pool_notes, strictness_of
from pipeline.stages.counts import most_first
from pipeline.stages.run import Say, funnel, input_params, missed_by, stages_for, tell_not_done, whole_stage
from pipeline.stages.stages import first_source, for_stages, run_stage

COMPARISON = "comparison.json"


def compare(
    names: Sequence[str],
    engine: Engine,
    inputs: Inputs,
    out: Path,
    limit: int | None,
    models: str | None,
    gold: Gold | None = None,
    changes: Changes | None = None,
    *,
    say: Say | None = None,
) -> dict[str, Any]:
    """Returns the documented JSON (`summary`, with what the input does not allow as `not_done`), written to
    `out/comparison.json`; the cost is added as `cost`. `say` is told first what is not done.

    `changes`: see `named_recipes`.
    `gold` may differ from call to call in one folder: the datasets do not depend on it.
    """
    loaded = named_recipes(names, changes)
    stages = {name: stages_for(recipe, inputs) for name, recipe in loaded.items()}
    check_only_tries([stage for chosen in stages.values() for stage in chosen], "refinery compare")
    inputs = for_stages(inputs, [stage for chosen in stages.values() for stage in chosen])
    # what cannot be read is refused before the folder is claimed
    sources = {name: first_source(inputs, chosen[0], limit) for name, chosen in stages.items()}
    resolved = {name: resolve_recipe(recipe, models, models_of(stages[name])) for name, recipe in loaded.items()}
    arguments = {
        "command": "compare",
        "recipes": {name: recipe.sha256 for name, (recipe, _) in resolved.items()},
        "inputs": [asdict(file.ref) for file in (*inputs.archives, *inputs.documents)]
        + [asdict(ref) for dataset in inputs.datasets for ref in dataset.refs],
        **input_params(inputs, limit),
    }
    with claim(out, arguments):
        missed = {name: missed_by(recipe, stages[name], inputs, sources[name]) for name, recipe in loaded.items()}
        for name, recipe in loaded.items():
            tell_not_done(say, recipe, missed[name])
        costs = Costs(out)
        chains = {
            name: chain(recipe, places, engine, inputs, out, limit, costs)
            for name, (recipe, places) in resolved.items()
        }
        answer = summary(chains, gold)
        answer["not_done"] = {name: [each.as_json() for each in found] for name, found in missed.items()}
        write_bytes(out / COMPARISON, readable_json(answer))
        first = next(iter(chains.values()))[0].manifest
        cost = costs.close(chains, came_in(first.counts, first.kind is Kind.RECORDS))
    return {**answer, "cost": cost}


def named_recipes(names: Sequence[str], changes: Changes | None) -> dict[str, Recipe]:
    """The recipes by the names that they are compared under. With `changes` the last is changed; if it is the only one,
    it is compared with itself as changed. UsageError for fewer than two."""
    unchanged = names[:-1] if changes and len(names) > 1 else names
    loaded = {name: load_recipe(name) for name in unchanged}
    if changes and names:
        changed = load_recipe(names[-1], changes)
        loaded[changed.name] = changed
    if len(loaded) < 2:
        raise UsageError("compare needs two recipes or more: --recipe yi falcon")
    return dict(sorted(loaded.items()))


def chain(
    recipe: Recipe,
    places: Mapping[str, str],
    engine: Engine,
    inputs: Inputs,
    out: Path,
    limit: int | None,
    costs: Costs,
) -> list[Dataset]:
    """Makes the datasets of a recipe's stages, each in a folder named by the hash of the recipe up to there."""
    source: Any = None
    datasets: list[Dataset] = []
    for stage in stages_for(recipe, inputs):
        prefix = recipe.prefix(recipe.number(stage))
        params = input_params(inputs, limit) if source is None else {}
        context = Context(prefix, engine, places, params)
        source = source or first_source(inputs, stage, limit)
        folder = out / f"{len(prefix.stages):02d}-{stage.name}-{prefix.sha256[:12]}"
        with costs.timed(folder):
            source = run_stage(context, stage, source, folder)
        datasets.append(source)
    return datasets


def summary(chains: Mapping[str, list[Dataset]], gold: Gold | None = None) -> dict[str, Any]:
    """{"input", "recipes": {NAME: see `recipe_summary`}, "ratio": see `ratios`, "overlap": see `Overlap.as_json`} and,
    with true texts, "gold": see `GoldRecall.as_json`. The same datasets always give the same summary."""
    first = next(iter(chains.values()))[0].manifest
    last = {name: final(chain).manifest for name, chain in chains.items()}
    languages = large_languages([manifest.languages for manifest in last.values()])
    hosts, overlap = Hosts(list(chains), languages), Overlap(list(chains))
    recall = GoldRecall(gold, list(chains)) if gold else None
    for partition in walk(chains):
        hosts.add(partition)
        overlap.add(partition)
        if recall:
            recall.add(partition)
    nothing = dict.fromkeys(UNITS, 0)
    totals = {(name, ALL): whole_stage(manifest) for name, manifest in last.items()}
    totals |= {(name, tag): {**nothing, **last[name].languages.get(tag, {})} for name in last for tag in languages}
    return {
        "input": {"stage": first.stage, "counts": dict(first.counts), **whole_stage(first)},
        "recipes": {name: recipe_summary(datasets) for name, datasets in chains.items()},
        "ratio": ratios(hosts, totals),
        "overlap": overlap.as_json(),
        **({"gold": recall.as_json()} if recall else {}),
    }


def recipe_summary(datasets: list[Dataset]) -> dict[str, Any]:
    """{docs, chars, tokens, funnel, by_language, rejected_by: {"step/rule": pages}, audit, strictness,
    pool_notes: see `pipeline/stages/audit.py`}."""
    last = final(datasets).manifest
    totals = whole_stage(last)
    rejected: Counter[str] = Counter()
    for dataset in datasets:
        rejected.update(dataset.manifest.rejected_by)
    return {
        **{unit: totals[unit] for unit in UNITS},
        "funnel": funnel([dataset.manifest for dataset in datasets]),
        "by_language": {name: dict(numbers) for name, numbers in sorted(last.languages.items())},
        "rejected_by": most_first(rejected),
        "audit": audit_sample(datasets),
        "strictness": strictness_of(datasets),
        "pool_notes": pool_notes(datasets),
    }


def came_in(counts: Mapping[str, int], are_records: bool) -> int:
    """The number of input pages: of an archive its records that are pages, else the given documents."""
    return counts["out"] if are_records else counts.get("in", counts["out"])
