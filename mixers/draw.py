"""The balanced draw: which documents a mixture trains on, and how often, decided for each by its rank alone.

`plan_draw` turns what a pool holds and what a recipe asks into a `Plan`: for each (source, domain) group a whole
number of epochs for every document and one more for those whose rank is below an edge. Edges lie between bins of the
supply, so the plan already says, to the token, what the draw will give; `check_drawn` holds the draw to it.
`repeats` is a column: rows are never repeated, and a document that is not drawn stays, with 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import WorkError
from mixers.balance import balance
from mixers.domains import AXIS_OF
from mixers.supply import Floats, Group, edge_above
from mixers.targets import DrawConfig


@dataclass(frozen=True)
class GroupPlan:
    """One group: a document gets `whole` repeats, and one more when its rank is below `edge`.

    documents, tokens: what the pool holds. epochs: as solved. drawn: documents with at least one repeat.
    drawn_tokens: tokens with repeats; epochs * tokens, but for what one bin of rank holds.
    """

    source: str
    domain: str
    documents: int
    tokens: int
    epochs: float
    whole: int
    edge: float
    drawn: int
    drawn_tokens: int

    @property
    def name(self) -> str:
        return f"{self.source}/{self.domain}"


@dataclass(frozen=True)
class Plan:
    """groups: sorted by source and domain. binding: what kept the mixture from being larger, nearer, or more even.

    missed: target -> (asked, planned) for targets that cannot be met.
    """

    groups: tuple[GroupPlan, ...]
    binding: tuple[str, ...]
    missed: Mapping[str, tuple[float, float]]

    @property
    def drawn_tokens(self) -> int:
        return sum(group.drawn_tokens for group in self.groups)

    def repeats(self, sources: pa.Array, domains: pa.Array, ranks: Floats) -> npt.NDArray[np.int32]:
        """How often each document is trained on, shape (documents,). 0 for groups that hold no tokens."""
        whole, edge = self._by_document(sources, domains)
        return whole + (ranks < edge).astype(np.int32)

    def _by_document(self, sources: pa.Array, domains: pa.Array) -> tuple[npt.NDArray[np.int32], Floats]:
        """`whole` and `edge` of each document's group, looked up once per distinct source and domain."""
        if not len(sources):
            return np.zeros(0, dtype=np.int32), np.zeros(0)
        source, domain = (pc.dictionary_encode(column.cast(pa.string())) for column in (sources, domains))
        found = {group.name: (group.whole, group.edge) for group in self.groups}
        pairs = np.array(
            [
                [found.get(f"{s}/{d}", (0, 0.0)) for d in domain.dictionary.to_pylist()]
                for s in source.dictionary.to_pylist()
            ]
        )
        chosen = pairs[source.indices.to_numpy(), domain.indices.to_numpy()]
        return chosen[:, 0].astype(np.int32), chosen[:, 1]

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "groups": [asdict(group) for group in self.groups],
            "binding": list(self.binding),
            "missed": {name: list(shares) for name, shares in sorted(self.missed.items())},
            "shares": shares({f"tokens/{group.name}": group.drawn_tokens for group in self.groups}),
        }


def plan_draw(groups: tuple[Group, ...], config: DrawConfig) -> Plan:
    """Solve the draw for a pool. UsageError when the pool cannot give what `config` asks."""
    solved = balance([(group.source, group.domain) for group in groups], [group.tokens for group in groups], config)
    # One document too many elsewhere could push a group below a floor that is met exactly.
    others = "down" if any(solved.under_floor) else "nearest"
    plans = [
        _plan_group(group, epochs, config.epochs_cap(group.source, group.domain), "up" if low else others)
        for group, epochs, low in zip(groups, solved.epochs, solved.under_floor)
    ]
    return Plan(tuple(plans), solved.binding, solved.missed)


def _plan_group(group: Group, epochs: float, cap: float, rounding: str) -> GroupPlan:
    """Put the edge between the two bins where `epochs` of the group's tokens are reached."""
    whole = int(epochs)
    wanted, most = (epochs - whole) * group.tokens, (cap - whole) * group.tokens
    # below[i]: the tokens in the first i bins.
    below = np.concatenate(([0], np.cumsum(group.tokens_in)))
    bins = int(np.searchsorted(below, wanted, side="right")) - 1
    # Equal sums differ by bins without tokens: the least edge will do.
    bins = int(np.searchsorted(below, below[bins]))
    if below[bins] < wanted and bins + 1 < len(below):
        above = int(np.searchsorted(below, below[bins], side="right"))
        is_nearer = below[above] - wanted < wanted - below[bins]
        if below[above] <= most and (rounding == "up" or (rounding == "nearest" and is_nearer)):
            bins = above
    edge = edge_above(int(group.bin[bins - 1])) if bins else 0.0
    drawn = group.documents if whole else int(group.documents_in[:bins].sum())
    drawn_tokens = whole * group.tokens + int(below[bins])
    return GroupPlan(
        group.source, group.domain, group.documents, group.tokens, epochs, whole, edge, drawn, drawn_tokens
    )


def count_drawn(
    sources: pa.Array, domains: pa.Array, tokens: pa.Array, repeats: npt.NDArray[np.int32]
) -> dict[str, int]:
    """Counters of a draw, to be summed over shards: drawn/S/D, undrawn/S/D (documents), tokens/S/D (with repeats)."""
    counts: dict[str, int] = {}
    table = pa.table(
        {
            "source": sources.cast(pa.string()),
            "domain": domains.cast(pa.string()),
            "drawn": pa.array((repeats > 0).astype(np.int64)),
            "undrawn": pa.array((repeats == 0).astype(np.int64)),
            "tokens": pc.multiply(pc.fill_null(tokens.cast(pa.int64()), 0), pa.array(repeats.astype(np.int64))),
        }
    )
    kinds = ("drawn", "undrawn", "tokens")
    grouped = table.group_by(["source", "domain"], use_threads=False).aggregate([(kind, "sum") for kind in kinds])
    for row in grouped.to_pylist():
        for kind in kinds:
            counts[f"{kind}/{row['source']}/{row['domain']}"] = row[f"{kind}_sum"]
    return dict(sorted(counts.items()))


def shares(counts: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Realised shares of tokens by source, domain and axis, from the counters of `count_drawn`."""
    tokens = {name: count for name, count in counts.items() if name.startswith("tokens/")}
    total = sum(tokens.values())
    found: dict[str, dict[str, int]] = {"source": {}, "domain": {}, "axis": {}}
    for name, count in sorted(tokens.items()):
        source, domain = name.removeprefix("tokens/").rsplit("/", 1)
        for kind, key in (("source", source), ("domain", domain), ("axis", str(AXIS_OF[domain]))):
            found[kind][key] = found[kind].get(key, 0) + count
    return {kind: {key: count / total for key, count in sorted(sums.items()) if total} for kind, sums in found.items()}


def check_drawn(plan: Plan, counts: Mapping[str, int]) -> None:
    """WorkError unless the draw gave, group by group, what the plan says: then the pool changed between the two."""
    for group in plan.groups:
        found = (counts.get(f"drawn/{group.name}", 0), counts.get(f"tokens/{group.name}", 0))
        if found != (group.drawn, group.drawn_tokens):
            raise WorkError(
                f"the draw of {group.name} gave {found[0]} documents and {found[1]} tokens, "
                f"the plan says {group.drawn} and {group.drawn_tokens}; the pool changed: mix again into a new folder"
            )
