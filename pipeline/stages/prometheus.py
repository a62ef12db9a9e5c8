"""The costs of a run's stages, finished or running, for Prometheus: its text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.dataset.batches import receipts_in
from infra.dataset.manifest import RUN
from infra.dataset.receipts import WORK, files_of
from infra.storage import read_json
from pipeline.stages.status import status

PREFIX = "refinery_stage_"
# By name, what each says of one stage; all are gauges, since a folder that is made anew begins again.
METRICS = {
    "running": "1 while a process is at work on it.",
    "done": "1 when its dataset is complete.",
    "parts": "Partitions that are made.",
    "parts_planned": "Partitions that it will have, where that is known.",
    "documents": "Rows of its dataset.",
    "rejected_documents": "Rows that it rejected.",
    "documents_per_second": "Rows a second since it began or was resumed.",
    "cpu_seconds": "CPU time of its partitions, tables and shuffles.",
    "wall_seconds": "Time of its last pass; of extract with the pass that it shares with ingest.",
    "peak_memory_bytes": "The largest resident size of a worker.",
    "read_bytes": "Of the files that it reads, compressed.",
    "written_bytes": "Of the files of its dataset.",
    "table_bytes": "Of its intermediate tables.",
    "retries": "Jobs that were run again since their worker or its node died.",
}
OF_ACCOUNTS = {
    "cpu_seconds": "cpu_seconds",
    "wall_seconds": "wall_seconds",
    "peak_memory_bytes": "peak_memory_bytes",
    "read_bytes": "bytes_read",
    "written_bytes": "bytes_written",
    "table_bytes": "table_bytes",
    "retries": "retries",
}


def exposition(folder: Path) -> str:
    """All metrics of all stages of a run, or of the one dataset of a folder. UsageError as of `status`."""
    stages = [stage for stage in status(folder).get("stages", ()) if isinstance(stage, Mapping)]
    values = {str(stage["stage"]): stage_values(folder, stage) for stage in stages}
    return "".join(f"{line}\n" for name, about in METRICS.items() for line in metric_lines(name, about, values))


def metric_lines(name: str, about: str, values: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Nothing where no stage has it."""
    samples = [(stage, of[name]) for stage, of in values.items() if name in of]
    if samples:
        yield f"# HELP {PREFIX}{name} {about}"
        yield f"# TYPE {PREFIX}{name} gauge"
        yield from (f'{PREFIX}{name}{{stage="{escaped(stage)}"}} {value}' for stage, value in samples)


def escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def stage_values(run: Path, stage: Mapping[str, Any]) -> dict[str, float]:
    folder = run / stage["stage"] if (run / stage["stage"]).is_dir() else run
    found = {
        "running": int(stage["state"] == "running"),
        "done": int(stage["state"] == "done"),
        "parts": stage["parts"],
        "parts_planned": stage.get("total", stage["parts"] if stage["state"] == "done" else None),
        "documents": stage["docs"],
        "rejected_documents": stage["rejected"],
        "documents_per_second": stage.get("rate"),
        **(costs(folder) if stage["state"] == "done" else costs_so_far(folder)),
    }
    return {name: value for name, value in found.items() if value is not None}


def costs(folder: Path) -> dict[str, Any]:
    account: Any = read_json(folder / RUN) or {}
    return {name: account.get(of) for name, of in OF_ACCOUNTS.items()}


def costs_so_far(folder: Path) -> dict[str, Any]:
    """Of a stage that is not finished: the sums of the receipts that are there, those of its tables too."""
    tables = sorted((folder / WORK).glob("*"))
    seconds = peak = written = in_tables = 0
    for place in (folder, *tables):
        for receipt in receipts_in(place):
            cost = receipt["cost"]
            seconds, peak = seconds + cost["cpu_seconds"], max(peak, cost["peak_memory_bytes"])
            size = sum(files_of(receipt).values())
            written, in_tables = (written + size, in_tables) if place is folder else (written, in_tables + size)
    return {
        "cpu_seconds": round(seconds, 3),
        "peak_memory_bytes": peak,
        "written_bytes": written,
        "table_bytes": in_tables,
    }
