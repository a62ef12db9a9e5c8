"""The learning rate: warmup-stable-decay (WSD; MiniCPM, 2404.06395, section 4).

The trunk is warm-up and stable phase: it never decays, so it can be frozen at any stable step and any number of decays
can start from it. Only branches, or a run past its trunk, enter the decay.
"""

import math

from trainer.config import ScheduleConfig


def learning_rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """The learning rate of update `step` (from 0), as a fraction of `optimizer.learning_rate`. Defined for every
    step: after the decay it stays at `min_lr_factor`."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if step < schedule.trunk_steps:
        return 1.0
    progress = min(1.0, (step - schedule.trunk_steps) / max(1, schedule.decay_steps))
    remaining = 1.0 - (math.sqrt(progress) if schedule.decay_type == "sqrt" else progress)
    return schedule.min_lr_factor + (1.0 - schedule.min_lr_factor) * remaining


def updates_router_bias(schedule: ScheduleConfig, step: int) -> bool:
    """Whether update `step` moves the router biases: in the trunk only, as DeepSeek-V3 freezes them for its last
    tokens (2412.19437, section 4.2)."""
    return step < schedule.trunk_steps


def total_steps(schedule: ScheduleConfig) -> int:
    return schedule.trunk_steps + schedule.decay_steps
