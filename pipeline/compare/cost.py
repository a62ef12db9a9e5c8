"""The cost of a comparison: seconds, CPU seconds, and documents per CPU second, by stage and by recipe.

Times are not in `comparison.json`, which has the same bytes on every machine: they are in `run.json` beside it, and in
the output of `--json`. A stage that recipes share was made once and is counted to each of them in full.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.dataset.manifest import MANIFEST, RUN
from infra.dataset.reader import Dataset
from infra.hashing import readable_json
from infra.metering import cpu_seconds
from infra.storage import read_json, write_last


class Costs:
    """Seconds and CPU seconds of each stage by its folder's name, stored in the comparison's `run.json`."""

    def __init__(self, out: Path) -> None:
        self.file = out / RUN
        self.stages: dict[str, dict[str, Any]] = dict((self._read().get("cost") or {}).get("stages") or {})

    def _read(self) -> dict[str, Any]:
        stored = read_json(self.file)
        return stored if isinstance(stored, dict) else {}

    def _write(self, **more: Any) -> None:
        write_last(self.file, readable_json({**self._read(), **more}))

    @contextmanager
    def timed(self, folder: Path) -> Iterator[None]:
        """Measures the making of one stage's dataset, and stores it at once; an existing dataset keeps its cost."""
        found = (folder / MANIFEST).is_file()
        started, cpu_started = time.monotonic(), cpu_seconds()
        yield
        receipts = _account(folder)
        if not found:
            seconds, used = time.monotonic() - started, cpu_seconds() - cpu_started
            # workers outside this process (Ray's, Beam's) are only in the receipts, intermediate tables only here
            self.stages[folder.name] = {
                "seconds": round(seconds, 3),
                "cpu_seconds": round(max(used, receipts["cpu_seconds"]), 3),
            }
        elif folder.name not in self.stages:
            self.stages[folder.name] = receipts
        self._write(cost={"stages": self.stages})

    def close(self, chains: Mapping[str, Sequence[Dataset]], docs: int) -> dict[str, Any]:
        """{"documents", "stages": {FOLDER: {seconds, cpu_seconds, recipes}}, "recipes": {NAME: {seconds, cpu_seconds,
        documents_per_cpu_second}}}: the `cost` in `run.json`, beside the `chains`: each recipe's folders.

        `docs`: the number of input pages. A recipe's sums count shared stages in full.
        """
        folders = {name: [dataset.folder.name for dataset in chain] for name, chain in chains.items()}
        stages = {
            folder: {**self.stages[folder], "recipes": [name for name, chain in folders.items() if folder in chain]}
            for folder in sorted({folder for chain in folders.values() for folder in chain})
        }
        recipes = {}
        for name, chain in folders.items():
            seconds, cpu = (round(sum(self.stages[f][unit] for f in chain), 3) for unit in ("seconds", "cpu_seconds"))
            speed = round(docs / cpu, 3) if cpu else None
            recipes[name] = {"seconds": seconds, "cpu_seconds": cpu, "documents_per_cpu_second": speed}
        cost = {"documents": docs, "stages": stages, "recipes": recipes}
        self._write(chains=folders, cost=cost)
        return cost


def _account(folder: Path) -> dict[str, float]:
    account = read_json(folder / RUN) or {}
    return {"seconds": account.get("wall_seconds") or 0.0, "cpu_seconds": account.get("cpu_seconds") or 0.0}
