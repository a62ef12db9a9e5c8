"""What the masks find in texts, how often, and how fast they read.

    python -m benchmarks.masks texts.jsonl.gz ... [--field text] [--show 20]

`--show` prints so many of the changed lines of each mask, drawn with a fixed seed, for a person to judge: a telephone
number, or something that looks like one? Times are CPU seconds of one thread.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.filters_speed import read_texts
from filters.pii import PARTS


def changed_lines(before: str, after: str) -> Iterator[str]:
    """The lines that differ, as they were; masks neither hold nor replace line ends."""
    for old, new in zip(before.split("\n"), after.split("\n"), strict=True):
        if old != new:
            yield old.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, nargs="+", help="JSONL, also .gz")
    parser.add_argument("--field", default="text")
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    texts = [text for path in sorted(options.inputs) for text in read_texts(path, options.field, None)]
    characters = sum(map(len, texts))
    print(f"{len(texts):,} texts, {characters / 1e6:.1f} M characters")
    for name, change in PARTS:
        lines: dict[str, list[str]] = defaultdict(list)
        found = 0
        begin = time.process_time()
        for text in texts:
            after, count = change(text)
            found += count
            if count and options.show:
                lines[name] += changed_lines(text, after)
        seconds = time.process_time() - begin
        rate, speed = found / characters * 1e6, characters / seconds / 1e6
        print(f"{name:18} {found:7,} = {rate:8.2f} a million characters, {speed:5.1f} M characters/s")
        for line in random.Random(0).sample(lines[name], min(options.show, len(lines[name]))):
            print("    ", line[:160])


if __name__ == "__main__":
    main()
