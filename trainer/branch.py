"""Branches: training that continues from a frozen trunk with declared overrides and no other change.

`branch.json` holds the trunk's hash and the overrides. A branch without overrides continues the trunk's own schedule,
bit for bit: it is the control that other branches are compared with. Two branches with the same trunk and overrides
are equal, bit for bit.

Overrides, in TOML or as a mapping; all are optional:
- `data`: another tokens dataset, by path, with the trunk's tokenizer (stored as its manifest's hash);
- `data_seed`: another order of the documents;
- `decay`: `steps`, `type`, `min_lr_factor`: the decay, which then starts where the trunk was frozen;
- `top_k`: the distribution of k in training;
- `optimizer`: all of that section but `frozen_groups`; moments of parameters that change from AdamW to Muon, or back,
  start at zero;
- `frozen_groups`: parameter groups that are not trained;
- `execution`: how steps are carried out, which is no part of what the branch is.
What each means is documented in `config.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.storage import ObjectPath, place
from trainer.checkpoint import read_checkpoint
from trainer.config import Config, ExecutionConfig, OptimizerConfig, TopKConfig
from trainer.data.tokens import DataRef, TokenDataset
from trainer.device import choose_device
from trainer.parallel.ranks import joined
from trainer.plan import check_memory
from trainer.schedule import total_steps
from trainer.settings import build, read_toml
from trainer.train import OnStep, Tell, check_batch, open_loader, run_folder, train_until

FORMAT = "refinery.branch/2"
OPTIMIZER = tuple(field.name for field in fields(OptimizerConfig) if field.name != "frozen_groups")
TOP_K = tuple(field.name for field in fields(TopKConfig))

# Overrides that are tables: the section of the configuration that each changes, and the names of its fields there.
TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "decay": ("schedule", {"steps": "decay_steps", "type": "decay_type", "min_lr_factor": "min_lr_factor"}),
    "top_k": ("top_k", {name: name for name in TOP_K}),
    "optimizer": ("optimizer", {name: name for name in OPTIMIZER}),
}
# Overrides that are single values: section and field of the configuration.
VALUES: Mapping[str, tuple[str, str]] = {"data_seed": ("data", "seed"), "frozen_groups": ("optimizer", "frozen_groups")}
ALLOWED = tuple(sorted(("data", *TABLES, *VALUES)))


def apply_overrides(config: Config, overrides: Mapping[str, Any], step: int) -> Config:
    """`config` with `overrides` (all but `data`) for a trunk frozen at `step`. UsageError for an unknown override."""
    unknown = sorted(set(overrides) - set(ALLOWED))
    if unknown:
        raise UsageError(f"a branch cannot override {unknown[0]!r}; it may override {', '.join(ALLOWED)}")
    body = config.as_dict()
    for name, (section, known) in TABLES.items():
        values = overrides.get(name, {})
        if not isinstance(values, Mapping):
            raise UsageError(f"override {name!r} must be a table of {', '.join(known)}")
        for field, value in values.items():
            if field not in known:
                raise UsageError(f"override {name!r} has no field {field!r}; its fields are {', '.join(known)}")
            body[section][known[field]] = value
    for name, (section, field) in VALUES.items():
        if name in overrides:
            body[section][field] = overrides[name]
    if "decay" in overrides:
        warmup = min(step, config.schedule.warmup_steps)
        body["schedule"] |= {"trunk_steps": step, "warmup_steps": warmup}
    return Config.from_dict(body, "the branch's overrides")


def read_overrides(overrides: Path | Mapping[str, Any] | None) -> tuple[dict[str, Any], Path | None]:
    """The overrides, and the path of the dataset that they name, relative to the folder of the overrides' file."""
    base = overrides.parent if isinstance(overrides, Path) else Path()
    body = read_toml(overrides) if isinstance(overrides, Path) else dict(overrides or {})
    data = body.get("data")
    if data is not None and not isinstance(data, (str, Path)):
        raise UsageError("override 'data' must be the path of a tokens dataset")
    found = None if data is None else place(data)
    return body, base / found if found is not None and not isinstance(found, ObjectPath) else found


def read_execution(given: Any, trunk: ExecutionConfig) -> ExecutionConfig:
    """The trunk's execution with the fields that `given` has."""
    if not isinstance(given, Mapping):
        raise UsageError("override 'execution' must be a table")
    return build(ExecutionConfig, {**asdict(trunk), **given}, "execution")


def branch(
    trunk: Path,
    overrides: Path | Mapping[str, Any] | None,
    data: Path | None,
    out: Path,
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: str = "auto",
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train a branch of the frozen checkpoint `trunk` in the folder `out`, up to step `steps`.

    `steps` counts from the trunk's first step and defaults to the end of the schedule. `data` is the tokens dataset:
    the trunk's own, or another one, which then counts as the override `data`. A second call resumes where the first
    stopped. Returns the summary of `train.train_until` with the trunk's hash, the overrides, and `control`: whether
    there are none. UsageError for an unknown override, a changed trunk, missing data, or a folder that was made with
    other arguments.
    """
    body, named = read_overrides(overrides)
    if named is not None and data is not None:
        raise UsageError("the data is named twice, in the overrides and by --data: name it once")
    checkpoint, place = read_checkpoint(trunk), choose_device(device)
    execution = read_execution(body.pop("execution", {}), checkpoint.config.execution)
    config = replace(apply_overrides(checkpoint.config, body, checkpoint.step), execution=execution)
    config = Config.from_dict(config.as_dict(), "the branch's overrides")
    last_step = _last_step(config, checkpoint.step, steps)
    dataset = _open_dataset(named or data, checkpoint.data)
    declared = {name: value for name, value in sorted(body.items()) if name != "data"}
    if dataset.ref.manifest_sha256 != checkpoint.data.manifest_sha256:
        declared["data"] = dataset.ref.manifest_sha256
    lineage = {"format": FORMAT, "trunk": checkpoint.sha256, "overrides": declared}
    with joined(place, execution.expert_parallel) as ranks:
        check_batch(config, ranks)
        with run_folder(out, ranks, "branch.json", lineage) as run:
            latest = run.latest()
            check_memory(config, dataset.ref.vocab_size, place, tell if ranks.leads else None)
            state = (latest or checkpoint).state(place, ranks)
            if latest:
                state.config = config
            else:
                state.reconfigure(config, dataset.ref)
            loader = open_loader(dataset, config, state.step)
            summary = train_until(state, loader, max(last_step, state.step), run, lineage, on_step)
    return {**summary, "trunk": checkpoint.sha256, "overrides": declared, "control": not declared}


def _last_step(config: Config, trunk_step: int, steps: int | None) -> int:
    """The step to train to: `steps`, or the end of the schedule. UsageError unless it is after the trunk."""
    end = total_steps(config.schedule)
    last_step = end if steps is None else steps
    if not trunk_step < last_step <= end:
        raise UsageError(
            f"a branch from step {trunk_step} cannot train to step {last_step}: its schedule ends at step {end}; "
            "override decay.steps"
        )
    return last_step


def _open_dataset(path: Path | None, trunk: DataRef) -> TokenDataset:
    """The branch's dataset. UsageError when none is named, or when it has another tokenizer than the trunk's data."""
    if path is None:
        raise UsageError(
            f"give --data: the trunk was trained on the dataset whose manifest.json has sha256 {trunk.manifest_sha256}"
        )
    dataset = TokenDataset(path)
    if dataset.ref.tokenizer_sha256 != trunk.tokenizer_sha256:
        raise UsageError(f"{path} has another tokenizer than the trunk's data: tokenize it with the trunk's")
    return dataset
