"""The inner loop of verification, compiled (`compiled.py` says what to keep in mind)."""

import numpy as np

from dedup.kernels import Offsets
from dedup.tables import Hashes
from infra.compiled import compiled

_ONE, _NOTHING = np.uint64(1), np.uint64(0)


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
    places = 16
    while places < 2 * largest:
        places *= 2
    slots = np.empty(places, np.uint64)
    table, mask, zero, last = slots, _NOTHING, False, -1
    for i in range(owners.size):
        owner = owners[i]
        if owner < 0:
            continue
        if owner != last:
            own, last, zero = sets[ends[owner] : ends[owner + 1]], owner, False
            places = 16
            while places < 2 * own.size:
                places *= 2
            table, mask = slots[:places], np.uint64(places - 1)
            table[:] = _NOTHING
            for value in own:
                zero |= value == _NOTHING  # which stands for an empty place
                place = value & mask
                while table[place] != _NOTHING:
                    place = (place + _ONE) & mask
                table[place] = value
        count = 0
        for value in sets[ends[i] : ends[i + 1]]:
            place = value & mask
            while table[place] != _NOTHING and table[place] != value:
                place = (place + _ONE) & mask
            count += zero if value == _NOTHING else table[place] == value
        shared[i] = count
    return shared
