"""Branches: going on from a frozen trunk with declared overrides, and nothing else changed.

`branch.json` names the trunk by its hash and holds only the overrides. A branch without overrides goes on with the
trunk, bit for bit, along the trunk's own schedule: it is the control that every other branch is compared with. Two
branches with the same overrides are equal, bit for bit.

Overrides (TOML or a mapping):
- `data`: another tokens dataset, by path (the manifest's hash is what is kept), made with the same tokenizer;
- `data_seed`: another order of the documents;
- `tail`: `steps`, `shape`, `floor`: the decay begins where the trunk was frozen;
- `k`: `train`, `minimum`, `full_mass`: how many experts are drawn in training;
- `optimizer`: `learning_rate`, `beta1`, `beta2`, `epsilon`, `weight_decay`, `clip_norm`;
- `frozen_groups`: parameter groups that are not trained.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.storage import disk_errors, lock
from trainer.checkpoint import read_checkpoint
from trainer.config import Config, read_toml
from trainer.loader import Loader
from trainer.runs import RunFolder
from trainer.schedule import total_steps
from trainer.tokens import TokenDataset
from trainer.train import Progress, run_to

FORMAT = "refinery.branch/1"
OPTIMIZER = ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "clip_norm")


# Overrides that are tables: the section of the configuration that each edits, and its fields by their names there.
TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "tail": ("schedule", {"steps": "tail_steps", "shape": "tail_shape", "floor": "tail_floor"}),
    "k": ("k", {name: name for name in ("train", "minimum", "full_mass")}),
    "optimizer": ("optimizer", {name: name for name in OPTIMIZER}),
}
VALUES: Mapping[str, tuple[str, str]] = {"data_seed": ("data", "seed"), "frozen_groups": ("optimizer", "frozen_groups")}
ALLOWED = tuple(sorted(("data", *TABLES, *VALUES)))


def override(config: Config, overrides: Mapping[str, Any], step: int) -> Config:
    """`config` under `overrides` (all but `data`), for a trunk frozen at `step`. UsageError lists what is allowed."""
    unknown = sorted(set(overrides) - set(ALLOWED))
    if unknown:
        raise UsageError(f"a branch cannot override {unknown[0]!r}; it may override {', '.join(ALLOWED)}")
    body = config.as_dict()
    for name, (section, fields) in TABLES.items():
        values = overrides.get(name, {})
        if not isinstance(values, Mapping):
            raise UsageError(f"override {name!r} must be a table of {', '.join(fields)}")
        for field, value in values.items():
            if field not in fields:
                raise UsageError(f"override {name!r} has no field {field!r}; its fields are {', '.join(fields)}")
            body[section][fields[field]] = value
    for name, (section, field) in VALUES.items():
        if name in overrides:
            body[section][field] = overrides[name]
    if "tail" in overrides:
        warmup = min(step, config.schedule.warmup_steps)
        body["schedule"] |= {"trunk_steps": step, "warmup_steps": warmup}
    return Config.from_dict(body, "the branch's overrides")


def read_overrides(overrides: Path | Mapping[str, Any] | None) -> tuple[dict[str, Any], Path | None]:
    """The overrides, and the dataset that they name: beside the file when the path in it is relative."""
    base = overrides.parent if isinstance(overrides, Path) else Path()
    body = read_toml(overrides) if isinstance(overrides, Path) else dict(overrides or {})
    data = body.get("data")
    if data is not None and not isinstance(data, (str, Path)):
        raise UsageError("override 'data' must be the path of a tokens dataset")
    return body, None if data is None else base / data


def branch(
    trunk: Path,
    overrides: Path | Mapping[str, Any] | None,
    data: Path | None,
    out: Path,
    steps: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grow a branch of the frozen checkpoint `trunk` into `out`: to the end of its schedule, or to its step `steps`
    (counted with the trunk's).

    `data` is the tokens dataset: the trunk's own, or another, which then counts as the override `data`. UsageError
    for an unknown override, a changed trunk, missing data, or a folder of other arguments.
    """
    body, named = read_overrides(overrides)
    if named is not None and data is not None:
        raise UsageError("the data is named twice, in the overrides and by --data: name it once")
    checkpoint = read_checkpoint(trunk)
    state = checkpoint.state()
    config = override(state.config, body, checkpoint.step)
    folder = named or data
    if folder is None:
        raise UsageError(
            "say --data: the trunk was trained on the dataset whose manifest.json has sha256 "
            f"{state.data.manifest_sha256}"
        )
    dataset = TokenDataset(folder)
    if dataset.ref.tokenizer_sha256 != state.data.tokenizer_sha256:
        raise UsageError(f"{folder} has another tokenizer than the trunk's data: tokenize it with the trunk's")
    declared = {name: value for name, value in sorted(body.items()) if name != "data"}
    if dataset.ref.manifest_sha256 != state.data.manifest_sha256:
        declared["data"] = dataset.ref.manifest_sha256
    until = total_steps(config.schedule) if steps is None else steps
    if not checkpoint.step < until <= total_steps(config.schedule):
        raise UsageError(
            f"a branch from step {checkpoint.step} cannot go to step {until}: its schedule ends at "
            f"{total_steps(config.schedule)}; override tail.steps"
        )
    lineage = {"format": FORMAT, "trunk": checkpoint.sha256, "overrides": declared}
    with disk_errors(out), lock(out):
        run = RunFolder(out)
        run.claim("branch.json", lineage)
        latest = run.latest()
        if latest:
            state = latest.state()
        else:
            state.reconfigure(config, dataset.ref)
        loader = Loader(dataset, config.data.seed, config.data.sequence_length)
        summary = run_to(state, loader, max(until, state.step), run, lineage, progress)
    return {**summary, "trunk": checkpoint.sha256, "overrides": declared, "control": not declared}
