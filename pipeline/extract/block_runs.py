"""Runs of elements made alike: the cards of a list, the rows of a table, the posts of a forum, whatever they hold.

A run is three or more elements of one path in one container. A block belongs to the innermost run around it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

MIN_ITEMS: Final = 3


def runs_of(outer: Sequence[int], alike: Sequence[tuple[int, int]]) -> list[int]:
    """For each item by its number the innermost run around it, itself included; 0 for none, as for the number 0.

    `outer`: of each item, from the number 1, that of the item around it (0: none); `alike`: its container and path.
    """
    runs = {each: number for number, (each, count) in enumerate(Counter(alike).items(), 1) if count >= MIN_ITEMS}
    found = [0]
    for around, each in zip(outer, alike, strict=True):  # an item comes after the one around it
        found.append(runs.get(each) or found[around])
    return found
