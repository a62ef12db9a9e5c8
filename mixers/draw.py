"""The draw: which documents a mixture trains on and how often, decided for each document from its rank alone.

`plan_draw` makes a `MixturePlan` from what a pool has and the targets of a recipe: for each (source, domain) group, a
number of whole epochs for every document and one more for documents whose rank is below a cutoff. Cutoffs lie between
bins of rank, so the plan predicts the draw to the token, and `check_drawn` compares the two. Rows are never repeated: a
document's `repeats` is a column, and a document that is not drawn has 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import WorkError
from mixers.balance import solve_mixture
from mixers.domains import AXIS_OF
from mixers.supply import Floats, SupplyGroup, upper_edge
from mixers.targets import DrawConfig


@dataclass(frozen=True)
class GroupPlan:
    """The plan for one (source, domain) group."""

    source: str
    domain: str

    documents: int
    """Documents in the pool."""

    tokens: int
    """Tokens in the pool."""

    epochs: float
    """Epochs as solved."""

    whole_epochs: int
    """Repeats of every document of the group."""

    rank_cutoff: float
    """Documents with a rank below this get one repeat more."""

    drawn: int
    """Documents with at least one repeat."""

    drawn_tokens: int
    """Tokens with repeats: `epochs` * `tokens`, to within the tokens of one bin of rank."""

    @property
    def name(self) -> str:
        return f"{self.source}/{self.domain}"


@dataclass(frozen=True)
class MixturePlan:
    """The plan for a whole pool."""

    groups: tuple[GroupPlan, ...]
    """Sorted by source and domain."""

    binding: tuple[str, ...]
    """Names of the constraints that keep the mixture from being larger or nearer to the targets."""

    missed: Mapping[str, tuple[float, float]]
    """Targets that cannot be met: name -> (share asked for, share planned)."""

    def repeats(self, sources: pa.Array, domains: pa.Array, ranks: Floats) -> npt.NDArray[np.int32]:
        """How often an epoch has each document, shape (documents,). 0 for groups without tokens."""
        whole, cutoff = self._by_document(sources, domains)
        return whole + (ranks < cutoff).astype(np.int32)

    def _by_document(self, sources: pa.Array, domains: pa.Array) -> tuple[npt.NDArray[np.int32], Floats]:
        """`whole_epochs` and `rank_cutoff` of each document's group, looked up once per distinct source and domain."""
        if not len(sources):
            return np.zeros(0, dtype=np.int32), np.zeros(0)
        source, domain = (pc.dictionary_encode(column.cast(pa.string())) for column in (sources, domains))
        found = {group.name: (group.whole_epochs, group.rank_cutoff) for group in self.groups}
        pairs = np.array(
            [
                [found.get(f"{s}/{d}", (0, 0.0)) for d in domain.dictionary.to_pylist()]
                for s in source.dictionary.to_pylist()
            ]
        )
        chosen = pairs[source.indices.to_numpy(), domain.indices.to_numpy()]
        return chosen[:, 0].astype(np.int32), chosen[:, 1]

    def as_dict(self) -> dict[str, Any]:
        """JSON for a manifest."""
        return {
            "groups": [asdict(group) for group in self.groups],
            "binding": list(self.binding),
            "missed": {name: list(shares) for name, shares in sorted(self.missed.items())},
            "shares": shares({f"tokens/{group.name}": group.drawn_tokens for group in self.groups}),
        }


def plan_draw(groups: tuple[SupplyGroup, ...], config: DrawConfig) -> MixturePlan:
    """The plan for a pool. UsageError when the pool cannot satisfy `config`."""
    names = [(group.source, group.domain) for group in groups]
    solved = solve_mixture(names, [group.tokens for group in groups], config)
    # Where a minimum share is met exactly, one document too many outside of it would break it.
    others = "down" if any(solved.in_binding_floor) else "nearest"
    plans = [
        _plan_group(group, epochs, config.epochs_cap(group.source, group.domain), "up" if in_floor else others)
        for group, epochs, in_floor in zip(groups, solved.epochs, solved.in_binding_floor)
    ]
    return MixturePlan(tuple(plans), solved.binding, solved.missed)


def _plan_group(group: SupplyGroup, epochs: float, cap: float, rounding: str) -> GroupPlan:
    """Choose the cutoff between bins at which `epochs` of the group's tokens are reached. `rounding`: up, down or
    nearest."""
    whole = int(epochs)
    wanted, most = (epochs - whole) * group.tokens, (cap - whole) * group.tokens
    # below[i]: the tokens in the first i bins.
    below = np.concatenate(([0], np.cumsum(group.tokens_in)))
    bins = int(np.searchsorted(below, wanted, side="right")) - 1
    # Bins without tokens give equal sums: take the lowest of them.
    bins = int(np.searchsorted(below, below[bins]))
    if below[bins] < wanted and bins + 1 < len(below):
        above = int(np.searchsorted(below, below[bins], side="right"))
        is_nearer = below[above] - wanted < wanted - below[bins]
        if below[above] <= most and (rounding == "up" or (rounding == "nearest" and is_nearer)):
            bins = above
    cutoff = upper_edge(int(group.bin[bins - 1])) if bins else 0.0
    drawn = group.documents if whole else int(group.documents_in[:bins].sum())
    drawn_tokens = whole * group.tokens + int(below[bins])
    return GroupPlan(
        group.source, group.domain, group.documents, group.tokens, epochs, whole, cutoff, drawn, drawn_tokens
    )


def count_drawn(
    sources: pa.Array, domains: pa.Array, tokens: pa.Array, repeats: npt.NDArray[np.int32]
) -> dict[str, int]:
    """Counters of one shard's draw, which add up over shards: `drawn/SOURCE/DOMAIN` and `undrawn/SOURCE/DOMAIN` in
    documents, `tokens/SOURCE/DOMAIN` in tokens with repeats."""
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
    """Shares of the drawn tokens by source, domain and axis, from the counters of `count_drawn`."""
    tokens = {name: count for name, count in counts.items() if name.startswith("tokens/")}
    total = sum(tokens.values())
    found: dict[str, dict[str, int]] = {"source": {}, "domain": {}, "axis": {}}
    for name, count in sorted(tokens.items()):
        source, domain = name.removeprefix("tokens/").rsplit("/", 1)
        for kind, key in (("source", source), ("domain", domain), ("axis", str(AXIS_OF[domain]))):
            found[kind][key] = found[kind].get(key, 0) + count
    return {kind: {key: count / total for key, count in sorted(sums.items()) if total} for kind, sums in found.items()}


def check_drawn(plan: MixturePlan, counts: Mapping[str, int]) -> None:
    """WorkError unless the draw of each group gave what the plan predicts; else the pool changed after planning."""
    for group in plan.groups:
        found = (counts.get(f"drawn/{group.name}", 0), counts.get(f"tokens/{group.name}", 0))
        if found != (group.drawn, group.drawn_tokens):
            raise WorkError(
                f"the draw of {group.name} gave {found[0]} documents and {found[1]} tokens, "
                f"the plan says {group.drawn} and {group.drawn_tokens}; the pool changed: mix again into a new folder"
            )
