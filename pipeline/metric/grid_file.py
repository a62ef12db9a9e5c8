"""A grid: held-out distributions by name, each with where its texts are and which of them it has.

```toml
bytes = 262144                      # of each distribution, at most; documents are chosen by a hash of their text
document_bytes = 32768              # of each document, at most: its beginning

[cells.novels]
input = "novels/*.jsonl.gz"         # or several: files, folders, patterns, datasets; relative to this file
axis = "EQ"                         # IQ, EQ or general
language = "en"

[cells.science-zh]
input = "held-out"                  # a dataset of documents or of tokens
where = { domain = ["science", "mathematics"], language = "zh" }

[cells.web]
input = "held-out"
by = "year"                         # a distribution for each year: web/2019, web/2020, …
```
`where` and `by` name columns of the documents, and `axis` (that of the column `domain`) and `year` (of `date`). An axis
or language that is not given is what most documents of the distribution have. In place of a file a folder may be given:
each file and each dataset in it is a distribution.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.dataset.manifest import MANIFEST
from infra.errors import UsageError
from infra.names import meant
from infra.storage import place
from mixers.domains import Axis
from pipeline.inputs.kinds import DOCUMENTS
from pipeline.inputs.names import is_url

BYTES, DOCUMENT_BYTES = 2**18, 2**15
# Names go into tables and pictures, and their parts after a slash are values of a column.
_NAME = re.compile(r"\w[\w.-]*")
_KEYS = ("input", "axis", "language", "where", "by")


@dataclass(frozen=True)
class CellSource:
    """`where`: values that are wanted, by column. `by`: the column of which each value is a distribution."""

    name: str
    inputs: tuple[str, ...]
    axis: str | None = None
    language: str | None = None
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    by: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(name for name, _ in self.where), *([self.by] if self.by else [])]))


@dataclass(frozen=True)
class Grid:
    """`bytes`: of a distribution, at most; `document_bytes`: of one of its documents."""

    cells: tuple[CellSource, ...]
    bytes: int = BYTES
    document_bytes: int = DOCUMENT_BYTES


def read_grid(path: Path) -> Grid:
    """The grid of a TOML or JSON file, or of a folder. UsageError names what is wrong in it."""
    if path.is_dir():
        return Grid(tuple(_of_folder(path)))
    body = _parsed(path)
    unknown = sorted(set(body) - {"bytes", "document_bytes", "cells"})
    if unknown:
        raise UsageError(f"{path} has {unknown[0]!r}; a grid has bytes, document_bytes and [cells.NAME]")
    cells = body.get("cells")
    if not isinstance(cells, dict) or not cells:
        raise UsageError(f"{path} has no distributions: add a table [cells.NAME] for each, with its input")
    sizes = [body.get(name, default) for name, default in (("bytes", BYTES), ("document_bytes", DOCUMENT_BYTES))]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise UsageError(f"{path}: bytes and document_bytes are whole numbers over 0")
    return Grid(tuple(_cell(name, own, path) for name, own in cells.items()), *sizes)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        body = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: give a .toml or .json file of distributions, or a folder") from None
    except (OSError, ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise UsageError(f"{path} cannot be read as {kind}: {(str(error).splitlines() or ['?'])[0]}") from None
    if not isinstance(body, dict):
        raise UsageError(f"{path} is no table: a grid has [cells.NAME]")
    return body


def _of_folder(folder: Path) -> list[CellSource]:
    found: dict[str, CellSource] = {}
    for child in sorted(folder.iterdir()):
        name = _name_of(child)
        if name is None:
            continue
        if name in found:
            raise UsageError(f"{folder} has two distributions {name!r}: give one of the files another name")
        found[name] = CellSource(name, (str(child),))
    if not found:
        raise UsageError(f"{folder} has no Parquet or JSONL file and no dataset: give a folder of distributions")
    return list(found.values())


def _name_of(path: Path) -> str | None:
    """The distribution that a file or a dataset is; None for what is neither."""
    if path.is_dir():
        return path.name if (path / MANIFEST).is_file() else None
    lower = path.name.lower()
    ending = max((each for each in DOCUMENTS if lower.endswith(each)), key=len, default="")
    return path.name[: -len(ending)] if ending else None


def _cell(name: str, own: Any, path: Path) -> CellSource:
    where = f"{path}, cell {name!r}"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: a name has letters, digits, '.', '_' and '-'")
    if not isinstance(own, dict):
        raise UsageError(f"{where} must be a table")
    unknown = sorted(set(own) - set(_KEYS))
    if unknown:
        raise UsageError(f"{where} has no key {unknown[0]!r}: {meant(unknown[0], _KEYS)}")
    inputs = _words(own.get("input"), f"{where}: input")
    for key in ("axis", "language", "by"):
        if not isinstance(own.get(key), str | None):
            raise UsageError(f"{where}: {key} must be a string")
    if own.get("axis") not in (None, *Axis):
        raise UsageError(f"{where}: axis is {own['axis']!r}; it may be {', '.join(Axis)}")
    wanted = own.get("where", {})
    if not isinstance(wanted, Mapping):
        raise UsageError(f"{where}: where must be a table of columns")
    chosen = tuple((column, _words(values, f"{where}: where.{column}")) for column, values in wanted.items())
    here = tuple(each if is_url(each) else str(place(str(path.parent / each))) for each in inputs)
    return CellSource(name, here, own.get("axis"), own.get("language"), chosen, own.get("by"))


def _words(value: Any, where: str) -> tuple[str, ...]:
    """A string or several; numbers, such as years, are written as strings."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in values):
        raise UsageError(f"{where} must be a string, or a list of them")
    return tuple(map(str, values))
