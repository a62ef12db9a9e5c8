"""RedPajama-V2's signals that need something handed in: a folder of lists and tables, opened.

    bad_words/XX.txt       entries of one word or several, one a line, for the language XX (LDNOOBW's lists)
    ut1/CATEGORY/domains   host names, one a line: the layout in which UT1 is published
    importance/NAME.json   what `refinery fit importance` makes; NAME is wikipedia, books or openwebtext

Each may be missing, and its signals are null then; a rule on a signal whose list is missing is refused.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from math import comb, isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from filters.importance import Importance
from filters.redpajama import IMPORTANCE_TARGETS, LISTED, Lists, signals, word_list
from filters.signal import measure
from filters.view import View
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.models.scorer import Measure, Scorer

BAD_WORDS, UT1, IMPORTANCE = "bad_words/*.txt", "ut1/*/domains", "importance/{}.json"
# What each signal is measured with.
FILES = {"rps_doc_ldnoobw_words": BAD_WORDS, "rps_doc_ut1_blacklist": UT1} | {
    f"rps_doc_{target}_importance{suffix}": IMPORTANCE.format(target)
    for target in IMPORTANCE_TARGETS
    for suffix in ("", "_length_correction")
}


class Categories(Mapping[str, int]):
    """host → number, by sorted 64-bit hashes (xxh3): UT1's millions of hosts in 16 bytes each. A name that is not there
    passes for one that is with probability n / 2**64."""

    def __init__(self, hashes: npt.NDArray[np.uint64], numbers: npt.NDArray[np.float64]) -> None:
        self._hashes, self._numbers = hashes, numbers

    def __getitem__(self, host: str) -> int:
        value = np.uint64(xxhash.xxh3_64_intdigest(host.encode("utf-8", "replace")))
        at = int(self._hashes.searchsorted(value))
        if at == len(self._hashes) or self._hashes[at] != value:
            raise KeyError(host)
        return int(self._numbers[at])

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("hashed host names cannot be listed")


def load_redpajama(path: Path) -> Callable[[View], Mapping[str, float | None]]:
    """View → its signals by name, with what the folder `path` has. UsageError for a list that cannot be read."""
    bound = signals(Lists(_bad_words(path), _categories(path), _tables(path)))
    return lambda view: measure(view, bound)


def check_lists(path: Path) -> None:
    """UsageError when the folder `path` has no list, or a damaged one."""
    if not any(any(path.glob(files)) for files in FILES.values()):
        raise UsageError(f"{path} holds none of {', '.join(sorted(set(FILES.values())))}: put the lists there")
    _bad_words(path)
    _tables(path)  # UT1's lists take seconds, and may hold any bytes


def check_signals(path: Path, names: Collection[str]) -> None:
    """UsageError when the folder `path` has not the list of one of these signals."""
    for name, files in sorted(FILES.items()):
        if name in names and not any(path.glob(files)):
            raise UsageError(f"signal {name!r} is measured with {path / files}, which is not there: {_advice(name)}")


def _advice(name: str) -> str:
    return "run `refinery fit importance`" if name.rpartition("_importance")[1] else "put the list there"


def _bad_words(path: Path) -> dict[str, frozenset[str]]:
    found = {}
    for file in sorted(path.glob(BAD_WORDS)):
        try:
            found[file.stem] = word_list(file.read_text("utf-8").split("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read as UTF-8 with one entry a line: {error}") from None
    return found


def _categories(path: Path) -> Mapping[str, int]:
    """Numbered as RedPajama does (artifacts/update_resources.py): each set of categories that a host may be in has a
    number, the smaller sets first, sets of one size in the order of their names."""
    # A link is another name of a category, in UT1 as it is published.
    files = sorted(file for file in path.glob(UT1) if not file.parent.is_symlink())
    parts = [_hosts(file) for file in files]
    if not parts:
        return {}
    owner = np.repeat(np.arange(len(parts)), [part.size for part in parts])
    hashes = np.concatenate(parts)
    order = np.argsort(hashes, kind="stable")
    hashes, owner = hashes[order], owner[order]
    firsts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))[: hashes.size]
    counts = np.diff(firsts, append=hashes.size)
    numbers = owner[firsts].astype(np.float64)
    for i in np.flatnonzero(counts > 1).tolist():
        numbers[i] = combination_number(owner[firsts[i] : firsts[i] + counts[i]].tolist(), len(parts))
    return Categories(hashes[firsts], numbers)


def _hosts(file: Path) -> npt.NDArray[np.uint64]:
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    names = (name for line in lines if (name := line.strip().lower().removeprefix(b"www.")))
    return np.unique(np.fromiter(map(xxhash.xxh3_64_intdigest, names), np.uint64))


def combination_number(members: list[int], of: int) -> int:
    """The place of a set of `members` (rising numbers below `of`) among all sets that are not empty: the smaller first,
    those of one size as itertools.combinations gives them."""
    size = len(members)
    number = sum(comb(of, smaller) for smaller in range(1, size))
    for i, (before, member) in enumerate(zip([-1, *members], members)):
        number += sum(comb(of - 1 - skipped, size - 1 - i) for skipped in range(before + 1, member))
    return number


def _tables(path: Path) -> dict[str, Importance]:
    files = {target: path / IMPORTANCE.format(target) for target in IMPORTANCE_TARGETS}
    return {target: load_importance(file) for target, file in files.items() if file.is_file()}


def load_importance(path: Path) -> Importance:
    """A table of `refinery fit importance`; UsageError for any other file."""
    content = read_json(path)
    try:
        lengths = [float(content[name]) for name in ("target_length", "source_length")]  # type: ignore[index]
        ratio = np.array(content["log_ratio"], np.float64)  # type: ignore[index]
        whole = ratio.ndim == 1 and ratio.size > 0 and bool(np.isfinite(ratio).all())
        whole = whole and all(isfinite(length) and length > 0 for length in lengths)
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise UsageError(f"{path} is not a table of importance: run `refinery fit importance` again")
    return Importance(ratio, *lengths)


def _open(path: Path) -> Measure:
    measured = load_redpajama(path)
    return lambda document: measured(document.view)


SCORER = Scorer("redpajama", {name: signal.doc for name, signal in LISTED.items()}, _open, check_lists, check_signals)
