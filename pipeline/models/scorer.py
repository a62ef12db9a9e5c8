"""What a learned scorer is: a model that measures signals of a document."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.document import Document

Measure = Callable[[Document], Mapping[str, float | None]]


@dataclass(frozen=True)
class Scorer:
    """name: the `what` of a label step.
    signals: those that it sets, each with one line that says what it measures, in which range and direction.
    load: the model's path → a function that measures a document; UsageError for a file that is not such a model.
    check: the same refusal without loading, for a model that takes long to load; a run loads the others to check them.
    check_signals: the model's path and the signals that later steps use; UsageError where the model cannot measure one
        of them.
    """

    name: str
    signals: Mapping[str, str]
    load: Callable[[Path], Measure]
    check: Callable[[Path], None] | None = None
    check_signals: Callable[[Path, Collection[str]], None] | None = None
