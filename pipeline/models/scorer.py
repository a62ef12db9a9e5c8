"""What a learned scorer is: a model that measures signals of a document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.document import Document

Measure = Callable[[Document], Mapping[str, float | None]]


@dataclass(frozen=True)
class Scorer:
    """name: the `what` of a label step.
    signals: those that it sets, each with one line that says what it measures, in which range and direction.
    load: the model's path → a function that measures a document; UsageError for a file that is not such a model.
    """

    name: str
    signals: Mapping[str, str]
    load: Callable[[Path], Measure]
