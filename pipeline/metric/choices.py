"""Questions with several choices under a model: which choice it finds likeliest, by bits and by bits per byte.

`accuracy` takes the choice of the fewest bits, `normalised` that of the fewest bits per byte, so that a short choice
has no advantage (lm-evaluation-harness calls it `acc_norm`, and divides by characters). Of equals the first is taken.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.metric.question_file import Question
from pipeline.metric.scorer import ChoiceScorer, Floats

LEVEL = 0.95
_DEVIATIONS = 1.96
_AT_ONCE = 64  # questions


def evaluate_choices(scorer: ChoiceScorer, questions: Sequence[Question]) -> dict[str, Any]:
    """{about, level, tasks: {TASK: …}, mean}: of each task its questions, `accuracy` and `normalised` with their
    intervals (Wilson's, over questions), the accuracy of a guess, and bits per byte of the right choices."""
    bits: list[Floats] = []
    for first in range(0, len(questions), _AT_ONCE):
        some = questions[first : first + _AT_ONCE]
        pairs = [(each.context, choice) for each in some for choice in each.choices]
        found = scorer.continuation_bits([context for context, _ in pairs], [choice for _, choice in pairs])
        bits += np.split(found, np.cumsum([len(each.choices) for each in some])[:-1])
    names = list(dict.fromkeys(each.task for each in questions))
    tasks = {}
    for name in names:
        chosen = [place for place, each in enumerate(questions) if each.task == name]
        tasks[name] = _task([questions[place] for place in chosen], [bits[place] for place in chosen])
    figures = ("accuracy", "normalised", "guess", "bits_per_byte")
    mean = {figure: float(np.mean([task[figure] for task in tasks.values()])) for figure in figures}
    return {**scorer.about, "level": LEVEL, "tasks": tasks, "mean": mean}


def _task(questions: Sequence[Question], bits: Sequence[Floats]) -> dict[str, Any]:
    sizes = [np.array([len(choice.encode()) for choice in each.choices], np.float64) for each in questions]
    right = [float(np.argmin(found) == each.gold) for each, found in zip(questions, bits)]
    normalised = [float(np.argmin(found / size) == each.gold) for each, found, size in zip(questions, bits, sizes)]
    gold_bits = sum(found[each.gold] for each, found in zip(questions, bits))
    gold_bytes = sum(size[each.gold] for each, size in zip(questions, sizes))
    return {
        "questions": len(questions),
        "accuracy": float(np.mean(right)),
        "accuracy_interval": wilson(sum(right), len(right)),
        "normalised": float(np.mean(normalised)),
        "normalised_interval": wilson(sum(normalised), len(normalised)),
        "guess": float(np.mean([1 / len(each.choices) for each in questions])),
        "bits_per_byte": float(gold_bits / gold_bytes),
    }


def wilson(right: float, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share, of which so many of those asked were right."""
    share, square = right / asked, _DEVIATIONS**2
    middle = (share + square / (2 * asked)) / (1 + square / asked)
    half = _DEVIATIONS / (1 + square / asked) * np.sqrt(share * (1 - share) / asked + square / (4 * asked**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
