"""The folder of one run (`run_files.py`): its arguments, its logs, its timings, and its latest checkpoint.

A call with other arguments is refused. The log is the same bytes for the same run; timings and `run.json` differ from
run to run. Checkpoints are the latest one, and those of `run.checkpoint_marks`. A stopped run resumes from its latest
checkpoint; log rows after that step are cut off and written again.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import read_json, remove_folder, remove_temporaries, write_bytes
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.config import Config
from trainer.run_files import ARGUMENT_FILES, LOG, RUN_INFO, TIMINGS, checkpoints_of, step_name


class RunFolder:
    """Reads and writes the folder of a run. Hold the folder's lock while using it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def claim(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Write the run's arguments to the file `name` (one of `ARGUMENT_FILES`), or compare them with what it holds.

        UsageError with the first difference, or when the folder holds a run of the other kind.
        """
        assert name in ARGUMENT_FILES
        for other in ARGUMENT_FILES:
            if other != name and (self.folder / other).exists():
                raise UsageError(f"{self.folder} already holds another kind of run ({other}): choose another --out")
        path = self.folder / name
        if path.exists():
            try:
                held = read_json(path)
            except ValueError:
                held = None
            if not isinstance(held, Mapping):
                raise UsageError(f"{path} is damaged: choose another --out, or delete {self.folder}")
            difference = first_difference(with_defaults(held), json.loads(readable_json(arguments)))
            if difference:
                raise UsageError(
                    f"{self.folder} was made with other arguments ({difference}): choose another --out; to go on from "
                    "its weights with other data or settings, freeze it and make a branch"
                )
            return
        if checkpoints_of(self.folder):
            raise UsageError(f"{self.folder} has checkpoints, and no {name}: choose another --out, or restore the file")
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_bytes(path, readable_json(arguments))

    def latest(self) -> Checkpoint | None:
        """The latest checkpoint; None before the first."""
        steps = checkpoints_of(self.folder)
        return read_checkpoint(steps[-1]) if steps else None

    def give_up(self) -> None:
        """Delete what a refused command has made: the folder of a run that has not begun."""
        if not checkpoints_of(self.folder) and not (self.folder / LOG).exists():
            remove_folder(self.folder)

    def remove_unfinished(self) -> None:
        """Delete the checkpoint that a killed process was writing."""
        remove_temporaries(self.checkpoints)

    def remove_before(self, step: int, keep: Collection[int]) -> None:
        """Delete the checkpoints before that of `step`, except those of the steps `keep`."""
        kept = {step_name(each) for each in keep}
        for path in checkpoints_of(self.folder):
            if path.name < step_name(step) and path.name not in kept:
                remove_folder(path)

    def append_log(self, row: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
        """Append a step's row to the log and its timing to the timings."""
        for name, content in ((LOG, row), (TIMINGS, timing)):
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(content, allow_nan=False) + "\n")

    def truncate_logs(self, step: int) -> list[dict[str, Any]]:
        """Cut log and timings after `step`; returns the log's remaining rows."""
        kept = {name: [row for row in read_rows(self.folder / name) if row["step"] <= step] for name in (LOG, TIMINGS)}
        for name, rows in kept.items():
            write_bytes(self.folder / name, "".join(json.dumps(row) + "\n" for row in rows).encode())
        return kept[LOG]

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        write_bytes(self.folder / RUN_INFO, readable_json(dict(info)))


def with_defaults(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run's arguments, with the defaults of fields that its configuration did not have when the run was made."""
    try:
        return {**arguments, "config": Config.from_dict(arguments["config"]).identity()}
    except (KeyError, UsageError):
        return arguments


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, but for a last one that a crash cut; none when there is no file.

    UsageError for a line that is no row, with another after it.
    """
    rows: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
        elif any(lines[number:]):
            raise UsageError(f"line {number} of {path} is damaged: restore the file, or train again in another folder")
    return rows


def first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """The first difference between two JSON values as a phrase, keys in sorted order; None when they are equal."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            difference = first_difference(old.get(name), new.get(name), f"{where}.{name}" if where else name)
            if difference:
                return difference
        return None
    return None if old == new else f"{where or 'it'} was {json.dumps(old)} and is now {json.dumps(new)}"
