"""Workers on other machines must be alike: the same code of this package, Python and libraries as the driver's.

What a partition holds is named by those of the driver (`part_fingerprint`). A node that was not brought up to date
would write other bytes under the same name, and nobody would see it.
"""

import hashlib
import json
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infra.code_version import PACKAGES, project
from infra.errors import UsageError
from infra.metering import versions

# In what an engine hands to its jobs.
VARIABLE = "REFINERY_VERSIONS"
CODE = "refinery's code"


@cache
def versions_here() -> dict[str, str]:
    """By name, of Python (`3.11`, whose last number decides nothing), of the libraries, and the hash of the code."""
    found = dict(versions())
    found["python"] = ".".join(found["python"].split(".")[:2])
    return found | {CODE: code_hash(project().root)[:12]}


def code_hash(root: Path) -> str:
    """Of the names and bytes of all modules: a wheel and a checkout have the same. What cannot be imported is none,
    such as an editor's lock (`.#hashing.py`, a link to nothing), which stands only where somebody edits."""
    whole = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        if not path.stem.isidentifier():
            continue
        content = path.read_bytes()
        whole.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def told_versions() -> dict[str, str]:
    """For jobs that may run on another machine."""
    return {VARIABLE: json.dumps(versions_here())}


def check_alike(shared: Mapping[str, str]) -> None:
    """UsageError if this process has other versions than the driver that told its own, of what both have."""
    if VARIABLE in shared and (others := differences(shared[VARIABLE])):
        raise UsageError(
            f"the worker on {socket.gethostname()} differs from the driver in {others}: install the same on every "
            "node, and run the same command again"
        )


@cache
def differences(told: str) -> str:
    """`pyarrow 24.0 (25.0)`: what is here, and what the driver has."""
    here, there = versions_here(), json.loads(told)
    names = sorted(name for name in here.keys() & there.keys() if here[name] != there[name])
    return ", ".join(f"{name} {here[name]} ({there[name]})" for name in names)
