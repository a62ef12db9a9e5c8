"""What `explain` is asked for: URLs and ids, and lines of a file, plain or as `rejects --json` prints them."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from pipeline.explain.lookup import Asked

STDIN = "-"


def asked_for(documents: Iterable[str | Mapping[str, Any]]) -> list[Asked]:
    """Each document by its URL or id, or by a row that has `file_path` and `warc_offset`, or `id`, or `url`."""
    found = []
    for each in documents:
        one = each_of(each)
        if one is None:
            raise UsageError(f"{str(each)[:80]!r} names no document: give a URL, an id, or a row with one of them")
        found.append(one)
    return found


def read_asked(words: Sequence[str], file: Path | None) -> list[Asked]:
    """The documents of a command line: its arguments, then the lines of the file (`-`: of stdin)."""
    asked = asked_for(words)
    asked += _lines(file) if file else ()
    if not asked:
        raise UsageError("name what to explain: a URL or id, or --from FILE with one a line")
    return asked


def _lines(file: Path) -> Iterator[Asked]:
    name = "stdin" if str(file) == STDIN else str(file)
    try:
        content = sys.stdin.read() if str(file) == STDIN else file.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--from {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"--from {name} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            one = each_of(_value(line.strip()))
            if one is None:
                raise UsageError(f"--from {name}, line {number}: no url, id, or file_path with warc_offset in it")
            yield one


def _value(line: str) -> str | Mapping[str, Any]:
    """A line that begins as a JSON object does is one; any other is a URL or an id."""
    if not line.startswith("{"):
        return line
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def each_of(what: str | Mapping[str, Any]) -> Asked | None:
    """None for a row that names no document."""
    if isinstance(what, str):
        return Asked(what.encode("utf-8", "replace").decode()) if what else None  # of bytes that are no text
    place, offset = what.get("file_path"), what.get("warc_offset")
    name = what.get("id") or what.get("url")
    if isinstance(place, str) and isinstance(offset, int):
        return Asked(str(name or f"{place} at {offset}"), (place, offset))
    return Asked(name) if isinstance(name, str) else None
