"""What the benchmarks share: options of one name and one meaning, texts, clocks, tables, recipes cut short."""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from infra.errors import UsageError
from pipeline.inputs.unpacked import open_lines
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.toml import recipe_toml

ROOT: Final = Path(__file__).resolve().parents[1]
PEER: Final = Path(__file__).with_name("datatrove_peer.py")


def program(word: str) -> Path:
    if not os.access(word, os.X_OK):
        raise argparse.ArgumentTypeError(f"{word} is no program")
    return Path(word)


OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "--pages": {"nargs": "+", "type": Path, "default": [], "help": "archives of a crawl"},
    "--index": {
        "type": Path,
        "help": "JSON lines: where each page is, and what it is (`benchmarks/labelled.py`)",
    },
    "--gold": {"type": Path, "help": "JSON lines: what `benchmarks/gold.py` reads, by the `id` of a page"},
    "--engine": {"action": "append", "help": "NAME[:option=value,…]; may be given many times"},
    "--half": {"choices": ["a", "b"], "help": "only the pages of this half of the hosts"},
    "--texts": {"nargs": "+", "type": Path, "default": [], "help": "JSON lines, also .gz, with `text`"},
    "--clean": {"nargs": "+", "type": Path, "help": "folders or files of clean texts (`benchmarks/clean_pages.py`)"},
    "--limit": {"type": int, "help": "only so many"},
    "--model": {"type": Path, "help": "the model"},
    "--models": {"help": "the model folder"},
    "--recipe": {"action": "append", "help": "a shipped recipe or a file; may be given many times"},
    "--repeats": {"type": int, "default": 3},
    "--workers": {"type": int, "default": 1},
    "--out": {"type": Path, "help": "a folder for what is made"},
    "--peer-python": {
        "type": program,
        "help": "of an environment with datatrove[io,processing]==0.10.1, spaCy, tldextract, or webmainbench==0.1.0",
    },
}


def add(parser: argparse.ArgumentParser, *names: str, required: bool = False, **changed: Any) -> None:
    """Options by name; `changed` replaces what OPTIONS has of them."""
    for name in names:
        parser.add_argument(name, **{**OPTIONS[name], **changed}, required=required)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines, also .gz and .zst, NaN and all. UsageError for a file that cannot be read, and for a line
    that is no object, by its number."""
    try:
        with open_lines(str(path)) as lines:
            for number, line in enumerate(iter(lines.readline, b""), 1):
                yield _row(path, number, line)
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read as JSON lines: {error}") from None


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        why = f"{error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        why = str(error)
    else:
        if isinstance(row, dict):
            return row
        why = "it is no object"
    raise UsageError(f"{path} cannot be read as JSON lines: line {number}: {why}; give an object a line")


def read_texts(paths: Iterable[Path], limit: int | None = None) -> list[str]:
    """The texts of JSON lines that are not blank, the first `limit` of each file. UsageError if there is none."""
    texts: list[str] = []
    for path in sorted(paths):
        every = (row["text"] for row in read_rows(path))
        texts += islice((text for text in every if text and text.strip()), limit)
    if not texts:
        raise UsageError(f"there is no text in {', '.join(map(str, paths))}")
    return texts


def cpu_seconds(work: Callable[[str], object], texts: Iterable[str]) -> float:
    """CPU seconds of this thread for `work` on every text, after a warm-up that loads dictionaries and tables."""
    work("Some words to load tables with. 我们 😀")
    begin = time.process_time()
    for text in texts:
        work(text)
    return time.process_time() - begin


def megachars(texts: Iterable[str]) -> float:
    return sum(map(len, texts)) / 1e6


def markdown(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(map(str, cells))} |"


def recipe_until(name: str, stage: str = "filter") -> str:
    """The shipped recipe, as TOML, without what comes after the stage of that name."""
    recipe = load_recipe(name)
    last = [each.name for each in recipe.stages].index(stage)
    return recipe_toml({**recipe.source, "name": f"{name}-until-{stage}", "stage": recipe.source["stage"][: last + 1]})


def ask_peer(python: Path, what: str, rows: Iterable[Mapping[str, Any]], script: Path = PEER) -> list[Any]:
    """What `datatrove_peer.py WHAT`, or another script, says of the rows, a JSON value a line."""
    done = subprocess.run(
        [str(python), str(script), what],
        input="".join(json.dumps(row) + "\n" for row in rows),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise UsageError(f"{python} failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines()]
