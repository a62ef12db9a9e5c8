"""Finds a frozen trunk by its folder, or by its hash among the folders here."""

import json
import re
from pathlib import Path

from infra.errors import UsageError
from trainer.run_files import HEADER

_HASH = re.compile(r"[0-9a-f]{8,64}")
# Where trunks are, below the working directory: `frozen`, `out/frozen`.
_PLACES = (HEADER, f"*/{HEADER}", f"*/*/{HEADER}")


def find_trunk(named: Path) -> Path:
    """The folder of a trunk: `named` itself, or where it is the first 8 or more digits of a sha256, the checkpoint in
    the working directory, or up to two folders below, that has it.

    UsageError for a hash that none, or more than one checkpoint has; a folder is checked when it is read."""
    digits = str(named)
    if named.exists() or not _HASH.fullmatch(digits):
        return named
    found: dict[str, Path] = {}
    for place in _PLACES:
        for header in sorted(Path().glob(place)):
            try:
                sha256 = str(json.loads(header.read_bytes())["sha256"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if sha256.startswith(digits):
                found.setdefault(sha256, header.parent)
    if len(found) != 1:
        number = "more than one checkpoint" if found else "no checkpoint"
        raise UsageError(
            f"{number} in this folder, or two below it, has a sha256 that begins with {digits}: give its folder"
        )
    return found.popitem()[1]
