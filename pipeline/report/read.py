"""Reads the material of a report: finds runs, comparisons, mixtures, trainings and evaluations in folders.

Only manifests, logs and results are read here, and folders two levels down; `report/rows.py` reads rows. Items are
named by their paths below the deepest folder that contains them all, so that a report does not depend on its location.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from infra.dataset.manifest import MANIFEST, RUN, Kind
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import ObjectPath, place, read_json
from pipeline.compare.compare import COMPARISON, came_in
from pipeline.report.branches import GROWN, Branches, read_branches
from pipeline.report.grid_picture import grid_drawing
from pipeline.report.loss_forecasts import DataPlan, read_plan
from pipeline.report.training_log import LOG, Training, read_training
from pipeline.report.values import mapping_or_empty, number, read_mapping, well_formed
from pipeline.stages.audit import audit_sample, pool_notes, strictness_of
from pipeline.stages.final import is_final
from pipeline.stages.run import FROZEN, funnel

DEPTH = 2
# Answers that were kept in files, by what they are.
FILES = {"evaluation": "evaluation*.json", "branches": GROWN, "grid": "grid.json", "plan": "plan-data*.json"}
MAX_FOLDERS = 5_000


@dataclass(frozen=True)
class PoolOutcome:
    """One pass through the pipeline: a run, one recipe of a comparison, or a single dataset.

    docs: the number of input documents. funnel: rows of {stage, step, docs, chars, tokens}. datasets: those of its
    stages that exist (a comparison can be reported from its JSON alone). audit, strictness, notes: see
    `pipeline/stages/audit.py`.
    """

    label: str
    kind: str
    recipe: str
    docs: int
    funnel: tuple[Mapping[str, Any], ...]
    rejected_by: Mapping[str, int]
    languages: Mapping[str, Mapping[str, int]]
    datasets: tuple[Dataset, ...] = ()
    audit: Mapping[str, Any] | None = None
    strictness: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """`ratio`, `overlap`, `gold`: the output of `compare`, by the pools' labels. `cost`: the cost of each recipe."""

    label: str
    pools: tuple[PoolOutcome, ...]
    ratio: Mapping[str, Any]
    overlap: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gold: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mixture:
    """`plan`: the manifest's `mixture` (groups, binding, missed, shares, config)."""

    label: str
    plan: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    label: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class MetricGrid:
    """`body`: the answer of `evaluate --grid`."""

    label: str
    body: Mapping[str, Any]


@dataclass
class Material:
    """All items found, each kind in the order of its label. `pools`: those that are not part of a comparison."""

    pools: list[PoolOutcome] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    mixtures: list[Mixture] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    branches: list[Branches] = field(default_factory=list)
    grids: list[MetricGrid] = field(default_factory=list)
    plans: list[DataPlan] = field(default_factory=list)

    def all_pools(self) -> list[PoolOutcome]:
        return [pool for comparison in self.comparisons for pool in comparison.pools] + self.pools


def read_material(folders: Sequence[Path]) -> Material:
    """Finds items in `folders` or at most two levels below. Raises UsageError for a folder with nothing to report."""
    found: dict[Path, str] = {}
    for folder in sorted({place(folder).resolve() for folder in folders}):
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder: give --run the folder of a run, a comparison or a training")
        here = dict(_find(folder))
        if not here:
            raise UsageError(
                f"{folder} contains nothing to report, nor do the folders in it: a report shows runs, comparisons, "
                "datasets and mixtures, training runs and branches, and the files evaluation*.json, grid.json and "
                "plan-data*.json"
            )
        found |= here
    if not found:
        raise UsageError("nothing to report: give --run a folder")
    _drop_copies(found)
    levels = zip(*(path.parent.parts for path in found), strict=False)  # on disk or in a store
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    material = Material()
    for path, kind in sorted(found.items()):
        _add(material, kind, path, PurePosixPath(*path.parts[shared:]).as_posix())
    return material


