"""Rows of JSON lines with the fields that a benchmark needs: what is wrong is told by file, line and field."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.shared import read_rows
from infra.errors import UsageError
from infra.names import meant
from mixers.domains import DOMAINS
from mixers.subjects import DOMAIN_OF_SUBJECT


class Field(NamedTuple):
    name: str
    wanted: str
    """What it holds, for messages."""
    fault: Callable[[Any], str | None]
    """What is wrong with a value; null: nothing is."""
    may_lack: bool = False


def _string(value: Any) -> str | None:
    return None if isinstance(value, str) else f"is {short(value)}"


def _subjects(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return f"is {short(value)}"
    unknown = [each for each in value if each not in DOMAIN_OF_SUBJECT]
    return f"has {unknown[0]!r}, which is no subject; {meant(unknown[0], DOMAIN_OF_SUBJECT)}" if unknown else None


def _domain(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in DOMAINS):
        return None
    return f"is {short(value)}; there are {', '.join(DOMAINS)}"


def _grades(value: Any) -> str | None:
    if isinstance(value, list) and value and all(type(each) in (int, float) and 1 <= each <= 5 for each in value):
        return None
    return "has none" if value in ([], None) else f"is {short(value)}"


TEXT: Final = Field("text", "the text", _string)
LANGUAGE: Final = Field("language", 'the language of the text, such as "en"', _string)
SOURCE: Final = Field("source", "where the text is from, such as a host", _string)
ID: Final = Field("id", "the id that the text has where it was measured", _string)
SUBJECTS: Final = Field(
    "subjects", "a list of subjects, the chief one first; [] for general, null for not known", _subjects
)
MAYBE_SUBJECTS: Final = SUBJECTS._replace(may_lack=True)
DOMAIN: Final = Field("domain", "a domain, or null", _domain, may_lack=True)
GRADES: Final = Field("grades", "a list of numbers from 1 to 5, one of each reader", _grades)


def short(value: Any) -> str:
    """A value as a message has it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def checked_rows(path: Path, *fields: Field) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines, of which each has these fields. UsageError for one without, and an empty file."""
    number = 0
    for number, row in enumerate(read_rows(path), 1):
        for field in fields:
            if field.name not in row:
                if field.may_lack:
                    continue
                raise UsageError(f"{path}, line {number} has no {field.name!r}: give {field.wanted}")
            if fault := field.fault(row[field.name]):
                raise UsageError(f"{path}, line {number}: {field.name!r} {fault}: give {field.wanted}")
        yield row
    if not number:
        raise UsageError(f"{path} is empty: give JSON lines with {', '.join(field.name for field in fields)}")


def rows_in(paths: Sequence[Path], language: str, *fields: Field) -> list[dict[str, Any]]:
    """The rows in this language. UsageError where there is none."""
    every = [row for path in paths for row in checked_rows(path, LANGUAGE, *fields)]
    check_language(paths, [row["language"] for row in every], language)
    return [row for row in every if row["language"] == language]


def check_language(paths: Sequence[Path], found: Sequence[str], language: str) -> None:
    """UsageError where no text is in this language."""
    if language not in found:
        there = ", ".join(sorted(set(found))[:6]) or "nothing"
        raise UsageError(f"no text of {', '.join(map(str, paths))} is in the language {language!r}: there is {there}")


def check_folders(*files: Path | None) -> None:
    """UsageError where a file is to be written, by a run of minutes, to a folder that there is not."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
