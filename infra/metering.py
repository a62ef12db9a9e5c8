"""What a run cost and where: written to `run.json`, never into a manifest."""

import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from infra.addresses import recorded, shown
from infra.dataset.reader import Dataset, Source
from infra.hashing import sha256_json
from infra.sandbox.sandbox import cpu_seconds_of_sandboxes, running_sandboxes

VERSIONED = (
    "refinery", "pyarrow", "numpy", "trafilatura", "resiliparse", "lxml", "charset-normalizer", "regex", "fastwarc",
    "fasttext-community", "kenlm", "sentencepiece", "rjieba", "torch",
)  # fmt: skip


@cache
def versions() -> Mapping[str, str]:
    """Of Python and of the packages that a result may depend on, as far as they are installed.

    They stand in the names of folders, NAME-VERSION.dist-info. `importlib.metadata` reads the files in them: a
    millisecond for each, and ten to be imported.
    """
    installed: dict[str, str] = {}
    for place in sys.path:
        for folder in Path(place).glob("*.dist-info"):
            name, _, version = folder.stem.partition("-")
            installed.setdefault(name.lower().replace("_", "-"), version)
    return {"python": platform.python_version()} | {name: installed[name] for name in VERSIONED if name in installed}


@cache
def versions_sha256() -> str:
    return sha256_json(dict(versions()))


def system() -> str:
    """As Linux-6.1.0-x86_64. Not `platform.platform()`, which starts a process to learn the processor's name."""
    return f"{platform.system()}-{platform.release()}-{platform.machine()}"


class Meter:
    """Starts with the stage; `account` closes it. Seconds are wall-clock time of the driver. `spread_cpu_seconds`: of a
    reduction, the CPU time of bringing rows of equal key together; `earlier_seconds`: of a pass that it shared with
    another stage, before its own."""

    def __init__(self, engine: str, workers: int) -> None:
        self.engine = engine
        self.workers = workers
        self.started = time.time()
        self.spread_cpu_seconds = self.earlier_seconds = 0.0

    def account(self, inputs: Sequence[Source]) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "workers": self.workers,
            "command": [shown(word) for word in sys.argv[1:]],
            "inputs": input_places(inputs),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "spread_cpu_seconds": round(self.spread_cpu_seconds, 3),
            "bytes_read": sum(bytes_of(source) for source in inputs),
            "wall_seconds": round(time.time() - self.started + self.earlier_seconds, 3),
            "machine": {"system": system(), "processors": os.cpu_count()},
            "versions": dict(versions()),
        }


def bytes_of(source: Source) -> int:
    """Of the files of a source, as far as it knows them: compressed."""
    inner = getattr(source, "sources", None) or [getattr(source, "source", None)]
    if any(inner):
        return sum(bytes_of(each) for each in inner if each)
    if isinstance(source, Dataset):
        return source.manifest.shards.sums.bytes
    return sum(getattr(file, "size", None) or 0 for file in getattr(source, "files", ()))


def input_places(inputs: Sequence[Source]) -> dict[str, str]:
    """The absolute paths of the inputs by file name, or stage, as they are recorded. `explain` and `extract` read files
    there."""
    places: dict[str, str] = {}
    for source in inputs:
        places |= getattr(source, "places", dict)()
    return {name: recorded(place) for name, place in places.items()}


def worker_cpu_seconds() -> float:
    """CPU time so far of this process, of its page sandboxes, and of processes below it that ended. Cheap, as it is
    called twice for every partition: children are not searched for among all processes of the machine."""
    return _sum(os.times()) + cpu_seconds_of_sandboxes()


def worker_peak_memory() -> int:
    """The largest resident size, in bytes, since `forget_peak_memory`: of this process and of its page sandboxes.

    On Linux by `VmHWM`: `ru_maxrss` begins with the size of the process that started this one.
    """
    peaks = [_peak_of(pid) for pid in (os.getpid(), *running_sandboxes())]
    if peaks[0] is not None:
        return sum(peak or 0 for peak in peaks)
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _peak_of(pid: int) -> int | None:
    with suppress(OSError):  # no such file on other systems; a child may have ended
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def forget_peak_memory() -> None:
    """Let the largest resident size begin anew at the present one, where the system can: a process makes partitions of
    one stage after the other."""
    for pid in (os.getpid(), *running_sandboxes()):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds() -> float:
    """CPU time so far of this process, of all processes below it (workers, page sandboxes), and of those that ended."""
    import psutil

    total = _sum(os.times())
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += _sum(child.cpu_times())
    return total


def _sum(times: Any) -> float:
    return float(times.user + times.system + times.children_user + times.children_system)
