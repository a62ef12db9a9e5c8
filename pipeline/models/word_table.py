"""Tables of words: a word a line with its inverse document frequency and its weights, tab-separated text to read.

The first line names the format, the number of words, and each column of weights with its intercept:

    refinery.reference/1	words=2000	code=-5.3943	dialogue=-4.2441
    0	1.202	-0.46	3.01
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite, log
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError

SUFFIX = ".tsv"
LARGEST = 1e6  # of any number in a table
TABLED = 1_000  # counts whose logarithms are kept


@dataclass(frozen=True)
class WordTable:
    """`intercepts`: column of weights → intercept; `words`, sorted; `idf`: the inverse document frequency of each;
    `weights`: a column for each intercept, a number for each word."""

    intercepts: Mapping[str, float]
    words: Sequence[str]
    idf: Sequence[float]
    weights: Sequence[Sequence[float]]

    def as_text(self, form: str) -> str:
        """The file's content; `form`: the format's name."""
        assert all(name and name.isprintable() for name in self.intercepts), list(self.intercepts)
        columns = [f"{name}={intercept!r}" for name, intercept in self.intercepts.items()]
        rows = [[word, *map(repr, numbers)] for word, *numbers in zip(self.words, self.idf, *self.weights, strict=True)]
        lines = [[form, f"words={len(rows)}", *columns], *rows]
        return "".join("\t".join(line) + "\n" for line in lines)


def read_word_table(path: Path, form: str, advice: str, *columns: str) -> WordTable:
    """The table in the file at `path`. UsageError, which ends in `advice`, when it is not a whole table of this format:
    one that is cut, not sorted, has other columns than those given, or holds what is no number to work with."""
    try:
        table = parse_word_table(path.read_bytes().decode(), form)
        if columns and list(table.intercepts) != list(columns):
            raise ValueError(list(table.intercepts))
        return table
    except (OSError, ValueError):
        raise UsageError(f"{path} is no {form} model: {advice}") from None


def parse_word_table(content: str, form: str) -> WordTable:
    """ValueError where `content` is not a whole table."""
    head, _, body = content.partition("\n")
    lines = body.split("\n")
    name, count, *columns = head.split("\t")
    if name != form or not columns or lines.pop() or count != f"words={len(lines)}":
        raise ValueError(head)
    intercepts = {kind: float(value) for kind, _, value in (column.rpartition("=") for column in columns)}
    width = 2 + len(columns)
    # as columns: a third of the time of a row at a time
    fields = body.replace("\n", "\t").split("\t")[:-1]
    words = fields[::width]
    idf, *weights = [list(map(float, fields[place::width])) for place in range(1, width)]
    whole = len(intercepts) == len(columns) and all(line.count("\t") == width - 1 for line in lines)
    rising = words == sorted(words) and len(set(words)) == len(words)
    sound = all(map(are_numbers, (intercepts.values(), idf, *weights))) and min(idf, default=1.0) > 0.0
    if not (whole and rising and sound):
        raise ValueError(head)
    return WordTable(intercepts, words, idf, weights)


def are_numbers(values: Collection[float]) -> bool:
    """Whether all are numbers of a usable size; the sum shows what is not a number."""
    return not values or (isfinite(sum(values)) and min(values) > -LARGEST and max(values) < LARGEST)


@cache
def _tabled() -> npt.NDArray[np.float64]:
    """1 + log(count) by count, up to TABLED."""
    return np.array([0.0, *(1.0 + log(count) for count in range(1, TABLED))])


def term_frequencies(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """1 + log(count) of each count, float64[counts]."""
    if counts.max(initial=0) < TABLED:
        return _tabled().take(counts)
    return np.array([1.0 + log(count) for count in counts.tolist()])
