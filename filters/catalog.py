"""The catalog of all signals and edits by name: the one place where the tables of all groups are concatenated.

URL signals that need lists are made by `url.signals(lists)`; their names are in the catalog, and their values are null
until lists are given. RedPajama's signals that need lists are measured by a label step.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from filters import (
    basics,
    broken,
    c4,
    ccnet,
    chinese,
    dclm,
    edits,
    fineweb,
    gopher,
    pii,
    redpajama,
    refinedweb,
    scripts,
    signal,
    stopwords,
    url,
)
from filters.edits import Edit
from filters.signal import Signal
from filters.view import View

Entry = TypeVar("Entry")


def _by_name(kind: str, entries: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    table: dict[str, Entry] = {}
    for name, entry in entries:
        assert name not in table, f"two {kind}s are called {name}"
        table[name] = entry
    return table


SIGNALS: dict[str, Signal] = _by_name(
    "signal",
    (
        (each.name, each)
        for group in (
            basics.SIGNALS,
            stopwords.SIGNALS,
            scripts.SIGNALS,
            gopher.SIGNALS,
            dclm.SIGNALS,
            refinedweb.SIGNALS,
            c4.SIGNALS,
            fineweb.SIGNALS,
            redpajama.SIGNALS,
            broken.SIGNALS,
            chinese.SIGNALS,
            url.signals(url.UrlLists()),
        )
        for each in group
    ),
)
EDITS: dict[str, Edit] = _by_name("edit", (*edits.EDITS, *pii.EDITS, *refinedweb.EDITS, *c4.EDITS, *ccnet.EDITS))


def signals(names: Iterable[str], lists: url.UrlLists | None = None) -> list[Signal]:
    """Returns the named signals, bound to `lists` if given. Raises ValueError for an unknown name."""
    bound = {each.name: each for each in url.signals(lists)} if lists else {}
    return [bound.get(name) or _find("signal", name, SIGNALS) for name in names]


def edit(name: str) -> Edit:
    """Returns the named edit. Raises ValueError for an unknown name."""
    return _find("edit", name, EDITS)


def measure(view: View, names: Iterable[str], lists: url.UrlLists | None = None) -> dict[str, float | None]:
    """Measures the named signals on one view, the cheapest first. Raises ValueError for an unknown name."""
    return signal.measure(view, signals(names, lists))


def _find(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=3, cutoff=0.5)
    hint = f"; similar names: {', '.join(near)}" if near else ""
    raise ValueError(f"there is no {kind} {name!r}{hint}")
