"""What a branch may change: overrides, in TOML or as a mapping. All are optional:

- `data`: another tokens dataset, by path, with the trunk's tokenizer (stored as its manifest's hash);
- `data_seed`: another order of the documents;
- `mixture`: weights of the sources, from the trunk's step on;
- `decay`: `steps`, `type`, `min_lr_factor`: the decay, which then starts where the trunk was frozen, or after `hold`
  more steps at the stable rate;
- `top_k`: the distribution of k in training;
- `window`, `sequence_length`: tokens that a sliding layer sees, and tokens of a training sequence;
- `optimizer`: all of that section but `frozen_groups`; moments of parameters that change from AdamW to Muon, or back,
  start at zero;
- `frozen_groups`: parameter groups that are not trained;
- `add`: `layers` and `experts`, grown so that the first forward pass is the trunk's (`growth.py`);
- `execution`: how steps are carried out, which is no part of what the branch is.
What each means is documented in `config.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.storage import ObjectPath, place
from trainer.branches.growth import Growth, grow_config
from trainer.config import Config, ExecutionConfig, OptimizerConfig, TopKConfig
from trainer.settings import build, read_toml

OPTIMIZER = tuple(field.name for field in fields(OptimizerConfig) if field.name != "frozen_groups")
TOP_K = tuple(field.name for field in fields(TopKConfig))

# Overrides that are tables: the section of the configuration that each changes, and the names of its fields there.
TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "decay": ("schedule", {"steps": "decay_steps", "type": "decay_type", "min_lr_factor": "min_lr_factor"}),
    "top_k": ("top_k", {name: name for name in TOP_K}),
    "optimizer": ("optimizer", {name: name for name in OPTIMIZER}),
}
# Overrides that are single values: section and field of the configuration.
VALUES: Mapping[str, tuple[str, str]] = {
    "data_seed": ("data", "seed"),
    "sequence_length": ("data", "sequence_length"),
    "window": ("model", "window"),
    "frozen_groups": ("optimizer", "frozen_groups"),
}
HOLD = "hold"  # a field of `decay` that is none of the configuration
ALLOWED = tuple(sorted(("add", "data", "mixture", *TABLES, *VALUES)))


def apply_overrides(config: Config, overrides: Mapping[str, Any], step: int) -> Config:
    """`config` with `overrides` (all but `data`) for a trunk frozen at `step`. UsageError for an unknown override."""
    unknown = sorted(set(overrides) - set(ALLOWED))
    if unknown:
        raise UsageError(f"a branch cannot override {unknown[0]!r}; it may override {', '.join(ALLOWED)}")
    body = config.as_dict()
    grow_config(body, growth_of(config, overrides))
    for name, (section, known) in TABLES.items():
        values = overrides.get(name, {})
        names = (*known, HOLD) if name == "decay" else (*known,)
        if not isinstance(values, Mapping):
            raise UsageError(f"override {name!r} must be a table of {', '.join(names)}")
        for field, value in values.items():
            if field not in names:
                raise UsageError(f"override {name!r} has no field {field!r}; its fields are {', '.join(names)}")
            if field in known:
                body[section][known[field]] = value
    for name, (section, field) in VALUES.items():
        if name in overrides:
            body[section][field] = overrides[name]
    if "decay" in overrides:
        warmup = min(step, config.schedule.warmup_steps)
        body["schedule"] |= {"trunk_steps": step + _hold(overrides["decay"]), "warmup_steps": warmup}
    if "mixture" in overrides:
        earlier = [stage for stage in body["data"]["mixture"] if stage["from_step"] < step]
        body["data"]["mixture"] = [*earlier, {"from_step": step, "weights": overrides["mixture"]}]
    return Config.from_dict(body, "the branch's overrides")


def _hold(decay: Mapping[str, Any]) -> int:
    steps = decay.get(HOLD, 0)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise UsageError(f"override 'decay.{HOLD}' is {steps!r}; it must be a number of steps")
    return steps


def growth_of(config: Config, overrides: Mapping[str, Any]) -> Growth:
    """What the overrides add to the model of `config`. UsageError for what cannot be added."""
    return build(Growth, overrides.get("add", {}), "override 'add'").check(len(config.model.layers))


def read_overrides(overrides: Path | Mapping[str, Any] | None) -> tuple[dict[str, Any], Path | None]:
    """The overrides, and the path of the dataset that they name, relative to the folder of the overrides' file."""
    base = overrides.parent if isinstance(overrides, Path) else Path()
    body = read_toml(overrides) if isinstance(overrides, Path) else dict(overrides or {})
    return body, data_named(body, base)


def data_named(body: Mapping[str, Any], base: Path) -> Path | None:
    """The path of the dataset that overrides name, relative to the folder `base`. UsageError for what is no path."""
    data = body.get("data")
    if data is not None and not isinstance(data, (str, Path)):
        raise UsageError("override 'data' must be the path of a tokens dataset")
    found = None if data is None else place(data)
    return base / found if found is not None and not isinstance(found, ObjectPath) else found


def read_execution(given: Any, trunk: ExecutionConfig) -> ExecutionConfig:
    """The trunk's execution with the fields that `given` has."""
    if not isinstance(given, Mapping):
        raise UsageError("override 'execution' must be a table")
    return build(ExecutionConfig, {**asdict(trunk), **given}, "execution")
