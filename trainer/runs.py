"""The folder of one run: what it was told, its log, its timings, and its latest checkpoint.

```
RUN/training.json or branch.json   what the run was told; a folder made with other arguments is refused
RUN/log.jsonl                      a row a step: the same bytes for the same run
RUN/timings.jsonl, run.json        how long it took, where the data lay: these differ from run to run
RUN/checkpoints/step-NNNNNNNN/     the latest checkpoint
```
A run that was stopped goes on from its latest checkpoint; the rows behind it are cut off and written again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import TEMPORARY, read_json, remove_folder, write_bytes
from trainer.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.state import TrainingState

LOG, TIMINGS, HOW = "log.jsonl", "timings.jsonl", "run.json"
TOLD = ("training.json", "branch.json")


class RunFolder:
    """Use it under the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def claim(self, name: str, body: Mapping[str, Any]) -> None:
        """Write what the run was told, or check that the folder was told the same. UsageError with the difference."""
        assert name in TOLD
        for other in TOLD:
            if other != name and (self.folder / other).exists():
                raise UsageError(f"{self.folder} already holds another kind of run ({other}): choose another --out")
        path = self.folder / name
        if path.exists():
            difference = first_difference(read_json(path), json.loads(readable_json(body)))
            if difference:
                raise UsageError(f"{self.folder} was made with other arguments ({difference}): choose another --out")
            return
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_bytes(path, readable_json(body))

    def latest(self) -> Checkpoint | None:
        """The latest checkpoint, verified; None when the run has not made one."""
        steps = sorted(self.checkpoints.glob("step-*"))
        return read_checkpoint(steps[-1]) if steps else None

    def save(self, state: TrainingState, tokenizer: bytes, lineage: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint of `state` and drop the ones before it."""
        path = self.checkpoints / f"step-{state.step:08d}"
        if not path.exists():
            write_checkpoint(path, state, tokenizer, lineage)
        for old in (*self.checkpoints.glob("step-*"), *self.checkpoints.glob(f"{TEMPORARY}*")):
            if old != path:
                remove_folder(old)

    def append(self, row: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
        for name, content in ((LOG, row), (TIMINGS, timing)):
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(content, allow_nan=False) + "\n")

    def rewind(self, step: int) -> list[dict[str, Any]]:
        """Cut the logs after `step`; the rows of the log that remain."""
        kept = {name: [row for row in read_rows(self.folder / name) if row["step"] <= step] for name in (LOG, TIMINGS)}
        for name, rows in kept.items():
            write_bytes(self.folder / name, "".join(json.dumps(row) + "\n" for row in rows).encode())
        return kept[LOG]

    def describe(self, how: Mapping[str, Any]) -> None:
        write_bytes(self.folder / HOW, readable_json(dict(how)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file up to the first that a crash cut; none where there is no file."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that `path` means: itself, or the latest of the run in it."""
    steps = sorted((path / "checkpoints").glob("step-*"))
    return steps[-1] if steps else path


def first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """The first place where two JSON values differ, in words."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            difference = first_difference(old.get(name), new.get(name), f"{where}.{name}" if where else name)
            if difference:
                return difference
        return None
    return None if old == new else f"{where or 'it'} was {json.dumps(old)} and is now {json.dumps(new)}"
