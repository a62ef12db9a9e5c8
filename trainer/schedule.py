"""The learning rate: warm-up, stable, and a tail that only branches (or a run past its trunk) enter.

Warmup-stable-decay (MiniCPM, 2404.06395, section 4): the trunk never decays, so it can be frozen at any step of its
stable part and any number of tails can grow from it. Tail shapes: "sqrt" is 1 - sqrt(progress) (Haegele et al.,
2405.18392), "linear" is 1 - progress.
"""

import math

from trainer.config import ScheduleConfig


def learning_rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """The fraction of the stable rate that update `step` (from 0) uses. Pure; defined for every step."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if step < schedule.trunk_steps:
        return 1.0
    progress = min(1.0, (step - schedule.trunk_steps) / max(1, schedule.tail_steps))
    decayed = 1.0 - (math.sqrt(progress) if schedule.tail_shape == "sqrt" else progress)
    return schedule.tail_floor + (1.0 - schedule.tail_floor) * decayed


def balance_moves(schedule: ScheduleConfig, step: int) -> bool:
    """Whether router biases still move: they rest in the tail, where the rest of the model settles (DeepSeek-V3,
    section 4.2, stops them for the last tokens)."""
    return step < schedule.trunk_steps


def total_steps(schedule: ScheduleConfig) -> int:
    return schedule.trunk_steps + schedule.tail_steps
