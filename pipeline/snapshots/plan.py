"""What a run over snapshots will take, from what a probe took: by arithmetic that is printed beside it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import UsageError
from infra.http.limits import HttpLimits
from infra.http.ranges import GROWTH, LONGEST_RANGE
from pipeline.inputs.archives import split_bytes_for
from pipeline.inputs.inputs import MAX_ASKED
from pipeline.snapshots.probe import READS_ARCHIVES, Probe, scaled

HOUR = 3600.0
AHEAD = 2**20


@dataclass(frozen=True)
class Means:
    """What there is to run on. `price`: of one core for an hour; `limits`: how fast the source is asked."""

    cores: int
    price: float
    limits: HttpLimits


def plan(probe: Probe, snapshots: int, files: int, means: Means, size: int | None = None) -> dict[str, Any]:
    """{snapshots, files, bytes, cores, stages, total, probe}: of a run of the probe's recipe over so many files.

    `size`: of the files together, in bytes, where it is known; else they are taken to be as large as the probe's. Every
    number is the probe's times size / size of the probe; core-hours are that, and what each process loads
    (`start_core_hours` of all), once for each core, or part of the plan where these are fewer. `hours` of a stage: its
    core-hours over the cores, as busy as the probe kept them, or the time that the source takes to give its files at
    the limits, whichever is longer.
    `disk_bytes` of all stages together, since nothing is deleted during a run, and of the most tables that one has.
    """
    mean = probe.bytes / probe.files if size is None else size / max(1, files)
    rows: list[dict[str, Any]] = []
    times, before = files * mean / probe.bytes, ""
    for cost in scaled(probe, times):
        # an extract stage right after ingest shares its pass over a file
        reads = cost.command in READS_ARCHIVES and not (cost.command == "extract" and before == "ingest")
        before = cost.command
        requests = requests_of(cost.command, files, mean) if reads else 0
        asked = max(requests / means.limits.requests_per_second, bytes_time(files * mean, means.limits)) if reads else 0
        processes = min(means.cores, max(1, round(cost.processes * times)))
        core_hours, start = cost.all_seconds(processes) / HOUR, cost.start_seconds * processes / HOUR
        rows.append(
            {
                "stage": cost.stage,
                "bytes_read": cost.bytes_read,
                "disk_bytes": cost.disk_bytes,
                "table_bytes": cost.table_bytes,
                "rows_in": cost.rows_in,
                "rows_out": cost.rows_out,
                "requests": requests,
                "core_hours": round(core_hours, 6),
                "start_core_hours": round(start, 6),
                "hours": round(max(core_hours / means.cores / max(0.05, probe.busy), asked / HOUR), 6),
                "memory_bytes": cost.memory_bytes,
                "price": round(core_hours * means.price, 4),
            }
        )
    return {
        "snapshots": snapshots,
        "files": files,
        "bytes": round(files * mean),
        "cores": means.cores,
        "stages": rows,
        "total": {
            "requests": sum(row["requests"] for row in rows),
            "core_hours": round(sum(row["core_hours"] for row in rows), 6),
            "start_core_hours": round(sum(row["start_core_hours"] for row in rows), 6),
            "hours": round(sum(row["hours"] for row in rows), 6),
            "disk_bytes": sum(row["disk_bytes"] for row in rows) + max(row["table_bytes"] for row in rows),
            "memory_bytes": means.cores * max(row["memory_bytes"] for row in rows),
            "price": round(sum(row["price"] for row in rows), 4),
        },
        "probe": {
            "taken": probe.taken,
            "recipe": probe.recipe,
            "files": probe.files,
            "bytes": probe.bytes,
            "workers": probe.workers,
            "busy": probe.busy,
            "machine": probe.machine,
        },
    }


def requests_of(command: str, files: int, mean: float) -> int:
    """What a stage asks of the source, of so many files of a mean size. Of up to 1,000 files `ingest` asks for the size
    of each, looks at the beginning of what is cut into parts, and at each border between two; each part is one range.
    Of more files the sizes are not known, and each is read as a whole."""
    if files > MAX_ASKED:
        return files * requests_for(mean)
    parts = math.ceil(mean / split_bytes_for(round(files * mean)))
    if parts < 2:
        ranges, looks = requests_for(mean), 0
    else:
        ranges, looks = parts, parts
    return files * (ranges + (1 + looks if command == "ingest" else 0))


def requests_for(size: float) -> int:
    """The ranges in which a whole file of this size is read in order (`infra/http/ranges.py`)."""
    number, length, covered = 0, AHEAD, 0
    while covered < size:
        rest = math.ceil((size - covered) / length)
        step = rest if length == LONGEST_RANGE else 1
        number, covered = number + step, covered + step * length
        length = min(LONGEST_RANGE, length * GROWTH)
    return max(1, number)


def bytes_time(size: float, limits: HttpLimits) -> float:
    return size / limits.bytes_per_second if limits.bytes_per_second else 0.0


def check_budget(made: dict[str, Any], core_hours: float) -> None:
    """UsageError where a plan needs more core-hours than it may."""
    needed = made["total"]["core_hours"]
    if needed > core_hours:
        start = made["total"]["start_core_hours"]
        growing = max(needed - start, 1e-9)
        files = max(0, min(made["files"], math.floor(made["files"] * (core_hours - start) / growing)))
        raise UsageError(
            f"the run would take about {needed:,.3g} core-hours, and --budget allows {core_hours:,.3g}: that is enough "
            f"for about {files:,} of its {made['files']:,} files (--files, --sample)"
        )


def beside_actual(made: Mapping[str, Any], actual: Probe) -> list[dict[str, Any]]:
    """Rows {stage, core_hours, disk_bytes, table_bytes, memory_bytes} of a plan, and with them `actual_…`, of the run
    that it was made for."""
    costs = {cost.stage: cost for cost in actual.stages}
    return [
        {
            "stage": row["stage"],
            "core_hours": row["core_hours"],
            "actual_core_hours": round(cost.all_seconds(cost.processes) / HOUR, 6),
            "disk_bytes": row["disk_bytes"],
            "actual_disk_bytes": cost.disk_bytes,
            "table_bytes": row["table_bytes"],
            "actual_table_bytes": cost.table_bytes,
            "memory_bytes": row["memory_bytes"],
            "actual_memory_bytes": cost.memory_bytes,
        }
        for row in made["stages"]
        if (cost := costs.get(row["stage"]))
    ]
