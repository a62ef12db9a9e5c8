"""Documents a second of all of Gopher's, C4's, FineWeb's and RefinedWeb's signals, beside datatrove's filters.

    python -m benchmarks signals_speed --texts pages.jsonl.gz [--limit 500] [--peer-python VENV/bin/python]

With `--peer-python` datatrove's four filters judge the same texts in the same run, sharing its cache of words as they
do in one pipeline. Datatrove stops at the first failing rule; here every signal is measured. CPU seconds of one thread.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks.shared import add, ask_peer, cpu_seconds, megachars, read_texts
from filters import c4, fineweb, gopher, refinedweb
from filters.signal import Signal, measure
from filters.view import View

C4_NEEDS: Final = ("c4_sentences", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines")
GROUPS: Final[dict[str, tuple[Signal, ...]]] = {
    "gopher": gopher.SIGNALS,
    "c4": tuple(signal for signal in c4.SIGNALS if signal.name in C4_NEEDS),
    "fineweb": fineweb.SIGNALS,
    "refinedweb": refinedweb.SIGNALS,
}
ALL: Final = "all"


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", "--peer-python")


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(args.texts, args.limit)

    def rate(signals: Sequence[Signal]) -> float:
        return len(texts) / cpu_seconds(lambda text: measure(View(text), signals), texts)

    every = [signal for group in GROUPS.values() for signal in group]
    found: dict[str, Any] = {
        "texts": len(texts),
        "megachars": megachars(texts),
        "signals": len(every),
        "per_second": {ALL: rate(every), **{name: rate(group) for name, group in GROUPS.items()}},
    }
    if args.peer_python:
        (seconds,) = ask_peer(args.peer_python, "speed", ({"text": text} for text in texts))
        found["datatrove_per_second"] = {name: len(texts) / spent for name, spent in seconds.items()}
        found["ratio"] = found["per_second"][ALL] / found["datatrove_per_second"]["all four"]
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']} texts, {found['megachars']:.1f} M characters, {found['signals']} signals; texts a second:"
    for name, rate in found["per_second"].items():
        yield f"{name:27} {rate:8,.0f}"
    for name, rate in found.get("datatrove_per_second", {}).items():
        yield f"datatrove {name:17} {rate:8,.1f}"
    if "ratio" in found:
        yield f"ratio, all groups against all four filters: {found['ratio']:.1f}"
