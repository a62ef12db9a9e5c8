"""Files that tests write and damage, and code that they run in a process of its own."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("infra", "filters", "dedup", "mixers", "trainer", "pipeline", "refinery")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """JSON lines, compressed if the name ends in .gz, or Parquet; the folders above are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)
    return path


def flip(path: Path, place: float = 0.5) -> Path:
    """Changes a bit of the byte at `place`, an offset or, if it is no whole number, a share of the file."""
    content = bytearray(path.read_bytes())
    content[place if isinstance(place, int) else int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    return path


def checkout(folder: Path, without: str = "__pycache__") -> Path:
    """A copy of our packages, but for what is called so."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns(without))
    return folder


def python(code: str, *words: str, cwd: Path = ROOT) -> str:
    """What the code prints."""
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
