"""`status`: the progress of a run or a dataset, from its receipts, without taking its lock."""

import fcntl
from pathlib import Path
from typing import Any

from infra.dataset.manifest import MANIFEST, Manifest
from infra.dataset.receipts import RECEIPTS
from infra.errors import UsageError
from infra.storage import read_json


def status(folder: Path) -> dict[str, Any]:
    """{folder, running, stages: [{stage, state, parts, docs, rejected}]}; UsageError for any other kind of folder."""
    if not (folder / RECEIPTS).is_dir() and not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is neither a run nor a dataset of ours")
    inner = sorted(path for path in folder.iterdir() if (path / RECEIPTS).is_dir())
    stages = [stage_status(path) for path in (inner or [folder])]
    return {"folder": str(folder), "running": locked(folder), "stages": stages}


def stage_status(folder: Path) -> dict[str, Any]:
    paths = sorted((folder / RECEIPTS).glob("part-*.json"))
    if (folder / MANIFEST).is_file():
        state, counts = "done", Manifest.read(folder).counts
        docs, rejected = counts["out"], counts.get("rejected", 0)
    else:
        state = "running" if locked(folder) else "unfinished"
        receipts = [read_json(path) or {} for path in paths]
        docs = sum(shard["rows"] for receipt in receipts for shard in receipt.get("shards", []))
        rejected = sum(receipt.get("counts", {}).get("rejected", 0) for receipt in receipts)
    return {"stage": folder.name, "state": state, "parts": len(paths), "docs": docs, "rejected": rejected}


def locked(folder: Path) -> bool:
    """Whether a running process holds the folder's lock."""
    path = folder / ".lock"
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
