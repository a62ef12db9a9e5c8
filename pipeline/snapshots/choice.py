"""What a command asks for among the files of snapshots: apart from what lists them, which takes longer to import."""

import re
from dataclasses import dataclass

from infra.errors import UsageError

# The kind of the files that hold pages as they were served.
WARC = "warc"


@dataclass(frozen=True)
class Choice:
    """What is asked for. `files`, `share`: how many files of each snapshot, or which part of them; both None for all.
    `segments`: only files in these folders."""

    snapshots: tuple[str, ...]
    kind: str = WARC
    files: int | None = None
    share: float | None = None
    segments: tuple[str, ...] = ()


def read_share(text: str | None) -> float | None:
    """`0.1%` or `0.001`. UsageError for what is no share above 0 and up to 1."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", text)
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text} is no share of the files: give say 0.1%, or 0.001")
    return share
