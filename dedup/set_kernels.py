"""The inner loop of verification, compiled as in `kernels.py` (which says what to keep in mind)."""

import numpy as np

from dedup.kernels import Offsets, compiled
from dedup.tables import Hashes

_ONE, _NOTHING = np.uint64(1), np.uint64(0)
# A set of more values is sorted: a table for it would take 32 bytes a value.
_MOST_IN_TABLE = 1 << 20


@compiled
def shared_counts(sets: Hashes, ends: Offsets, owners: Offsets) -> Offsets:
    """For each set the number of values that it has in common with the set `owners[i]`; 0 where that is -1.

    Set i is `sets[ends[i]:ends[i + 1]]`: distinct values, in any order. Sets of one owner should follow each other:
    a table of the owner's is made once for them.
    """
    shared = np.zeros(owners.size, np.int64)
    largest = 0
    for i in range(owners.size):
        if owners[i] >= 0:
            largest = max(largest, ends[owners[i] + 1] - ends[owners[i]])
    room = 16
    while room < 2 * min(largest, _MOST_IN_TABLE):
        room *= 2
    slots = np.zeros(room, np.uint64)
    table, mask, zero, ordered = slots, _NOTHING, False, sets[:0]
    last = -1
    for i in range(owners.size):
        owner = owners[i]
        if owner < 0:
            continue
        own, mine = sets[ends[owner] : ends[owner + 1]], sets[ends[i] : ends[i + 1]]
        if owner != last:
            last, zero = owner, False
            if own.size > _MOST_IN_TABLE:
                ordered = np.sort(own)
            else:
                room = 16
                while room < 2 * own.size:
                    room *= 2
                table, mask = slots[:room], np.uint64(room - 1)
                table[:] = _NOTHING
                for value in own:
                    zero |= value == _NOTHING  # which stands for an empty place
                    place = value & mask
                    while table[place] != _NOTHING:
                        place = (place + _ONE) & mask
                    table[place] = value
        count = 0
        if own.size > _MOST_IN_TABLE:
            for value in mine:
                found = np.searchsorted(ordered, value)
                count += found < ordered.size and ordered[found] == value
        else:
            for value in mine:
                place = value & mask
                while table[place] != _NOTHING and table[place] != value:
                    place = (place + _ONE) & mask
                count += zero if value == _NOTHING else table[place] == value
        shared[i] = count
    return shared
