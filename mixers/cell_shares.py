"""Shares of tokens by source, domain, axis and language."""

from collections.abc import Iterator, Mapping

from mixers.domains import AXIS_OF
from mixers.grades import Cell
from mixers.supply import ANY_LANGUAGE


def kinds_of(cell: Cell) -> Iterator[tuple[str, str]]:
    """What a (source, language, domain) belongs to: (kind, name). A domain of no axis, and a language that is not kept
    apart, are left out."""
    source, language, domain = cell
    yield "source", source
    yield "domain", domain
    if domain in AXIS_OF:
        yield "axis", str(AXIS_OF[domain])
    if language != ANY_LANGUAGE:
        yield "language", language


def sums_of(tokens: Mapping[Cell, int]) -> dict[str, dict[str, int]]:
    """Tokens by kind and name."""
    found: dict[str, dict[str, int]] = {"source": {}, "domain": {}, "axis": {}}
    for cell, count in tokens.items():
        for kind, name in kinds_of(cell):
            sums = found.setdefault(kind, {})
            sums[name] = sums.get(name, 0) + count
    return {kind: dict(sorted(sums.items())) for kind, sums in found.items()}


def shares_of(tokens: Mapping[Cell, int]) -> dict[str, dict[str, float]]:
    """Shares of the tokens by kind and name; none without a token."""
    total = sum(tokens.values())
    sums = sums_of(tokens)
    return {kind: {name: count / total for name, count in each.items() if total} for kind, each in sums.items()}
