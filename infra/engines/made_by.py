"""Which code made a finished dataset, and whether that is the code of now.

`run.json` keeps, as `code`, the names from which the work can be reached (`code_version.py`) by the hash of what they
reached, for the dataset and for each of its intermediate tables. What they reach now is asked again from the names.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.code_version import Name, names_in, project
from infra.dataset.build import Build
from infra.dataset.manifest import MANIFEST, RUN
from infra.dataset.reader import Dataset
from infra.dataset.receipts import WORK
from infra.metering import versions
from infra.storage import read_json


def code_of(things: Iterable[Any]) -> dict[str, str]:
    """Of the work of one operation: {sha256: `MODULE:NAME MODULE:NAME …`}."""
    names = names_in(things)
    return {project().version(names): " ".join(sorted(f"{name.module}:{name.name}" for name in names))}


def finished(build: Build) -> Dataset | None:
    """As `Build.finished`; but an intermediate table that other code made is not: the parts that differ are made again,
    as those of its stage are, which is not finished."""
    if build.folder.parent.name == WORK and changes_since(build.folder):
        (build.folder / MANIFEST).unlink(missing_ok=True)
    return build.finished()


def changes_since(folder: Path) -> list[str]:
    """What has changed since the finished dataset was made: `code`, and libraries as `pyarrow 20.0.0 (now 21.0.0)`."""
    account = read_json(folder / RUN)
    if not isinstance(account, Mapping):
        return []
    code, before, now = account.get("code") or {}, account.get("versions") or {}, versions()
    changed = ["code"] if any(_version(names) != sha256 for sha256, names in code.items()) else []
    others = sorted(name for name in {*before} & {*now} if before[name] != now[name])
    return changed + [f"{name} {before[name]} (now {now[name]})" for name in others]


def _version(names: str) -> str | None:
    """None where one of the modules is no longer there."""
    try:
        return project().version(frozenset(Name(*name.split(":")) for name in names.split()))
    except ValueError:
        return None
