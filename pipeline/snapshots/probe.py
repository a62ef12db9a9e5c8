"""What one run cost: the coefficients that a plan is made from, kept with their date.

A probe is a finished run over a few files of a snapshot. The core-seconds of a stage are the CPU seconds of its tasks,
its intermediate tables and its shuffles, as its `run.json` has them; how busy the run kept its cores is told apart.
What a process loads before its first rows (models, compiled loops, the page sandbox) does not grow with the input: it
is told by the first part of each process, beside those that came after it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.dataset.manifest import LIMIT, RUN
from infra.dataset.reader import Dataset
from infra.engines.sizes import piece_bytes
from infra.errors import UsageError
from infra.hashing import readable_json, sha256_json
from infra.storage import read_json, write_bytes
from infra.user_folders import user_folder
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import FROZEN, stage_folder

ARCHIVE_BYTES = "bytes/file"
# Rows of tables in memory take some three times their bytes on disk; a group of parts of 256 MiB took 866 MiB to cut.
INFLATED, HELD_OF_PIECE = 3.0, 3.4
READS_ARCHIVES = ("ingest", "extract")


@dataclass(frozen=True)
class StageCost:
    """Of one stage of the probe. `core_seconds`: those that grow with the input; `start_seconds`: of one process, for
    what it loads; `processes`: how many did. `bytes_read`: of what it reads, archives included; `disk_bytes`: of its
    dataset; `table_bytes`: of its intermediate tables, which are gone when it is finished."""

    stage: str
    command: str
    core_seconds: float
    start_seconds: float
    processes: int
    bytes_read: int
    disk_bytes: int
    table_bytes: int
    rows_in: int
    rows_out: int
    memory_bytes: int

    def all_seconds(self, processes: int) -> float:
        """Core-seconds with what so many processes load."""
        return self.core_seconds + self.start_seconds * processes


@dataclass(frozen=True)
class Probe:
    """`sha256`: of the recipe's text (`text_hash`). `files`, `bytes`: of the archives that it read; `taken`: the day;
    `busy`: the share of the cores' time that its tasks used, between the first stage's start and the last one's
    end."""

    recipe: str
    sha256: str
    taken: str
    machine: str
    workers: int
    files: int
    bytes: int
    busy: float
    stages: tuple[StageCost, ...]


def read_probe(run: Path) -> Probe:
    """The costs of a finished run. UsageError for what is none, and for one over documents or with a limit."""
    account = read_json(run / RUN)
    if not isinstance(account, dict) or not account.get("stages"):
        raise UsageError(f"{run} is no finished run: give --probe the folder that `refinery run` made")
    folders = [run / name for name in account["stages"]]
    datasets = [Dataset(folder) for folder in folders]
    accounts = [read_json(folder / RUN) or {} for folder in folders]
    archives = int(datasets[0].manifest.counts.get(ARCHIVE_BYTES, 0))
    if not archives:
        raise UsageError(f"{run} was made of documents: a probe is a run over archives of a snapshot")
    if LIMIT in datasets[0].manifest.header.params:
        raise UsageError(f"{run} was made with --limit, so that it read a part of its files: run the probe without")
    if "tables" not in accounts[-1]:
        raise UsageError(f"{run} was made by an earlier version, which did not measure all of it: run the probe anew")
    commands = commands_of(run)
    costs = tuple(
        stage_cost(folder.name, commands.get(folder.name, ""), dataset, own, archives)
        for folder, dataset, own in zip(folders, datasets, accounts, strict=True)
    )
    spent = sum(float(own["cpu_seconds"]) for own in accounts)
    return Probe(
        recipe=account["recipe"]["name"],
        sha256=text_hash(frozen_source(run)),
        taken=str(accounts[0]["started"])[:10],
        machine=(accounts[0].get("machine") or {}).get("system", ""),
        workers=int(account["workers"]),
        files=len(datasets[0].manifest.header.inputs),
        bytes=archives,
        busy=round(min(1.0, spent / max(1e-9, float(account["wall_seconds"]) * int(account["workers"]))), 4),
        stages=costs,
    )


def stage_cost(stage: str, command: str, dataset: Dataset, own: dict[str, Any], archives: int) -> StageCost:
    """`own`: the stage's `run.json`; `archives`: their bytes."""
    counts = dataset.manifest.counts
    processes = max(1, *(int(each.get("first_parts", 0)) for each in (own, *own["tables"])))
    start = sum(start_seconds(each) for each in (own_pass(own), *own["tables"]))
    return StageCost(
        stage=stage,
        command=command,
        core_seconds=round(max(0.0, float(own["cpu_seconds"]) - start), 3),
        start_seconds=round(start / processes, 3),
        processes=processes,
        bytes_read=int(own["bytes_read"]) + (archives if command == "extract" else 0),
        disk_bytes=int(own["bytes_written"]),
        table_bytes=int(own["table_bytes"]),
        rows_in=int(counts["in"]),
        rows_out=int(counts["out"]),
        memory_bytes=int(own.get("peak_memory_bytes", 0)),
    )


