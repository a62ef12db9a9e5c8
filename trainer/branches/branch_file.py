"""A file of branches: several methods that are compared from one trunk.

```toml
run = "trunk"                       # the trunk's run, whose kept checkpoints merges average

[all]                               # overrides of every branch, the control too
decay = { steps = 40 }

[branches.more-code]                # each names what it overrides, and nothing else
mixture = { web = 0.5, functions = 0.5 }

[branches.short-decay]
decay = { hold = 20, steps = 20 }   # as many tokens: 20 steps at the stable rate, then the decay

[branches.mean]
merge = "mean"                      # trains nothing
```
The branch `control`, which has the overrides of `[all]` alone, is always made. Paths are relative to the file's folder.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from trainer.branches.merge import MergeConfig
from trainer.branches.overrides import data_named
from trainer.settings import read_toml

CONTROL = "control"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KNOWN = ("run", "all", "branches")


@dataclass(frozen=True)
class NamedBranch:
    """A branch of a file. One that merges has no overrides."""

    name: str
    overrides: Mapping[str, Any]
    data: Path | None = None
    merge: MergeConfig | None = None


@dataclass(frozen=True)
class BranchFile:
    """`run`: the folder of the trunk's run, which merges need. The control is the first of `branches`."""

    path: Path
    run: Path | None
    branches: tuple[NamedBranch, ...]


def read_branch_file(path: Path) -> BranchFile:
    """UsageError for a file that is no list of branches; overrides are checked when the trunk is known."""
    body = read_toml(path)
    unknown = sorted(set(body) - set(_KNOWN))
    if unknown:
        raise UsageError(f"{path} has {unknown[0]!r}; a file of branches has {', '.join(_KNOWN)}")
    common, named, run = body.get("all", {}), body.get("branches", {}), body.get("run")
    if not isinstance(common, dict) or not isinstance(named, dict) or not isinstance(run, str | None):
        raise UsageError(f"{path}: [all] and [branches.NAME] are tables of overrides, run is a folder")
    if not named:
        raise UsageError(f"{path} has no branches: add a table [branches.NAME] for each")
    if CONTROL in named:
        raise UsageError(f"{path}: the branch {CONTROL!r} is always made, with the overrides of [all]: leave it out")
    branches = [_branch(path, CONTROL, common, {}), *(_branch(path, name, common, own) for name, own in named.items())]
    if run is None and any(each.merge for each in branches):
        raise UsageError(f'{path}: a merge averages what the trunk\'s run kept: name it, run = "FOLDER"')
    return BranchFile(path, None if run is None else path.parent / run, tuple(branches))


def _branch(path: Path, name: str, common: Mapping[str, Any], own: Any) -> NamedBranch:
    where = f"{path}, branch {name!r}"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: a name has letters, digits, '.', '_' and '-', as it is a folder's")
    if not isinstance(own, dict):
        raise UsageError(f"{where} must be a table of overrides")
    if "merge" in own:
        if len(own) > 1:
            raise UsageError(f"{where}: a merge trains nothing, so it overrides nothing else")
        return NamedBranch(name, {}, merge=MergeConfig.of(own["merge"], f"{where}, merge"))
    body = {key: _joined(key, common, own) for key in {**common, **own}}
    data = data_named(body, path.parent)
    body.pop("data", None)
    return NamedBranch(name, body, data)


def _joined(key: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    """An override of both: fields of the branch's own table go before those of [all]; a mixture is whole."""
    values = [part[key] for part in (common, own) if key in part]
    if len(values) == 2 and key != "mixture" and all(isinstance(value, Mapping) for value in values):
        return {**values[0], **values[1]}
    return values[-1]