def _find(top: Path) -> Iterator[tuple[Path, str]]:
    """Yields (path, kind) of every item at `top` or below; what is inside an item belongs to it.

    The printed output of a comparison, saved to a file, does not claim the folders beside that file.
    """
    waiting = [(top, 0)]
    for _ in range(MAX_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.pop(0)
        for kind, pattern in FILES.items():
            yield from ((path, kind) for path in sorted(folder.glob(pattern)) if path.is_file())
        whole = kind_of(folder)
        if whole:
            yield folder, whole
        if depth < DEPTH and (whole is None or (whole == "comparison" and not _chains(folder))):
            waiting += [(path, depth + 1) for path in _children(folder)]


def _drop_copies(found: dict[Path, str]) -> None:
    """Of equal comparisons, keeps the one that has its datasets (printed output has the cost too)."""
    seen: set[bytes] = set()
    comparisons = [path for path, kind in sorted(found.items()) if kind == "comparison"]
    for path in sorted(comparisons, key=lambda path: not _chains(path)):
        stored = {name: value for name, value in read_mapping(path / COMPARISON).items() if name != "cost"}
        content = json.dumps(stored, sort_keys=True).encode("utf-8", "surrogatepass")
        if content in seen:
            del found[path]
        seen.add(content)


def kind_of(folder: Path) -> str | None:
    if (folder / COMPARISON).is_file():
        return "comparison"
    if (folder / FROZEN).is_file() and _stage_names(folder):
        return "run"
    if (folder / MANIFEST).is_file():
        return "dataset"
    return "training" if (folder / LOG).is_file() else None


def _children(folder: Path) -> list[Path]:
    """The readable subfolders, without hidden ones (receipts and work in progress) and a run's link to one of them."""
    found = [path for path in folder.iterdir() if path.is_dir() and not (path.name.startswith(".") or is_final(path))]
    return sorted(path for path in found if isinstance(path, ObjectPath) or os.access(path, os.R_OK | os.X_OK))


def _stage_names(folder: Path) -> list[str]:
    """The stages of a run: as listed when it is finished, else those that exist so far."""
    names = mapping_or_empty(read_json(folder / RUN)).get("stages")
    if isinstance(names, list):
        return [name for name in names if isinstance(name, str) and (folder / Path(name).name / MANIFEST).is_file()]
    return [path.name for path in _children(folder) if (path / MANIFEST).is_file()]


def _add(material: Material, kind: str, path: Path, label: str) -> None:
    if kind == "comparison":
        material.comparisons.append(read_comparison(path / COMPARISON, label))
    elif kind == "training":
        material.trainings.append(read_training(path, label))
    elif kind == "evaluation":
        material.evaluations.append(read_evaluation(path, label.removesuffix(".json")))
    elif kind == "branches":
        material.branches.append(read_branches(path.parent, label.removesuffix(GROWN).rstrip("/")))
    elif kind == "grid":
        material.grids.append(read_grid(path, label.removesuffix(".json")))
    elif kind == "plan":
        material.plans.append(read_plan(path, label.removesuffix(".json")))
    else:
        names = _stage_names(path) if kind == "run" else None
        datasets = [Dataset(path)] if names is None else [Dataset(path / Path(name).name) for name in names]
        material.pools.append(pool_of(datasets, label, kind))
        for dataset in datasets:
            plan = dataset.manifest.extra.get("mixture")
            if isinstance(plan, Mapping):
                name = label if names is None else f"{label}/{dataset.folder.name}"
                material.mixtures.append(Mixture(name, plan))


def pool_of(datasets: Sequence[Dataset], label: str, kind: str) -> PoolOutcome:
    """Makes the outcome of a pool. Tokens of token shards are left out of the funnel: another tokenizer counts them."""
    manifests = [dataset.manifest for dataset in datasets]
    rows = funnel([manifest for manifest in manifests if manifest.kind in (Kind.RECORDS, Kind.DOCUMENTS)])
    rejected: Counter[str] = Counter()
    for manifest in manifests:
        rejected.update(manifest.rejected_by)
    languages = next((m.languages for m in reversed(manifests) if m.kind is Kind.DOCUMENTS), {})
    first, recipe = manifests[0], manifests[-1].recipe
    docs = came_in(first.counts, first.kind is Kind.RECORDS)
    frozen = read_json(datasets[0].folder.parent / FROZEN) if kind == "run" else None
    sha256 = frozen.get("sha256") if isinstance(frozen, dict) else None  # with the models of all stages of the run
    name = f"{recipe.name} {str(sha256 or recipe.sha256)[:12]}"
    return PoolOutcome(
        label, kind, name, docs, funnel_rows(rows), rejected, languages, tuple(datasets),
        audit_sample(datasets), strictness_of(datasets), tuple(pool_notes(datasets)),
    )  # fmt: skip


def funnel_rows(rows: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {"stage": str(row.get("stage", "")), "step": str(row.get("step", ""))}
        | {unit: int(number(row.get(unit)) or 0) for unit in ("docs", "chars", "tokens")}
        for row in rows
    )


def read_comparison(file: Path, label: str) -> Comparison:
    """Reads a `comparison.json`, and the datasets of each recipe's chain if they are still beside it."""
    body = read_mapping(file)
    chains = _chains(file.parent)
    try:
        start = body["input"]
        docs = came_in(start["counts"], not start["chars"])
        names = _short_names(body["recipes"])
        pools = [
            PoolOutcome(
                label=names[name],
                kind=f"recipe of {label}",
                recipe=name,
                docs=docs,
                funnel=funnel_rows(recipe["funnel"]),
                rejected_by=recipe.get("rejected_by", {}),
                languages=recipe["by_language"],
                datasets=tuple(_chain(file.parent, chains.get(name, ()))),
                audit=recipe.get("audit"),
                strictness=recipe.get("strictness"),
                notes=tuple(recipe.get("pool_notes", ())),
            )
            for name, recipe in sorted(body["recipes"].items())
        ]
        ratio, overlap = (
            {names[one]: {names[o]: value for o, value in others.items()} for one, others in body.get(key, {}).items()}
            for key in ("ratio", "overlap")
        )
        gold = body.get("gold", {})
        rows = [{**row, "kept": {names[n]: kept for n, kept in row["kept"].items()}} for row in gold.get("rows", ())]
        stored = mapping_or_empty(mapping_or_empty(read_json(file.parent / RUN)).get("cost"))
        cost = {names[n]: took for n, took in mapping_or_empty(stored.get("recipes")).items() if n in names}
        return Comparison(label, tuple(pools), ratio, overlap, {**gold, "rows": rows} if rows else {}, cost)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is not the output of `refinery compare`: {error!r}") from None


def _short_names(names: Iterable[str]) -> dict[str, str]:
    """Short names of recipes: for a recipe named by its file, the file's name, unless another has the same."""
    stems = {name: name.rsplit("/", 1)[-1].removesuffix(".toml") for name in names}
    taken = list(stems.values())
    return {name: stem if stem and taken.count(stem) == 1 else name for name, stem in stems.items()}


def _chains(folder: Path) -> Mapping[str, Any]:
    return mapping_or_empty(mapping_or_empty(read_json(folder / RUN)).get("chains"))


def _chain(folder: Path, names: Sequence[str]) -> Iterator[Dataset]:
    for name in names:
        if (folder / Path(name).name / MANIFEST).is_file():
            yield Dataset(folder / Path(name).name)


def read_evaluation(file: Path, label: str) -> Evaluation:
    body = read_mapping(file)
    parts = [body.get("bits_per_byte", {}), body.get("by_k", {}), body.get("baselines", {})]
    nested = [part for group in parts[1:] if isinstance(group, Mapping) for part in group.values()]
    if "bits_per_byte" not in body or not all(isinstance(part, Mapping) for part in (*parts, *nested)):
        raise UsageError(f"{file} is not the output of `refinery evaluate --json`: rename it, or evaluate again")
    return Evaluation(label, body)


def read_grid(file: Path, label: str) -> MetricGrid:
    body = read_mapping(file)
    with well_formed(file, "`refinery evaluate --grid --out`"):
        grid_drawing(body).in_page()
        for row in body["cells"].values():
            float(row["bits_per_byte"])
    return MetricGrid(label, body)


def read_account(dataset: Dataset) -> Mapping[str, Any]:
    """The cost of making a dataset (its run.json)."""
    return mapping_or_empty(read_json(dataset.folder / RUN))
