"""Runs of elements made alike: the cards of a list, the rows of a table, the posts of a forum, whatever they hold.

A run is three or more elements of one path in one container. A block belongs to the innermost run around it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

MIN_ITEMS: Final = 3

# An element that may be an item of a run: the number, from 1, of the one around it (0: none), its container and path.
Item = tuple[int, tuple[int, int]]


def runs_of(items: Sequence[Item]) -> list[int]:
    """For each item by its number the innermost run around it, itself included; 0 for none, as for the number 0."""
    counts = Counter([alike for _, alike in items])
    runs = {alike: number for number, (alike, count) in enumerate(counts.items(), 1) if count >= MIN_ITEMS}
    found = [0]
    for outer, alike in items:  # an item comes after the one around it
        found.append(runs.get(alike) or found[outer])
    return found
