"""`calibrate`: the threshold on a signal that keeps a wanted share of a pool, by language; and recipes frozen with it.

The quantile is exact (`pipeline/pool/quantile.py`): the share kept differs from the wanted one only by rounding to
whole documents and by ties, and the result reports by how much. How well the pool represents others is a separate
question: the interval is binomial (Wilson, 95 %), which assumes independent documents; pages of one host are not
independent, so the true interval is wider.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.dataset.manifest import InputRef, Kind, RecipeRef
from infra.dataset.reader import Source
from infra.engines.engine import Engine
from infra.errors import UsageError
from infra.storage import write_bytes, writing
from pipeline.inputs.inputs import Inputs
from pipeline.job.intervals import DIGITS, wilson
from pipeline.job.tables import Tables
from pipeline.pool.quantile import By, GroupThreshold, Side, find_quantiles, values_table
from pipeline.pool.values import check_signal
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.toml import recipe_toml
from pipeline.stages.stages import rows_of
from pipeline.steps.rules import written_out

COMMAND = "calibrate"
MIN_COUNT = 100


@dataclass(frozen=True)
class Wanted:
    """The request: keep the share `keep` of each group, from the `side` of its values."""

    signal: str
    keep: float
    side: Side = "high"
    by: By = "language"
    min_count: int = MIN_COUNT

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UsageError(f"--keep is {self.keep}; it must be the share to keep, above 0 and at most 1")
        for name, value, allowed in (("side", self.side, ("low", "high")), ("by", self.by, ("language", "all"))):
            if value not in allowed:
                raise UsageError(f"--{name} is {value!r}, not one of {', '.join(allowed)}")

    @property
    def bound(self) -> str:
        return "max" if self.side == "low" else "min"


@dataclass(frozen=True)
class Calibration:
    """The result. `refused`: groups with measured documents, but fewer than `wanted.min_count`."""

    wanted: Wanted
    pool: tuple[InputRef, ...]
    found: tuple[GroupThreshold, ...]
    refused: tuple[GroupThreshold, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self.wanted),
            "pool": [asdict(ref) for ref in self.pool],
            "thresholds": [threshold_row(each, self.wanted.keep) for each in self.found],
            "refused": [{"group": each.group, "docs": each.docs} for each in self.refused],
        }


def threshold_row(found: GroupThreshold, keep: float) -> dict[str, Any]:
    """`rank_error`: the difference of the share kept from the wanted one (whole documents, and ties)."""
    share = found.kept / found.docs
    return {
        **asdict(found),
        "keep_rate": round(share, DIGITS),
        "rank_error": round(share - keep, DIGITS),
        "interval": wilson(found.kept, found.docs),
    }


def calibrate(wanted: Wanted, engine: Engine, inputs: Inputs) -> Calibration:
    """Finds thresholds over documents. Raises UsageError for an unknown signal, or if no group has enough documents."""
    source = documents_of(inputs)
    check_signal(wanted.signal, source, COMMAND)
    with tempfile.TemporaryDirectory(prefix="refinery-") as folder:
        tables = Tables(engine, RecipeRef(COMMAND, ""), COMMAND, Path(folder))
        values = values_table(tables, source, wanted.signal, wanted.by, fresh=False)
        every = find_quantiles(tables, values, wanted.keep, wanted.side, wanted.min_count)
    found = tuple(each for each in every if each.threshold is not None)
    refused = tuple(each for each in every if each.threshold is None and each.docs)
    if not found:
        most = max((each.docs for each in refused), default=0)
        raise UsageError(
            f"{COMMAND}: no group has {wanted.min_count} documents with {wanted.signal} (the largest has {most}): "
            "give more documents, --by all, or a lower --min-count"
        )
    return Calibration(wanted, source.refs, found, refused)


def documents_of(inputs: Inputs) -> Source:
    """The documents of the inputs. Raises UsageError for archives and datasets of another kind."""
    if inputs.archives:
        raise UsageError(
            f"{COMMAND} reads documents and datasets, not archives: run `refinery ingest` and `extract` first"
        )
    return rows_of(inputs, Kind.DOCUMENTS, COMMAND)


def check_rule(name: str, wanted: Wanted, step: str | None = None) -> None:
    """Raises UsageError where recipe `name` cannot be read, or no judge step has a rule to calibrate."""
    steps = [each for stage in load_recipe(name).source["stage"] for each in stage.get("step", [])]
    judges = [each for each in steps if each["kind"] == "judge" and step in (None, _name(each))]
    rules = [rule for each in judges for rule in written_out(each, name)]
    if not any(rule["signal"] == wanted.signal and wanted.bound in rule for rule in rules):
        raise _no_rule(name, wanted, step)


def _no_rule(name: str, wanted: Wanted, step: str | None) -> UsageError:
    where = f"step {step!r} of recipe {name!r}" if step else f"recipe {name!r}"
    rule = f"{wanted.bound} rule on {wanted.signal!r}"
    return UsageError(f"{where} has no {rule} for what was calibrated: add one, with any threshold")


def freeze(recipe: Recipe | str, calibration: Calibration, out: Path, step: str | None = None) -> list[str]:
    """Writes the recipe (or the one of this name) to `out` with calibrated thresholds in the rules of `step`, or of the
    last step that has such a rule. Stricter rules of earlier steps are loosened to the same threshold, since otherwise
    the new one would have no effect. Returns the steps that changed, the calibrated one first.

    The calibration is stored as a record, which the recipe's hash does not cover; it covers thresholds and `source`.
    """
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    name, source = loaded.name, dict(loaded.source)
    stages = [{**stage, "step": list(stage["step"])} if "step" in stage else stage for stage in source["stage"]]
    places = [
        (stage["step"], index)
        for stage in stages
        for index, each in enumerate(stage.get("step", []))
        if each.get("kind") == "judge" and _has_calibrated_rule(each, calibration)
    ]
    named = [at for at, (steps, index) in enumerate(places) if step in (None, _name(steps[index]))]
    if not named:
        raise _no_rule(name, calibration.wanted, step)
    changed: list[str] = []
    for at in range(named[-1], -1, -1):
        steps, index = places[at]
        each = steps[index]
        old = written_out(each, name)
        rules = new_rules(old, each.get("languages", []), calibration, loosen=at != named[-1])
        if at == named[-1] or rules != old:
            kept = {key: value for key, value in each.items() if key != "source"}  # each rule has its own
            steps[index] = {**kept, "rules": rules}
            changed.append(_name(each))
    source |= {"stage": stages, "name": out.stem}
    source["calibration"] = [*source.get("calibration", []), record(calibration, changed[0])]
    parse_recipe(source, str(out))
    with writing(out):
        write_bytes(out, recipe_toml(source).encode())
    return changed


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("name", step["kind"]))


def _has_calibrated_rule(step: Mapping[str, Any], calibration: Calibration) -> bool:
    """Whether the step has a rule that the calibration replaces."""
    made = new_rules(written_out(step, ""), step.get("languages", []), calibration)
    return any(rule.get("source") == rule_source(calibration) for rule in made)


def record(calibration: Calibration, step: str) -> dict[str, Any]:
    """The record in the frozen recipe of where its thresholds come from."""
    return {
        "step": step,
        **asdict(calibration.wanted),
        "pool": [asdict(ref) for ref in calibration.pool],
        "groups": [{"group": f.group, "docs": f.docs, "threshold": f.threshold} for f in calibration.found],
    }


def new_rules(
    rules: Sequence[Mapping[str, Any]], languages: Sequence[str], calibration: Calibration, loosen: bool = False
) -> list[dict[str, Any]]:
    """Returns the rules of a judge step for these languages (empty: all), with those on the signal replaced in place;
    with `loosen` only those whose old threshold is stricter.

    By language, a rule becomes one for each of its languages that has a threshold, and keeps the old one for the
    others; a rule for every language no longer applies to those without a threshold.
    """
    wanted = calibration.wanted
    made: list[dict[str, Any]] = []
    for rule in rules:
        if rule["signal"] != wanted.signal or wanted.bound not in rule:
            made.append(dict(rule))
            continue
        old = rule[wanted.bound]
        found = {
            each.group: each.threshold
            for each in calibration.found
            if each.threshold is not None
            and (not loosen or (each.threshold < old if wanted.bound == "min" else each.threshold > old))
        }
        if wanted.by == "all":
            new = [{wanted.bound: threshold, "source": rule_source(calibration)} for threshold in found.values()]
            made.append({**rule, **new[0]} if new else dict(rule))
            continue
        named = list(rule.get("languages") or languages) or [each.group for each in calibration.found]
        mine = {group: threshold for group, threshold in found.items() if group in named}
        rest = [name for name in named if name not in mine]
        if rest:
            made.append({**rule, "languages": rest} if mine else dict(rule))
        made += [
            {**rule, wanted.bound: threshold, "languages": [name], "source": rule_source(calibration)}
            for name, threshold in mine.items()
        ]
    return made


def rule_source(calibration: Calibration) -> str:
    """The `source` of a calibrated rule: the share kept, and the pool."""
    pool = ", ".join(f"{ref.name} {ref.sha256[:12]}" for ref in calibration.pool)
    return f"calibrated to keep {calibration.wanted.keep:g} of {pool}"
