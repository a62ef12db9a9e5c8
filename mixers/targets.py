"""The `[draw]` block of a recipe: target shares, floors and caps, checked when it is read.

Shares are fractions of the tokens trained on, repeats included. A target is met as nearly as the pool allows; floors
(`min_...`) and caps (`max_...`) always hold. A domain is one of `mixers.domains.DOMAINS`; an axis (IQ, EQ, general)
stands for all its domains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from infra.errors import UsageError
from infra.names import meant
from mixers.domains import AXIS_OF, DOMAINS, Axis, domains_of

_ROUNDING = 1e-9


@dataclass(frozen=True)
class DrawConfig:
    """Every option of the block. UsageError for a value out of range or targets that contradict each other."""

    targets: Mapping[str, float] = field(default_factory=dict)
    """Wanted share of tokens, by domain or axis, 0 to 1. What is not named is free."""

    min_share: Mapping[str, float] = field(default_factory=dict)
    """Floor on the share of tokens, by domain or axis, 0 to 1."""

    max_share: Mapping[str, float] = field(default_factory=dict)
    """Cap on the share of tokens, by domain or axis, 0 to 1."""

    min_source_share: Mapping[str, float] = field(default_factory=dict)
    """Floor on the share of tokens, by source, 0 to 1."""

    max_source_share: Mapping[str, float] = field(default_factory=dict)
    """Cap on the share of tokens, by source, 0 to 1."""

    max_epochs: float = 4.0
    """Most epochs of any document. Beyond 4, repeated data loses value (Muennighoff et al. 2023, 2305.16264,
    section 5)."""

    max_epochs_of: Mapping[str, float] = field(default_factory=dict)
    """Most epochs of a source ("web") or of a source and domain ("web/code"), in place of `max_epochs`."""

    tokens: int | None = None
    """Size of the mixture in tokens, repeats included. None ("max" in a recipe) for the largest possible."""

    tolerance: float = 0.01
    """Most that a target may be missed by, as an absolute share."""

    seed: int = 0
    """Seed of the documents' ranks: which documents are drawn from a group that is drawn in part."""

    def __post_init__(self) -> None:
        for name in ("targets", "min_share", "max_share", "min_source_share", "max_source_share"):
            for key, share in getattr(self, name).items():
                if not _is_number(share) or not 0 <= share <= 1:
                    raise UsageError(f"draw.{name}.{key} is {share!r}; a share is a number from 0 to 1")
        for name in ("targets", "min_share", "max_share"):
            for key in getattr(self, name):
                domains_of(key)
        for key, epochs in (("max_epochs", self.max_epochs), *self.max_epochs_of.items()):
            if not _is_number(epochs) or not 0 <= epochs <= 1000:
                raise UsageError(f"the epochs of {key!r} are {epochs!r}; give a number from 0 to 1000")
        if self.tokens is not None and (
            not isinstance(self.tokens, int) or isinstance(self.tokens, bool) or self.tokens < 1
        ):
            raise UsageError(f'draw.tokens is {self.tokens!r}; give a number of tokens, or "max"')
        if not _is_number(self.tolerance) or not 0 <= self.tolerance <= 1:
            raise UsageError(f"draw.tolerance is {self.tolerance!r}; give a number from 0 to 1")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise UsageError(f"draw.seed is {self.seed!r}; give an integer from 0 to 2^63 - 1")
        self._check_sums()

    def _check_sums(self) -> None:
        """UsageError for targets that contradict each other whatever the pool has."""
        for axis in Axis:
            named = [domain for domain in DOMAINS if AXIS_OF[domain] is axis and domain in self.targets]
            total = math.fsum(self.targets[domain] for domain in named)
            if axis in self.targets and total > self.targets[axis] + _ROUNDING:
                raise UsageError(
                    f"draw.targets: the domains of {axis} sum to {total:g}, more than {axis} = {self.targets[axis]:g}"
                )
        shares = [
            self.targets.get(axis, math.fsum(self.targets.get(d, 0.0) for d in DOMAINS if AXIS_OF[d] is axis))
            for axis in Axis
        ]
        complete = all(axis in self.targets or all(d in self.targets for d in domains_of(axis)) for axis in Axis)
        total = math.fsum(shares)
        if total > 1 + _ROUNDING or (complete and total < 1 - _ROUNDING):
            raise UsageError(f"draw.targets sum to {total:g}; make them sum to 1, or to less and leave domains unnamed")

    def epochs_cap(self, source: str, domain: str) -> float:
        """The cap of source/domain if there is one, else that of the source, else `max_epochs`."""
        return float(self.max_epochs_of.get(f"{source}/{domain}", self.max_epochs_of.get(source, self.max_epochs)))

    def as_params(self) -> dict[str, Any]:
        """The block as it could be written in a recipe, for a manifest."""
        params: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            params[item.name] = dict(sorted(value.items())) if isinstance(value, Mapping) else value
        return params | {"tokens": "max" if self.tokens is None else self.tokens}

    @staticmethod
    def from_block(block: Mapping[str, Any], where: str = "draw") -> "DrawConfig":
        """Reads a recipe's TOML table. UsageError names the key that is unknown or of the wrong type."""
        known = {item.name: item for item in fields(DrawConfig)}
        for key, value in block.items():
            if key not in known:
                raise UsageError(f"{where} has no setting {key!r}; {meant(key, known)}")
            is_table = known[key].default_factory is dict
            if is_table != isinstance(value, Mapping):
                raise UsageError(
                    f"{where}.{key} is {value!r}; give {'a table of name = number' if is_table else 'one value'}"
                )
        values = dict(block)
        if values.get("tokens") == "max":
            values["tokens"] = None
        return DrawConfig(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
