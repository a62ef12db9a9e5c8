"""Windows over a text that is longer than a model's context: every token is scored once, with as much context as fits.

A window is one pass of the model over neighbouring tokens of one text. The first scores all of its targets, each later
one only the targets that no window before it had; the others are its context. `packed` puts windows of several texts
into one sequence, where attention keeps them apart.

Shapes: B sequences, L positions.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.data.pack import PADDING

Ints = npt.NDArray[np.int64]


class TextWindow(NamedTuple):
    """Targets `start` to `end` of a text, of which those from `first` on are scored."""

    text: int
    start: int
    first: int
    end: int


class WindowBatch(NamedTuple):
    """Packed windows: arrays [B, L]."""

    inputs: Ints
    targets: Ints

    segments: npt.NDArray[np.int32]
    """Number of the window within its sequence; padding has a number of its own."""

    texts: Ints
    """The text of each target that is scored; `PADDING` for context and where there is no target."""

    real: npt.NDArray[np.bool_]
    """Where there is a target, scored or not."""


def windows_of(text: int, targets: int, length: int, step: int) -> Iterator[TextWindow]:
    """Windows of at most `length` targets; each but the first scores at most `step` of them, so that a target has
    `length - step` targets before it, or all that there are. `step`: 1 to `length`."""
    assert 1 <= step <= length
    end = min(length, targets)
    if targets:
        yield TextWindow(text, 0, 0, end)
    while end < targets:
        first, end = end, min(end + step, targets)
        yield TextWindow(text, max(0, end - length), first, end)


def packed(
    tokens: Sequence[Ints], windows: Iterable[TextWindow], length: int, sequences: int, before: int
) -> Iterator[WindowBatch]:
    """The windows in order, as many in a sequence as fit, in batches of at most `sequences` sequences.

    `tokens`: the targets of each text. `before`: the input of a text's first target.
    """
    rows: list[list[TextWindow]] = []
    room = 0
    for window in windows:
        size = window.end - window.start
        if size > room:
            if len(rows) == sequences:
                yield _batch(tokens, rows, length, before)
                rows = []
            rows.append([])
            room = length
        rows[-1].append(window)
        room -= size
    if rows:
        yield _batch(tokens, rows, length, before)


def _batch(tokens: Sequence[Ints], rows: Sequence[Sequence[TextWindow]], length: int, before: int) -> WindowBatch:
    shape = (len(rows), length)
    inputs, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    segments = np.zeros(shape, np.int32)
    texts = np.full(shape, PADDING, np.int64)
    real = np.zeros(shape, np.bool_)
    for row, windows in enumerate(rows):
        at = 0
        for number, (text, start, first, end) in enumerate(windows):
            ids, last = tokens[text], at + end - start
            targets[row, at:last] = ids[start:end]
            inputs[row, at] = ids[start - 1] if start else before
            inputs[row, at + 1 : last] = ids[start : end - 1]
            segments[row, at:last] = number
            texts[row, at + first - start : last] = text
            at = last
        real[row, :at] = True
        segments[row, at:] = len(windows)
    return WindowBatch(inputs, targets, segments, texts, real)
