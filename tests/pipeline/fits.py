"""What the tests of the fits share: texts written as the fits read them, and the hash of what was fitted."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.models.store import resolve


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """JSON lines, compressed."""
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def sha256_of(name: str, models: Path) -> str:
    """The hash that a recipe would know this model of the folder by."""
    return resolve([name], models)[name].sha256
