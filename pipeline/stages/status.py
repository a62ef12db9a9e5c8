"""`status`: how far a run, a dataset or a training is, from its receipts or its log, without taking its lock."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.dataset.batches import receipts_in
from infra.dataset.manifest import MANIFEST, Manifest
from infra.dataset.receipts import RECEIPTS, WORK
from infra.engines.live import read_progress
from infra.errors import UsageError
from infra.storage import is_locked, read_json
from pipeline.stages.final import is_final

LOG, TIMINGS, TRAINING = "log.jsonl", "timings.jsonl", "training.json"
# The last steps of a training whose mean time is its speed; bytes that surely hold them.
LAST_STEPS, TAIL_BYTES = 20, 2**16


def status(folder: Path) -> dict[str, Any]:
    """{folder, running, stages: [{stage, state, parts, docs, rejected, …}]} of a run or a dataset, {folder, running,
    training: {step, …}} of a training. UsageError for any other kind of folder."""
    if (folder / LOG).is_file():
        return {"folder": str(folder), "running": is_locked(folder), "training": training_status(folder)}
    if not (folder / RECEIPTS).is_dir() and not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is neither a run, a dataset nor a training")
    inner = sorted(path for path in folder.iterdir() if is_begun(path) and not is_final(path))
    stages = [stage_status(path) for path in (inner or [folder])]
    return {"folder": str(folder), "running": is_locked(folder), "stages": stages}


def stage_status(folder: Path) -> dict[str, Any]:
    """While it is made: `total` parts, rows a second (`rate`) and `seconds_left`, where known; before its last
    pass, those of the `table` that is being made."""
    if (folder / MANIFEST).is_file():
        manifest = Manifest.read(folder)
        return {"stage": folder.name, "state": "done", "parts": manifest.parts, "docs": manifest.counts["out"],
                "rejected": manifest.counts.get("rejected", 0)}  # fmt: skip
    running = is_locked(folder)
    made = rows = rejected = 0
    for receipt in receipts_in(folder):
        made += 1
        rows += sum(shard["rows"] for shard in receipt["shards"])
        rejected += receipt["counts"].get("rejected", 0)
    table = folder
    if not made and (begun := [path for path in (folder / WORK).glob("*") if is_locked(path)]):
        table, made = begun[0], sum(1 for _ in receipts_in(begun[0]))
        running = True
    now = read_progress(table, folder.name) if running else None
    return {
        "stage": folder.name,
        "state": "running" if running else "unfinished",
        "parts": made,
        "docs": rows,
        "rejected": rejected,
        **({} if table is folder else {"table": table.name}),
        **({"total": now.total, "rate": now.rate, "seconds_left": now.seconds_left} if now else {}),
    }


def is_begun(folder: Path) -> bool:
    return (folder / RECEIPTS).is_dir() or (folder / WORK).is_dir()


def training_status(folder: Path) -> dict[str, Any]:
    """The last step with its loss, and of a trunk the steps that are left."""
    row = (last_rows(folder / LOG, 1) or [{}])[-1]
    timings = (each.get("seconds") for each in last_rows(folder / TIMINGS, LAST_STEPS))
    seconds = [each for each in timings if isinstance(each, float)]
    mean = sum(seconds) / len(seconds) if seconds else None
    made_with = read_json(folder / TRAINING)
    config: Mapping[str, Any] = made_with.get("config", {}) if isinstance(made_with, dict) else {}
    end = config.get("schedule", {}).get("trunk_steps")
    step = int(row.get("step", 0))
    left = None if end is None or mean is None else max(0, end - step) * mean
    return {
        "kind": "trunk" if config else "branch",
        "step": step,
        "steps": end,
        "tokens": row.get("tokens", 0),
        "loss": row.get("loss"),
        "seconds_a_step": mean,
        "seconds_left": left,
    }


def last_rows(path: Path, number: int) -> list[dict[str, Any]]:
    """The last whole rows of a file of JSON lines; the last line may be cut by a running process."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().split(b"\n")
    whole = lines[(1 if size > TAIL_BYTES else 0) : -1]
    return [row for line in whole[-number:] if (row := as_row(line))]


def as_row(line: bytes) -> dict[str, Any] | None:
    """None for a line that is damaged: a run that goes on tells it."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
