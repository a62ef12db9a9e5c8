"""Extraction on the test pages of Mozilla's Readability. The block network was fitted on 35 of the 130 too.

    python -m benchmarks readability --folder readability/test/test-pages --engine blocks --engine trafilatura

`--folder` has a folder for each page with `source.html` and `expected.html`, as in that project's repository. The
expected text is all that the latter shows; F1 is that of bags of words. `--worst` lists the pages of the lowest F1 of
the first engine.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.gold import GoldText, Score, score_text
from benchmarks.labelled import extract_timed
from benchmarks.shared import add, markdown
from infra.errors import UsageError
from pipeline.extract.extractors.all_text import AllTextOptions, all_text


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, required=True, help="a folder for each page")
    add(parser, "--engine")
    parser.add_argument("--worst", type=int, default=10, help="so many pages of the lowest F1")


def run(args: argparse.Namespace) -> dict[str, Any]:
    folders = sorted(path.parent for path in args.folder.glob("*/source.html"))
    if not folders:
        raise UsageError(f"{args.folder} has no NAME/source.html: give the folder test/test-pages of the project")
    bodies = [(folder / "source.html").read_bytes() for folder in folders]
    golds = [
        GoldText(all_text((folder / "expected.html").read_text(), "", AllTextOptions(title=False)).text, "", (), ())
        for folder in folders
    ]
    engines = {}
    for word in args.engine or ["blocks"]:
        texts, seconds = extract_timed(word, ((body, "utf-8", "") for body in bodies))
        scores = [score_text(text, gold) for text, gold in zip(texts, golds, strict=True)]
        engines[word] = {
            **{name: round(fmean(getattr(score, name) for score in scores), 4) for name in Score._fields},
            "cpu_ms_per_page": round(1000 * seconds / len(folders), 2),
            "pages": {folder.name: round(score.f1, 3) for folder, score in zip(folders, scores, strict=True)},
        }
    return {"pages": len(folders), "worst": args.worst, "engines": engines}


def show(found: dict[str, Any]) -> Iterator[str]:
    engines = found["engines"]
    columns = (*Score._fields, "cpu_ms_per_page")
    yield from markdown(["engine", *columns], ([word, *map(row.get, columns)] for word, row in engines.items()))
    first = next(iter(engines.values()))["pages"]
    yield ""
    worst = sorted(first, key=lambda name: first[name])[: found["worst"]]
    yield from markdown(
        ["page", *engines], ([name, *(row["pages"][name] for row in engines.values())] for name in worst)
    )
