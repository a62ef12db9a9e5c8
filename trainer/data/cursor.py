"""Where a run is in its data: a plain value, from which any number of processes go on.

The position in a source is the number of its tokens consumed in its present epoch. A source is known by its documents
(`DocumentSource.sha256`), not by its name or its dataset: in another dataset that has the same documents under the same
name, the run goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Turn:
    """From `slot` of the epoch's order on, which is its token `tokens`, what was left was put in an order by `seed`.

    The first turn of an epoch is at slot 0. Each change of `data.seed` within the epoch makes another: of the copies of
    documents that were not begun, so that none is used twice or left out.
    """

    slot: int
    tokens: int
    seed: int


@dataclass(frozen=True)
class SourceCursor:
    """The position in one source."""

    name: str

    epoch: int

    tokens: int
    """Tokens consumed in this epoch."""

    turns: tuple[Turn, ...]
    """At least one, by slot."""


@dataclass(frozen=True)
class Cursor:
    """A position in the stream of training sequences."""

    sequences: int = 0
    """Sequences consumed since the start of the run."""

    sources: Mapping[str, SourceCursor] = field(default_factory=dict)
    """By the sha256 of the source's documents. Sources that are in no dataset any longer are kept."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        sources = {
            sha256: {
                "name": at.name,
                "epoch": at.epoch,
                "tokens": at.tokens,
                "turns": [[turn.slot, turn.tokens, turn.seed] for turn in at.turns],
            }
            for sha256, at in sorted(self.sources.items())
        }
        return {"sequences": self.sequences, "sources": sources}

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "Cursor":
        """Inverse of `as_dict`."""
        sources = {
            sha256: SourceCursor(at["name"], at["epoch"], at["tokens"], tuple(Turn(*turn) for turn in at["turns"]))
            for sha256, at in body["sources"].items()
        }
        return Cursor(body["sequences"], sources)


START = Cursor()
