"""What a source's documents bring along into a stage: signals of earlier stages, and columns of the user's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import Dataset, SideBySide, Source
from pipeline.inputs.columns import merged


@dataclass(frozen=True)
class Carried:
    """`signals`: their names, sorted. `columns`: those that are not ours, sorted by name."""

    signals: tuple[str, ...] = ()
    columns: pa.Schema = field(default_factory=lambda: pa.schema([]))

    def schema(self, signals: Iterable[str] = ()) -> pa.Schema:
        """The schema of these documents with `signals` set beside those that they carry."""
        return schemas.documents({*self.signals, *signals}, self.columns)

    @property
    def fingerprint(self) -> list[Any]:
        """As JSON."""
        columns = [[column.name, str(column.type)] for column in self.columns]
        return [*self.signals, *([columns] if columns else [])]


def carried_signals(source: Source) -> tuple[str, ...]:
    return carried(source).signals


def carried(source: Source) -> Carried:
    """UsageError for a column whose types in several inputs have none in common."""
    names: set[str] = set()
    columns: dict[str, pa.Schema] = {}
    for part in _one_of_each(source):
        schema = part.schema()
        names |= set(schemas.signal_names(schema))
        if own := schemas.own_columns(schema):
            columns[part_name(part)] = own
    return Carried(tuple(sorted(names)), merged(columns))


def _one_of_each(source: Source) -> Iterator[Any]:
    """Parts that have every schema of the source: all shards of a dataset have one."""
    if isinstance(source, SideBySide):
        for each in source.sources:
            yield from _one_of_each(each)
    else:
        yield from source.parts()[:1] if isinstance(source, Dataset) else source.parts()


def part_name(part: Any) -> str:
    """What a message calls a part of a source: its file."""
    while hasattr(part, "part"):  # a part that is cut after some rows
        part = part.part
    return str(getattr(part, "file", None) or getattr(part, "name", part))
