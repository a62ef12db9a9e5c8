"""The guard against contamination: how many of the held-out documents are in the training text too.

A document is taken for one that was trained on when a tenth of its runs of 13 words (`filters/contamination.py`) or
more are in the training text, wherever they stand in it; lists of numbers and refrains are no runs.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from filters.contamination import Hashes, runs_of_item, table

MIN_SHARE = 0.1


class TrainingOverlap:
    """Some texts, and which of their runs the training texts have that `see` was given."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._runs = [runs_of_item([text]) for text in texts]
        self._table = table(self._runs, [""] * len(texts))
        self._seen: list[Hashes] = []
        self._pending = 0

    def see(self, text: str) -> None:
        found = self._table.hashes_in(text)
        if found.size:
            self._seen.append(found)
            self._pending += found.size
            if self._pending > 2 * self._table.hashes.size + 4096:
                self._seen, self._pending = [self._union()], 0

    def _union(self) -> Hashes:
        return np.unique(np.concatenate([*self._seen, np.empty(0, np.uint64)]))

    def shares(self) -> npt.NDArray[np.float64]:
        """Of each text, the share of its runs that were seen, 0 to 1, shape (texts,); 0 for one too short for a run."""
        seen = self._union()
        return np.array([float(np.isin(runs, seen).mean()) if runs.size else 0.0 for runs in self._runs])
