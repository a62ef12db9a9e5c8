"""The `[draw]` block of a recipe: target shares, floors and caps, checked when it is read.

Shares are fractions of the tokens trained on, repeats included. Targets come before size: unless a size is asked for,
the mixture is as large as the scarcest target allows. A target is met as nearly as the pool allows; floors (`min_...`)
and caps (`max_...`) always hold. A domain is one of `mixers.domains.DOMAINS`; an axis (IQ, EQ, general) stands for all
its domains. A language is what the column `language` says; documents without one are of `NO_LANGUAGE`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from infra.errors import UsageError
from infra.names import meant
from mixers.domains import AXIS_OF, DOMAINS, Axis, domains_of
from mixers.grades import Grade, check_grades, grades_from

NO_LANGUAGE = "und"  # undetermined, as in ISO 639-2
_ROUNDING = 1e-9
_TABLES = ("targets", "language_targets", "joint_targets", "min_share", "max_share", "min_language_share",
           "max_language_share", "min_source_share", "max_source_share")  # fmt: skip


class Target(NamedTuple):
    """A wanted share of tokens. `language` or `domains` None: of all."""

    name: str
    share: float
    language: str | None
    domains: tuple[str, ...] | None

    def counts(self, language: str, domain: str) -> bool:
        """Whether documents of this language and domain count to the share."""
        return self.language in (None, language) and (self.domains is None or domain in self.domains)


@dataclass(frozen=True)
class DrawConfig:
    """Every option of the block. UsageError for a value out of range or targets that contradict each other."""

    targets: Mapping[str, float] = field(default_factory=dict)
    """Wanted share of tokens, by domain or axis, 0 to 1. What is not named is free."""

    language_targets: Mapping[str, float] = field(default_factory=dict)
    """Wanted share of tokens, by language, 0 to 1."""

    joint_targets: Mapping[str, float] = field(default_factory=dict)
    """Wanted share of tokens, by language and domain or axis ("zh/IQ"), 0 to 1."""

    min_share: Mapping[str, float] = field(default_factory=dict)
    """Floor on the share of tokens, by domain or axis, 0 to 1."""

    max_share: Mapping[str, float] = field(default_factory=dict)
    """Cap on the share of tokens, by domain or axis, 0 to 1."""

    min_language_share: Mapping[str, float] = field(default_factory=dict)
    """Floor on the share of tokens, by language, 0 to 1."""

    max_language_share: Mapping[str, float] = field(default_factory=dict)
    """Cap on the share of tokens, by language, 0 to 1."""

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
    """Size of the mixture in tokens, repeats included. None ("max" in a recipe) for the largest that meets the targets.
    A larger size is drawn as near to the targets as it can be, and the misses are stated."""

    tolerance: float = 1.0
    """Most that a target may be missed by, as an absolute share, before the draw is refused. At 1 none is refused, and
    misses are stated."""

    quality: str | None = None
    """The signal, or column, with a document's quality: larger is better. None: all documents are alike."""

    grades: Sequence[Grade] = ()
    """Epochs by quality, the best grade first: `{ best = 0.1, epochs = 4 }` is the best tenth of the tokens of each
    group (source, language, domain), `{ min = 0.9, epochs = 4 }` what has a quality of 0.9 or more. Within a group, a
    draw keeps the proportions of these epochs, and they are the most. What is below the last grade is
    not drawn. A source without any quality has no grades."""

    temperature: float | None = None
    """Draws documents of a group with weights exp(quality / temperature), without replacement (QuRating, Wettig et al.
    2024, 2402.09739): a small one draws the best; at most 600 temperatures count. None: with equal weights."""

    seed: int = 0
    """Seed of the documents' ranks: which documents are drawn from a group that is drawn in part."""

    def __post_init__(self) -> None:
        for name in _TABLES:
            for key, share in getattr(self, name).items():
                if not _is_number(share) or not 0 <= share <= 1:
                    raise UsageError(f"draw.{name}.{key} is {share!r}; a share is a number from 0 to 1")
        for name in ("targets", "min_share", "max_share"):
            for key in getattr(self, name):
                domains_of(key)
        for key in self.joint_targets:
            language, _, name = key.partition("/")
            if not language or not name:
                raise UsageError(f"draw.joint_targets: {key!r} is not LANGUAGE/DOMAIN or LANGUAGE/AXIS, as in zh/IQ")
            domains_of(name)
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
        self._check_quality()

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

        by_language: tuple[tuple[str, Mapping[str, float]], ...] = (
            ("language_targets", self.language_targets), ("joint_targets", self._largest_joint()),
        )  # fmt: skip
        for option, named_shares in by_language:
            if (total := math.fsum(named_shares.values())) > 1 + _ROUNDING:
                raise UsageError(f"draw.{option} sum to {total:g}; make them sum to 1 or less")
        for language, total in self._joint_of_languages().items():
            if total > self.language_targets.get(language, 1.0) + _ROUNDING:
                raise UsageError(
                    f"draw.joint_targets: those of {language} sum to {total:g}, more than its target of "
                    f"{self.language_targets[language]:g}"
                )

    def _largest_joint(self) -> dict[str, float]:
        """The joint targets without those of a domain whose axis is named in the same language."""

        def axis_of(key: str) -> str:
            language, _, name = key.partition("/")
            return f"{language}/{AXIS_OF.get(name, name)}"

        return {key: share for key, share in self.joint_targets.items()
                if axis_of(key) == key or axis_of(key) not in self.joint_targets}  # fmt: skip

    def _joint_of_languages(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, share in self._largest_joint().items():
            language = key.partition("/")[0]
            found[language] = found.get(language, 0.0) + share
        return found

    def _check_quality(self) -> None:
        if self.quality is not None and (not isinstance(self.quality, str) or not self.quality):
            raise UsageError(f"draw.quality is {self.quality!r}; give the name of a signal or column")
        if self.temperature is not None and not (_is_number(self.temperature) and 0 < self.temperature <= 1e6):
            raise UsageError(f"draw.temperature is {self.temperature!r}; give a number above 0")
        if self.quality is None and (self.grades or self.temperature is not None):
            raise UsageError('draw.grades and draw.temperature need draw.quality = "SIGNAL", the column that they read')
        check_grades(self.grades)

    def wanted(self) -> tuple[Target, ...]:
        """All targets: by domain or axis, by language, and by both."""
        found = [Target(name, share, None, domains_of(name)) for name, share in sorted(self.targets.items())]
        found += [Target(name, share, name, None) for name, share in sorted(self.language_targets.items())]
        for name, share in sorted(self.joint_targets.items()):
            language, _, domain = name.partition("/")
            found.append(Target(name, share, language, domains_of(domain)))
        return tuple(found)

    def languages(self) -> tuple[str, ...]:
        """The languages that are kept apart: those that a target, floor or cap names. Sorted."""
        joint = {name.partition("/")[0] for name in self.joint_targets}
        return tuple(sorted({*self.language_targets, *self.min_language_share, *self.max_language_share, *joint}))

    def epochs_cap(self, source: str, domain: str) -> float:
        """The cap of source/domain if there is one, else that of the source, else `max_epochs`."""
        return float(self.max_epochs_of.get(f"{source}/{domain}", self.max_epochs_of.get(source, self.max_epochs)))

    def as_params(self) -> dict[str, Any]:
        """The block as it could be written in a recipe, for a manifest."""
        params: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            params[item.name] = dict(sorted(value.items())) if isinstance(value, Mapping) else value
        params["grades"] = [grade.as_params() for grade in self.grades]
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
        values["grades"] = grades_from(values.get("grades", ()), f"{where}.grades")
        if values.get("tokens") == "max":
            values["tokens"] = None
        return DrawConfig(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
