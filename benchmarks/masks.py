"""What the masks of personal data find in texts, how often, and how fast they read.

    python -m benchmarks masks --texts texts.jsonl.gz … [--show 20]

`--show` prints so many of the changed lines of each mask, drawn with a fixed seed, for a person to judge: a telephone
number, or something that looks like one? Times are CPU seconds of one thread.
"""

import argparse
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.shared import add, cpu_seconds, megachars, read_texts
from filters.pii import PARTS


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", help="texts of each file")
    parser.add_argument("--show", type=int, default=0, help="changed lines of each mask to print")


def changed_lines(before: str, after: str) -> list[str]:
    """The lines that differ, as they were; masks neither hold nor replace line ends."""
    return [old.strip() for old, new in zip(before.split("\n"), after.split("\n"), strict=True) if old != new]


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(args.texts, args.limit)
    size = megachars(texts)
    masks = {}
    for name, change in PARTS:
        speed = size / cpu_seconds(change, texts)
        pairs = [(text, *change(text)) for text in texts]
        count = sum(number for *_, number in pairs)
        lines = [line for old, new, number in pairs if number and args.show for line in changed_lines(old, new)]
        drawn = random.Random(0).sample(lines, min(args.show, len(lines)))
        masks[name] = {"found": count, "per_megachar": count / size, "megachars_per_second": speed, "lines": drawn}
    return {"texts": len(texts), "megachars": size, "masks": masks}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']:,} texts, {found['megachars']:.1f} M characters"
    for name, row in found["masks"].items():
        rate, speed = row["per_megachar"], row["megachars_per_second"]
        yield f"{name:18} {row['found']:7,} = {rate:8.2f} a million characters, {speed:5.1f} M characters/s"
        yield from (f"     {line[:160]}" for line in row["lines"])
