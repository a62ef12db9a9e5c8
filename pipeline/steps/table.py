"""Every kind of step, by the `kind` of a recipe: the one place where they come together."""

from collections.abc import Mapping
from typing import Any

from infra.errors import UsageError
from pipeline.steps.combine import Combine
from pipeline.steps.dedup import Dedup
from pipeline.steps.extract import Extract
from pipeline.steps.fields import not_one_of, shown
from pipeline.steps.gate import Gate
from pipeline.steps.judge import Judge
from pipeline.steps.label import Label
from pipeline.steps.pool import PoolRule
from pipeline.steps.prune import Prune
from pipeline.steps.rewrite import Rewrite
from pipeline.steps.step import Step

STEPS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        Gate,
        Extract,
        Label,
        Judge,
        Combine,
        Prune,
        Rewrite,
        PoolRule,
        Dedup,
    )
}


def read_step(source: Mapping[str, Any], place: str) -> Step:
    """The step in a recipe's table. UsageError for what is not a step; `place` names it in messages."""
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in STEPS:
        raise UsageError(f"{place}: kind is {shown(kind)}, {not_one_of(kind, STEPS)}")
    return STEPS[kind].read(source, place)


def kinds_in(stage: str) -> list[str]:
    """The kinds of step that a stage of this command may have."""
    return [kind for kind, step in STEPS.items() if stage in step.stages]
