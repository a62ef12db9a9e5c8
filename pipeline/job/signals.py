"""The signals in the `signals` column of a source's documents."""

from infra.dataset import schema as schemas
from infra.dataset.reader import Source


def carried_signals(source: Source) -> tuple[str, ...]:
    names: set[str] = set()
    for part in source.parts():
        names |= set(schemas.signal_names(part.schema()))  # type: ignore[attr-defined]
    return tuple(sorted(names))
