"""Documents that one recipe keeps and another rejects, and the steps and rules by which the other rejects them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.compare.walk import Partition
from pipeline.stages.counts import most_first


@dataclass
class Pair:
    """Of the pages that one recipe keeps: the number that the other keeps too, and its rejections of the rest."""

    both: int = 0
    only: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)


class Overlap:
    """Counts over all partitions, for each ordered pair of recipes."""

    def __init__(self, names: Sequence[str]) -> None:
        self.pairs = {(one, other): Pair() for one in names for other in names if one != other}

    def add(self, partition: Partition) -> None:
        for (one, other), pair in self.pairs.items():
            kept, rejected = partition.kept[other], partition.rejected[other]
            for key in partition.kept[one]:
                if key in kept:
                    pair.both += 1
                    continue
                pair.only += 1
                where = rejected[key]
                pair.steps[where.step] += 1
                pair.rules.update(where.rules)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """{ONE: {OTHER: {"both", "only", "steps": {step: pages}, "rejected_by": {"step/rule": pages}}}}.

        `only`: pages that ONE keeps and OTHER rejects; `steps` partitions them (a page ends in one step), and
        `rejected_by` counts each rule of that step that a page failed. both + only = the pages that ONE keeps.
        """
        table: dict[str, dict[str, Any]] = {}
        for (one, other), pair in self.pairs.items():
            table.setdefault(one, {})[other] = {
                "both": pair.both,
                "only": pair.only,
                "steps": most_first(pair.steps),
                "rejected_by": most_first(pair.rules),
            }
        return table
