"""Canonical JSON and SHA-256: the one way in which this project hashes data, recipes and files.

Two machines must get the same hash for the same thing, so keys are sorted, separators fixed, and floats written
by Python's shortest round-trip `repr`. NaN and infinity have no JSON and are refused.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON with sorted keys and no spaces; ValueError for NaN or infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def readable_json(value: Any) -> bytes:
    """The same content for files that people open: sorted keys, two spaces, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def sha256_json(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_version(packages: Iterable[str]) -> str:
    """A hash of the source text of our packages: a finished shard is reused only by the code that made it."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for package in sorted(packages):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".toml", ".json"}:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()
