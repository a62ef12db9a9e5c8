"""A command that kills itself at a chosen moment, and the checks after it is run again.

SIGKILL, so nothing is cleaned up, at the n-th time that a named function is entered or left.
"""

import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from infra.dataset.batches import receipts_in
from tests.pipeline.command import ROOT, made, refinery

SUICIDE = """
import importlib, os, signal, sys
module, name, moment, count, wanted = sys.argv[1:6]
owner = importlib.import_module(module)
*path, last = name.split(".")
for step in path:
    owner = getattr(owner, step)
function, seen = getattr(owner, last), 0
def watched(*words, **named):
    global seen
    hit = wanted in str(words[0]) if wanted else True
    seen += hit
    if hit and seen == int(count) and moment == "enter":
        os.kill(os.getpid(), signal.SIGKILL)
    result = function(*words, **named)
    if hit and seen == int(count) and moment == "leave":
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, last, watched)
from pipeline.cli.app import main
main(sys.argv[6:])
"""


# Module, function, whether it is entered or left, at which time of them, and a part of its first word ("": any).
Moment = tuple[str, str, Literal["enter", "leave"], int, str]


def each(moments: Mapping[str, Moment], few: Set[str]) -> list[Any]:
    """The moments as parameters; all but a few of them are for `make check-long`."""
    assert few <= moments.keys()
    return [pytest.param(name, marks=() if name in few else pytest.mark.long) for name in moments]


class GoneOn(NamedTuple):
    """The result of a run that was killed and run again: its files, the finished shards that were made again, and the
    leftover temporary files."""

    files: dict[str, bytes]
    made_again: list[str]
    left_over: list[Path]


def kill_and_go_on(moment: Moment, run: list[object], out: Path) -> GoneOn:
    """Runs the command `run` into `out` with one worker, kills it at the moment and runs it again."""
    words = [*map(str, moment), *map(str, run), "--out", str(out), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", SUICIDE, *words], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-500:]
    before = finished_shards(out)
    refinery(*run, "--out", out)
    after = finished_shards(out)
    again = sorted(path for path in before if after.get(path) != before[path])
    return GoneOn(made(out), again, [path for name in (".tmp-*", ".work", ".spill") for path in out.rglob(name)])


def finished_shards(run: Path) -> dict[str, int]:
    """When each shard that has a receipt was written."""
    found = {}
    for folder in run.glob("0*"):
        for receipt in receipts_in(folder):
            for shard in receipt["shards"]:
                path = folder / shard["path"]
                found[str(path)] = path.stat().st_mtime_ns
    return found
