"""The scripts of a text: the share of each among its letters.

Ranges are Unicode's blocks, coarse on purpose: one search over sorted bounds handles every script.
"""

from functools import partial

import numpy as np

from filters.characters import ALPHA, places
from filters.signal import Signal
from filters.view import View

# First and last code point of the blocks that hold each script's letters (The Unicode Standard, Blocks.txt).
SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "latin": ((0x41, 0x24F), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xFF21, 0xFF5A)),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "hebrew": ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
    "arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFE)),
    "devanagari": ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
    "thai": ((0xE00, 0xE7F),),
    "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F)),
    "han": ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x33FFF)),
}


def shares(view: View) -> dict[str, float]:
    """Script -> its share of the text's letters (0..1); empty if there are no letters. Unlisted scripts are left
    out."""
    letters = view.codes.take(places(view.flags, ALPHA))
    if not letters.size:
        return {}
    ranges = sorted((first, last + 1, name) for name, blocks in SCRIPTS.items() for first, last in blocks)
    bounds = np.array([bound for first, after, _ in ranges for bound in (first, after)], np.uint32)
    # Odd positions are between a block's first code point and the one after its last.
    hits = np.bincount(bounds.searchsorted(letters, side="right"), minlength=bounds.size + 1)
    found = dict.fromkeys(SCRIPTS, 0)
    for index, (_, _, name) in enumerate(ranges):
        found[name] += int(hits[2 * index + 1])
    return {name: count / letters.size for name, count in found.items()}


def share(view: View, script: str) -> float | None:
    return view.once(shares).get(script)


SIGNALS = tuple(
    Signal(f"{name}_fraction", partial(share, script=name), 40, "Unicode blocks", "of letters, 0..1")
    for name in SCRIPTS
)
