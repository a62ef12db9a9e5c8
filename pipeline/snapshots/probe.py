"""What one run cost: the coefficients that a plan is made from, kept with their date in the user's cache.

A probe is a finished run over a few files of a snapshot. The core-seconds of a stage are the cores that the run held,
times the time from the end of the stage before to its own end: what a cluster is paid for, tables and waits included.
"""

import calendar
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.dataset.manifest import LIMIT, RUN
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import ObjectPath, read_json, write_bytes
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import FROZEN, stage_folder

ARCHIVE_BYTES = "bytes/file"
READS_ARCHIVES = ("ingest", "extract")


@dataclass(frozen=True)
class StageCost:
    """Of one stage of the probe. `bytes_read`: of what it reads, archives included; `disk_bytes`: of its folder."""

    stage: str
    command: str
    core_seconds: float
    bytes_read: int
    disk_bytes: int
    rows_in: int
    rows_out: int
    memory_bytes: int


@dataclass(frozen=True)
class Probe:
    """`files`, `bytes`: of the archives that it read; `taken`: the day."""

    recipe: str
    sha256: str
    taken: str
    machine: str
    workers: int
    files: int
    bytes: int
    stages: tuple[StageCost, ...]


def read_probe(run: Path) -> Probe:
    """The costs of a finished run. UsageError for what is none, for one over documents, and for one that was
    interrupted, whose times have gaps."""
    account = read_json(run / RUN)
    if not isinstance(account, dict) or not account.get("stages"):
        raise UsageError(f"{run} is no finished run: give --probe the folder that `refinery run` made")
    folders = [run / name for name in account["stages"]]
    datasets = [Dataset(folder) for folder in folders]
    accounts = [read_json(folder / RUN) or {} for folder in folders]
    archives = int(datasets[0].manifest.counts.get(ARCHIVE_BYTES, 0))
    if not archives:
        raise UsageError(f"{run} was made of documents: a probe is a run over archives of a snapshot")
    if any(each.get("parts_found") for each in accounts):
        raise UsageError(f"{run} was interrupted or made again, so that its times have gaps: run the probe anew")
    if LIMIT in datasets[0].manifest.header.params:
        raise UsageError(f"{run} was made with --limit, so that it read a part of its files: run the probe without")
    commands = commands_of(run)
    costs, size, before = [], 0, 0.0
    for folder, dataset, own in zip(folders, datasets, accounts, strict=True):
        began, wall = _time_of(own), float(own["wall_seconds"])
        seconds = max(wall, began + wall - before if before else 0.0)
        before = began + wall
        command = commands.get(folder.name, "")
        read = size + (archives if command in READS_ARCHIVES else 0)
        size = disk_bytes(folder)
        counts = dataset.manifest.counts
        costs.append(
            StageCost(
                folder.name,
                command,
                round(seconds * int(own["workers"]), 3),
                read,
                size,
                int(counts["in"]),
                int(counts["out"]),
                int(own.get("peak_memory_bytes", 0)),
            )
        )
    machine = (accounts[0].get("machine") or {}).get("system", "")
    return Probe(
        account["recipe"]["name"],
        account["recipe"]["sha256"],
        str(accounts[0]["started"])[:10],
        machine,
        int(account["workers"]),
        len(datasets[0].manifest.header.inputs),
        archives,
        tuple(costs),
    )


def commands_of(run: Path) -> dict[str, str]:
    """By the folder of each stage of a run, its command."""
    frozen: Any = read_json(run / FROZEN)
    if not isinstance(frozen, dict) or not isinstance(frozen.get("source"), dict):
        raise UsageError(f"{run / FROZEN} is not as it was written: run the same `refinery run` command again")
    recipe = parse_recipe(frozen["source"], str(run / FROZEN))
    return {stage_folder(recipe, stage): stage.command for stage in recipe.stages}


def _time_of(account: dict[str, Any]) -> float:
    return float(calendar.timegm(time.strptime(account["started"], "%Y-%m-%dT%H:%M:%SZ")))


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    if isinstance(folder, ObjectPath):
        return sum(folder.sizes().values())
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def keep(probe: Probe, folder: Path) -> Path:
    """Keeps the coefficients of a recipe, by its name, in place of older ones."""
    path = folder / f"{quote(probe.recipe, safe='')}.json"
    with suppress(OSError):  # a plan does not fail for a cache
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, readable_json(asdict(probe)))
    return path


def kept(folder: Path, recipe: str) -> Probe | None:
    """The coefficients that were kept for a recipe; None where there are none."""
    found: Any = read_json(folder / f"{quote(recipe, safe='')}.json")
    try:
        stages = tuple(StageCost(**each) for each in found["stages"])
        return Probe(**{**found, "stages": stages})
    except (TypeError, KeyError):
        return None


def probes_folder() -> Path:
    """`probes` in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("refinery") / "probes"


def scaled(probe: Probe, files: int) -> Sequence[StageCost]:
    """The costs of so many files of the same size: all but memory grows with them."""
    by = files / probe.files
    return [
        StageCost(
            cost.stage,
            cost.command,
            round(cost.core_seconds * by, 3),
            round(cost.bytes_read * by),
            round(cost.disk_bytes * by),
            round(cost.rows_in * by),
            round(cost.rows_out * by),
            cost.memory_bytes,
        )
        for cost in probe.stages
    ]
