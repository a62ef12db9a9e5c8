"""The extractors that a recipe may name. A new one is a file of this folder and a row here."""

from collections.abc import Mapping
from typing import Any, Final

from infra.errors import UsageError
from infra.names import near_names
from pipeline.extract.extractors import (
    all_text,
    blocks,
    joined,
    plain,
    resiliparse_text,
    strip_tags,
    trafilatura_text,
)
from pipeline.extract.extractors.extractor import Extractor

_ROWS: Final[tuple[Extractor[Any], ...]] = (
    trafilatura_text.EXTRACTOR,
    resiliparse_text.EXTRACTOR,
    all_text.EXTRACTOR,
    strip_tags.EXTRACTOR,
    blocks.EXTRACTOR,
    joined.EXTRACTOR,
)
EXTRACTORS: Final[Mapping[str, Extractor[Any]]] = {row.name: row for row in _ROWS}
# For bodies that are text already; a recipe cannot name it.
PLAIN: Final = plain.EXTRACTOR


def extractor_of(name: str) -> Extractor[Any]:
    """The extractor of a name that a recipe gives. UsageError if there is none."""
    if name not in EXTRACTORS:
        near = near_names(name, EXTRACTORS)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(EXTRACTORS)}"
        raise UsageError(f"extractor {name!r} is unknown; {hint}")
    return EXTRACTORS[name]


def options_of(name: str, given: Mapping[str, Any]) -> Any:
    """The options of an extractor from a recipe's table. UsageError for an unknown extractor, option or value."""
    return extractor_of(name).read_options(given)
