"""Which other arguments a folder may go on with: more inputs, and a limit that is larger or gone.

Nothing that a folder was finished of may be left out: a result never shrinks without a word. A file that was added in
a command that did not end may be left out again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.dataset.claim import arguments_of, history_of, is_finished, refuse
from infra.dataset.differences import CHANGED, MISSING, Arguments, differences, limits, of_files
from infra.dataset.manifest import EXTENT, LIMIT, InputRef
from infra.dataset.reader import Dataset
from infra.errors import UsageError

NONE: Mapping[str, str] = {}


def any_inputs(folder: Path, before: Arguments, now: Arguments) -> None:
    """For a dataset inside a run, where the run's own folder has been asked: other inputs and limits are allowed."""
    refuse(folder, differences(_without_extent(before), _without_extent(now)))


def more_inputs(folder: Path, before: Arguments, now: Arguments, grown: Mapping[str, str] = NONE) -> None:
    """For what a user names: all inputs of the last result are among those of now, unchanged, and the limit is not
    smaller. Everything else is as it was. `grown`: see `grown_datasets`."""
    any_inputs(folder, before, now)
    history = history_of(folder)
    finished = None if is_finished(folder) else history["finished"]
    needed, known = (
        [{**ref, "sha256": grown.get(ref["sha256"], ref["sha256"])} for ref in refs]
        for refs in ((finished or before)["inputs"], [*history["inputs"], *before["inputs"]])
    )
    lost = _lost(folder, needed, known, now["inputs"])
    if _smaller(now.get(LIMIT), before.get(LIMIT)):
        lost.append(limits(before.get(LIMIT), now.get(LIMIT)))
    refuse(folder, lost)


def inputs_of(folder: Path) -> list[InputRef]:
    """All inputs that a folder has had so far."""
    before = (arguments_of(folder, ("inputs",)) or {}).get("inputs") or ()
    return [InputRef(**ref) for ref in (*history_of(folder)["inputs"], *before)]


def grown_datasets(datasets: Sequence[Dataset]) -> dict[str, str]:
    """The manifests that the datasets had before more was added to them, each with the one of now, by sha256: a dataset
    that has grown may stand where it stood."""
    return {old: each.refs[0].sha256 for each in datasets for old in history_of(each.folder)["manifests"]}


def check_more_inputs(
    folder: Path, inputs: Sequence[InputRef], limit: int | None, grown: Mapping[str, str] = NONE
) -> None:
    """The same for the dataset of one stage, whose header has the limit among its parameters."""
    header = arguments_of(folder, ("stage", "inputs", "params"))
    if header and header.get("stage"):
        before = {"inputs": header["inputs"], LIMIT: (header.get("params") or {}).get(LIMIT)}
        more_inputs(folder, before, {"inputs": [asdict(ref) for ref in inputs], LIMIT: limit}, grown)


def _without_extent(arguments: Arguments) -> dict[str, Any]:
    """All that is neither an input nor follows from how much is read."""
    rest = {key: value for key, value in arguments.items() if key not in ("inputs", *EXTENT)}
    if "params" in rest:
        rest["params"] = {key: value for key, value in (rest["params"] or {}).items() if key not in EXTENT}
    return rest


def _smaller(now: int | None, before: int | None) -> bool:
    return now is not None and (before is None or now < before)


def _lost(folder: Path, needed: Sequence[Any], known: Sequence[Any], now: Sequence[Any]) -> list[str]:
    """What is no longer there of the inputs `needed`, and which file differs from one of its name in `known`. Raises
    UsageError if all that differs is what they are called, which shows where versions are hashes of the content."""
    before = {ref["name"] for ref in known}
    by_content = {ref["sha256"]: ref["name"] for ref in now if ref["name"] not in before and ":" not in ref["sha256"]}
    gone = [ref for ref in needed if ref not in now]
    renamed = {ref["name"]: by_content[ref["sha256"]] for ref in gone if ref["sha256"] in by_content}
    others = {ref["name"] for ref in now if ref not in known} - {*renamed}
    changed = sorted({ref["name"] for ref in known if ref["name"] in others and ref not in now})
    missing = sorted({ref["name"] for ref in gone} - {*renamed, *changed})
    found = [of_files(names, how) for names, how in ((changed, CHANGED), (missing, MISSING)) if names]
    if renamed and not found:
        was, would_be = min(renamed.items())
        raise UsageError(
            f"{folder} was made of {was!r}, which would be called {would_be!r} with these inputs: files are named "
            "below the deepest folder that holds all of them, and every row names its file. Move the new files into "
            "the folder of the others, or make a run of them alone and `refinery join` the two"
        )
    return found
