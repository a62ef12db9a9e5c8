"""What a run over snapshots will take, from what a probe took: by arithmetic that is printed beside it."""

import math
from dataclasses import dataclass
from typing import Any

from infra.errors import UsageError
from infra.http.limits import HttpLimits
from infra.http.ranges import GROWTH, LONGEST_RANGE
from pipeline.snapshots.probe import READS_ARCHIVES, Probe, scaled

HOUR = 3600.0
AHEAD = 2**20


@dataclass(frozen=True)
class Means:
    """What there is to run on. `price`: of one core for an hour; `limits`: how fast the source is asked."""

    cores: int
    price: float
    limits: HttpLimits


def plan(probe: Probe, snapshots: int, files: int, means: Means) -> dict[str, Any]:
    """{snapshots, files, download, stages, total, probe}: of a run of the probe's recipe over so many files.

    Every number is the probe's times files / files of the probe. `hours` of a stage: its core-hours over the cores, or
    the time that the source takes to give its files at the limits, whichever is longer. `disk_bytes` of all stages
    together: nothing is deleted during a run.
    """
    mean = probe.bytes / probe.files
    rows: list[dict[str, Any]] = []
    for cost in scaled(probe, files):
        reads = cost.command in READS_ARCHIVES
        requests = files * requests_for(mean) if reads else 0
        asked = max(requests / means.limits.requests_per_second, bytes_time(files * mean, means.limits)) if reads else 0
        core_hours = cost.core_seconds / HOUR
        rows.append(
            {
                "stage": cost.stage,
                "bytes_read": cost.bytes_read,
                "disk_bytes": cost.disk_bytes,
                "rows_in": cost.rows_in,
                "rows_out": cost.rows_out,
                "requests": requests,
                "core_hours": round(core_hours, 6),
                "hours": round(max(core_hours / means.cores, asked / HOUR), 6),
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
            "hours": round(sum(row["hours"] for row in rows), 6),
            "disk_bytes": sum(row["disk_bytes"] for row in rows),
            "memory_bytes": means.cores * max(row["memory_bytes"] for row in rows),
            "price": round(sum(row["price"] for row in rows), 4),
        },
        "probe": {
            "taken": probe.taken,
            "recipe": probe.recipe,
            "files": probe.files,
            "bytes": probe.bytes,
            "workers": probe.workers,
            "machine": probe.machine,
        },
    }


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
        files = max(0, math.floor(made["files"] * core_hours / needed))
        raise UsageError(
            f"the run would take about {needed:,.3g} core-hours, and --budget allows {core_hours:,.3g}: that is enough "
            f"for about {files:,} of its {made['files']:,} files (--files, --sample)"
        )
