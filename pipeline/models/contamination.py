"""The index of benchmarks (`refinery fit benchmarks`), opened; what is not a whole index is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from filters.contamination import Hits, Runs
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.document import Document
from pipeline.models.scorer import Measure, Scorer

# So many items of benchmarks are named in the ledger.
MAX_ITEMS = 8
INDEX, INDEX_ITEMS = "index.json", "items.txt"
INDEX_ARRAYS = {"runs.u64": "<u8", "starts.u32": "<u4", "items.u32": "<u4"}


def load_contamination(path: Path) -> Callable[[str], Hits]:
    """text → what it shares with the benchmarks in folder `path` (`refinery fit benchmarks`)."""
    about = read_json(path / INDEX)
    try:
        hashes, starts, items = (np.fromfile(path / name, np.dtype(kind)) for name, kind in INDEX_ARRAYS.items())
        names = tuple((path / INDEX_ITEMS).read_text("utf-8").split("\n")[:-1])
        lengths = tuple(int(length) for length in about["lengths"])  # type: ignore[index]
        whole = len(starts) == len(hashes) + 1 and int(starts[-1]) == len(items) and 0 < min(lengths) <= max(lengths)
        whole = whole and bool((hashes[1:] > hashes[:-1]).all()) and bool((starts[1:] >= starts[:-1]).all())
        whole = whole and max(lengths) < 16 and (not items.size or int(items.max()) < len(names))
    except (OSError, UnicodeDecodeError, TypeError, KeyError, ValueError, IndexError):
        whole = False
    if not whole:
        raise UsageError(f"{path} is not a whole index of benchmarks: run `refinery fit benchmarks` again")
    return Runs(hashes, starts, items, names, lengths).find


def _open(path: Path) -> Measure:
    find = load_contamination(path)

    def measure(document: Document) -> dict[str, float | None]:
        found = find(document.plain)
        document.evidence["contamination"] = ", ".join(found.items[:MAX_ITEMS])
        return {"contamination": found.share}

    return measure


SCORER = Scorer(
    "contamination",
    {"contamination": "share of the words inside runs of words that a benchmark has too, 0 to 1"},
    _open,
)