def own_pass(own: Mapping[str, Any]) -> dict[str, Any]:
    """The account of a stage's last pass alone, which its `cpu_seconds` has with all tables."""
    tables = sum(float(each["cpu_seconds"]) for each in own["tables"])
    return {**own, "cpu_seconds": float(own["cpu_seconds"]) - tables}


def start_seconds(own: Mapping[str, Any]) -> float:
    """What the first parts of all processes took beyond the mean of the others, by rows. 0 where there are no others:
    then all of it is taken to grow with the input, which is too much rather than too little."""
    spread = float(own.get("spread_cpu_seconds", 0.0))
    first, first_rows = float(own.get("first_cpu_seconds", 0.0)), float(own.get("first_rows", 0))
    seconds = float(own["cpu_seconds"]) - spread - first
    rows = float(own.get("rows", 0)) - first_rows
    return max(0.0, first - seconds / rows * first_rows) if rows > 0 else 0.0


def frozen_source(run: Path) -> dict[str, Any]:
    """The text of a run's recipe, as data."""
    frozen: Any = read_json(run / FROZEN)
    if not isinstance(frozen, dict) or not isinstance(frozen.get("source"), dict):
        raise UsageError(f"{run / FROZEN} is not as it was written: run the same `refinery run` command again")
    source: dict[str, Any] = frozen["source"]
    return source


def text_hash(source: Mapping[str, Any]) -> str:
    """Of what a recipe's text says: another text of the same name has other costs. Its models hardly matter."""
    return sha256_json(dict(source))


def commands_of(run: Path) -> dict[str, str]:
    """By the folder of each stage of a run, its command."""
    recipe = parse_recipe(frozen_source(run), str(run / FROZEN))
    return {stage_folder(recipe, stage): stage.command for stage in recipe.stages}


def keep(probe: Probe, folder: Path) -> Path:
    """Keeps the coefficients of a recipe, by its name and text, in place of older ones."""
    path = _place(folder, probe.recipe, probe.sha256)
    with suppress(OSError):  # a plan does not fail for a cache
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, readable_json(asdict(probe)))
    return path


def kept(folder: Path, recipe: str, sha256: str) -> Probe | None:
    """The coefficients that were kept for a recipe of this name and text; None where there are none."""
    with suppress(OSError, TypeError, KeyError):  # a store that does not answer keeps none
        found: Any = read_json(_place(folder, recipe, sha256))
        stages = tuple(StageCost(**each) for each in found["stages"])
        return Probe(**{**found, "stages": stages})
    return None


def _place(folder: Path, recipe: str, sha256: str) -> Path:
    return folder / f"{quote(recipe, safe='')}-{sha256[:16]}.json"


def probes_folder() -> Path:
    """REFINERY_PROBES, else `probes` in the user's cache."""
    return user_folder("probes")


def piece_memory(table_bytes: float) -> float:
    """What a worker holds to cut or to sort one piece of a reduction over tables that have so many bytes on disk."""
    return HELD_OF_PIECE * piece_bytes(round(table_bytes * INFLATED)) if table_bytes else 0.0


def scaled(probe: Probe, by: float) -> Sequence[StageCost]:
    """The costs of so many times the input: all but what a process loads grows with it, and memory only as the pieces
    of reductions do."""
    return [
        replace(
            cost,
            core_seconds=round(cost.core_seconds * by, 3),
            bytes_read=round(cost.bytes_read * by),
            disk_bytes=round(cost.disk_bytes * by),
            table_bytes=round(cost.table_bytes * by),
            rows_in=round(cost.rows_in * by),
            rows_out=round(cost.rows_out * by),
            memory_bytes=round(
                cost.memory_bytes + piece_memory(cost.table_bytes * by) - piece_memory(cost.table_bytes)
            ),
        )
        for cost in probe.stages
    ]
