"""Helpers for the tests of the fits: input files of texts, and the hash of a fitted model."""

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
    """The hash of a model in the folder, as a recipe records it."""
    return resolve([name], models)[name].sha256
