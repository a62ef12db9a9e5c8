"""Fits the prefilter's quality: what the signals of a page's cheap text tell of the quality of its main text.

    refinery run --recipe cheap.toml --input CRAWL/*.warc.gz --out cheap     # all pages, by strip_tags with `unlinked`
    refinery measure --recipe yi --input cheap --out measured
    refinery run --recipe yi --set extract.audit=1 --input CRAWL/*.warc.gz --out all
    python -m benchmarks prefilter_fit --cheap measured --all all --language en --out prefilter-quality-en.json

A linear regression, over the pages of the language, of the logit of the quality that a page has in the end on the
logits of the signals below, written as a combination. For bounds on it: how many pages pass, and how many are lost of
what the keep rate keeps of all pages, and of the best 15 % by quality.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grades import logits
from benchmarks.measured import check_measured, measured_rows
from benchmarks.rows import check_folders, check_language
from benchmarks.shared import add
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.models.combination import Combination, Term
from pipeline.text_table import table

SIGNALS = {"en": ("bag_of_words", "grade", "well_written"), "zh": ("bag_of_words", "grade", "coherent", "reference")}
POINTS = (0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97, 0.99)
BEST = 0.15
LEAST_CHARACTERS = 300
# As many as have one page among the best.
LEAST_PAGES = math.ceil(1 / BEST)
BOUNDS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.725, 0.75, 0.775, 0.8, 0.85)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cheap", type=Path, required=True, help="the signals of the cheap texts")
    parser.add_argument("--all", type=Path, required=True, help="a run of yi that let every page through its prefilter")
    parser.add_argument("--language", choices=sorted(SIGNALS), required=True)
    add(parser, "--out", help="write the combination")


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["file_path"], row["warc_offset"], row["member_record"]


def stage(run: Path, name: str) -> Dataset:
    found = sorted(run.glob(f"[0-9]*-{name}/manifest.json"))
    if not found:
        raise UsageError(f"{run} has no stage {name!r}: give a whole run of yi")
    return Dataset(found[0].parent)


def cheap_pages(folder: Path, columns: Sequence[str], language: str) -> list[dict[str, Any]]:
    """The pages of this language that are long enough. UsageError where there is none, or none with a signal."""
    names = SIGNALS[language]
    rows = measured_rows(folder, [*columns, "language"], ["characters", *names])
    check_language([folder], [str(row["language"]) for row in rows], language)
    found = [
        row for row in rows if row["language"] == language and (row["signals"]["characters"] or 0) >= LEAST_CHARACTERS
    ]
    if not found:
        raise UsageError(f"no page of {folder} in {language!r} has {LEAST_CHARACTERS} characters: give more pages")
    check_measured(f"pages of {folder} in {language!r}", found, names)
    return found


def run(args: argparse.Namespace) -> dict[str, Any]:
    columns = ["file_path", "warc_offset", "member_record"]
    check_folders(args.out)
    names = SIGNALS[args.language]
    cheap = cheap_pages(args.cheap, columns, args.language)
    kept = {place(row) for row in stage(args.all, "keep-rate").to_arrow(columns).to_pylist()}
    reached = measured_rows(stage(args.all, "clusters").folder, columns, ["quality"])
    quality = {place(row): row["signals"]["quality"] for row in reached}
    signals = logits(np.array([[row["signals"][name] for name in names] for row in cheap], float))
    final = np.array([quality.get(place(row), np.nan) for row in cheap], float)
    known = ~np.isnan(final) & ~np.isnan(signals).any(axis=1)
    if known.sum() < LEAST_PAGES or np.ptp(final[known]) == 0:
        raise UsageError(
            f"of {len(cheap)} pages of {args.cheap} in {args.language!r}, {known.sum()} have a quality in {args.all}: "
            f"{LEAST_PAGES} of different quality are needed; make both folders of the same archives"
        )
    every = np.column_stack([np.ones(known.sum()), signals[known]])
    intercept, *weights = np.linalg.lstsq(every, logits(final[known]), rcond=None)[0]
    combination = Combination(
        round(float(intercept), 3), tuple(curve(name, float(weight)) for name, weight in zip(names, weights))
    )
    if args.out:
        write_bytes(args.out, combination.as_text().encode())
    # a signal that is null adds nothing, as in the combination
    told = intercept + np.nan_to_num(signals) @ np.array(weights)
    is_kept = np.array([place(row) in kept for row in cheap])
    best = np.argsort(-np.nan_to_num(final, nan=-1.0), kind="stable")[: int(BEST * len(cheap))]
    return {
        "pages": len(cheap),
        "kept": int(is_kept.sum()),
        "correlation": round(float(np.corrcoef(told[known], logits(final[known]))[0, 1]), 3),
        "bounds": [
            {"bound": bound, "pass": int((told >= margin).sum()), "kept lost": int((told[is_kept] < margin).sum()),
             "best lost": round(float((told[best] < margin).mean()), 3)}
            for bound in BOUNDS for margin in [float(logits(np.array(bound)))]
        ],
    }  # fmt: skip


def curve(name: str, weight: float) -> Term:
    added = tuple(round(weight * float(each), 3) for each in logits(np.array(POINTS)))
    return Term(name, POINTS, added)


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['pages']:,} pages, {found['kept']} kept; correlation of logits {found['correlation']}"
    columns = list(found["bounds"][0])
    yield table([{name: str(row[name]) for name in columns} for row in found["bounds"]], columns)
