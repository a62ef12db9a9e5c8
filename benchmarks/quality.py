"""How well each scorer tells clean texts from random pages of a crawl, and judged pages from each other.

    python -m benchmarks quality --clean TEXTS --pages CRAWL/*.warc.gz --index index.jsonl.gz [--models DIR]
        [--good GOOD.jsonl --other OTHER.jsonl] [--clean-share .62] [--per-source 24] [--crawl 1200] [--recipe yi]

Positives are clean texts, rendered as pages (`benchmarks/clean_pages.py`); negatives are pages of the crawl, chosen by
hash. Both go through the recipe's last extractor. For each axis (IQ, EQ, code) and language the two sides are matched
in length: equally many in every class of words, a class being a quarter wide; "length alone" shows what is left of it.
Beside the AUC stands the share of an axis' texts (of all lengths) that score above 95 % of the crawl's pages.

Sources (files of texts, collections of the crawl: what the index's `id` begins with) are split into two halves. What
is fitted is fitted on one half and tested on the other; every figure is the mean of the two. A scorer is
  fixed     as the models have it: what it was fitted on may be among these texts and pages;
  refitted  on the sources of the training half alone, through the functions of `refinery fit`.

`--good`, `--other`: pages that people judged (`text`; `source`: the collection, as in the index; `id`, where what
follows `#` tells texts of one page apart: one of them is taken). With them the recipe's classifier and combination
are refitted as they were made, and all scorers are measured on those pages too, each page by models that have not seen
its collection. `--clean-share` says how many clean texts both fits take for references, for each good page (in the
combination their bag-of-words score is that of models that have not seen their source).
"""

import argparse
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.clean_pages import axis_of, size
from benchmarks.quality_rows import (
    CRAWL,
    LANGUAGES,
    Row,
    Scorer,
    combinations,
    fixed_scorers,
    measure_clean,
    measure_crawl,
    measure_judged,
    open_meter,
    table,
)
from benchmarks.shared import add, markdown
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.fit.bag_of_words import cross_fitted, fit_bag_of_words
from pipeline.fit.combination import Rows, Shape, fit_curves, held_out_scores, scores
from pipeline.fit.quality import quality_from
from pipeline.fit.texts import Sample, auc, stable_hash
from pipeline.models.bag_of_words import BagOfWords
from pipeline.models.combination import Combination
from pipeline.models.quality import load_quality
from pipeline.models.store import model_folder
from pipeline.revise.measure import last_extract
from pipeline.steps.combine import Combine
from pipeline.steps.extract import Extract

CLASS_WIDTH: Final = 1.25
QUALITY_BIN: Final = "quality.bin"
# The curves that may only rise, or only fall, and what is held constant, in the shipped combinations (docs/models.md).
LENGTH: Final = "words"
SHAPE: Final = Shape(
    frozenset({LENGTH, "bag_of_words"}),
    frozenset({"perplexity", "top_3_gram_character_fraction", "digit_fraction"}),
    frozenset({LENGTH}),
)
# A recipe as strict as ours keeps so much of a crawl.
KEPT_OF_CRAWL: Final = 0.05


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--clean", "--pages", "--index", required=True)
    add(parser, "--models")
    add(parser, "--recipe", action="store", default="yi", help="a shipped recipe or a file")
    parser.add_argument("--good", nargs="*", type=Path, default=[], help="pages that were judged good (JSONL)")
    parser.add_argument("--other", nargs="*", type=Path, default=[], help="pages that were judged not good (JSONL)")
    parser.add_argument("--clean-share", type=float, default=0.62, help="references for each good page")
    parser.add_argument("--per-source", type=int, default=24, help="pages of each source of clean texts, at most")
    parser.add_argument("--crawl", type=int, default=1200, help="pages of the crawl, at most")


class Sides(NamedTuple):
    """English rows of one half of the sources, or of both."""

    clean: list[Row]
    crawl: list[Row]
    good: list[Row]
    other: list[Row]


def sides_of(rows: Iterable[Row]) -> Sides:
    sides = Sides([], [], [], [])
    places = {CRAWL: sides.crawl, "good": sides.good, "other": sides.other}
    for row in rows:
        places.get(row.kind, sides.clean).append(row)
    return sides


def samples(rows: Iterable[Row]) -> list[Sample]:
    return [row.sample for row in rows]


def halves(sizes: Mapping[str, int]) -> dict[str, int]:
    """0 or 1 for each source, so that both halves have about equally much: the largest first, to the smaller half."""
    found: dict[str, int] = {}
    totals = [0, 0]
    for source in sorted(sizes, key=lambda name: (-sizes[name], stable_hash(name))):
        found[source] = int(totals[1] < totals[0])
        totals[found[source]] += sizes[source]
    return found


def split_sources(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """(kind, source) → half; the sources of each kind are shared out by themselves."""
    found: dict[tuple[str, str], int] = {}
    for kind in sorted({row.kind for row in rows}):
        sizes = Counter(row.source for row in rows if row.kind == kind)
        found |= {(kind, source): half for source, half in halves(sizes).items()}
    return found


def matched(positive: Sequence[Row], negative: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Equally many of both in every class of length (CLASS_WIDTH times as long each), chosen by hash."""
    classes: defaultdict[int, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((positive, negative)):
        for row in rows:
            classes[int(math.log(max(size(row.text), 1)) / math.log(CLASS_WIDTH))][side].append(row)
    found: tuple[list[Row], list[Row]] = ([], [])
    for _, sides in sorted(classes.items()):
        for kept, rows in zip(found, sides):
            kept += sorted(rows, key=lambda row: (stable_hash(row.text), row.text))[: min(map(len, sides))]
    return found


def auc_of(score: Scorer, positive: Iterable[Row], negative: Iterable[Row]) -> float | None:
    """Rows without a score are left out; None if that leaves a side empty."""
    values = [[value for row in side if (value := score(row)) is not None] for side in (positive, negative)]
    return auc(*values) if all(values) else None


def kept_share(score: Scorer, positive: Iterable[Row], crawl: Iterable[Row]) -> float | None:
    """The share of positives above all but KEPT_OF_CRAWL of the crawl's pages; None as in `auc_of`."""
    high, low = ([value for row in side if (value := score(row)) is not None] for side in (positive, crawl))
    if not high or not low:
        return None
    return fmean(value > sorted(low)[math.ceil(len(low) * (1 - KEPT_OF_CRAWL)) - 1] for value in high)


def with_references(sides: Sides, clean_share: float) -> Sides:
    """Only so many clean texts, chosen by hash, as fits take for references."""
    clean = sorted(sides.clean, key=lambda row: (stable_hash(row.text), row.text))
    return sides._replace(clean=clean[: int(clean_share * len(sides.good))])


def combination_rows(sides: Sides, step: Combine) -> Rows:
    """What a combination is fitted on, as `read_rows` has it: good and other pages, and clean texts as references."""
    three = (sides.good, sides.other, sides.clean)
    rows = [row for side in three for row in side]
    columns = table(rows, [LENGTH, *(term.signal for term in step.terms if term.signal != LENGTH)])
    if "bag_of_words" in columns:
        columns["bag_of_words"] = np.concatenate([np.array(each) for each in cross_fitted(*map(samples, three))])
    sizes = [len(side) for side in three]
    labels, references = np.repeat([True, False, True], sizes), np.repeat([False, False, True], sizes)
    return Rows(columns, labels, tuple(row.source for row in rows), references)


def combination_scorer(curves: Combination, model: BagOfWords) -> Scorer:
    """The combination of a row, with another bag-of-words classifier than the recipe's."""

    def score(row: Row) -> float:
        signals = {**row.signals, "bag_of_words": model.score(row.text)}
        one = table([row._replace(signals=signals)], [term.signal for term in curves.terms])
        return float(scores(curves, Rows(one, np.array([True]), (row.source,)))[0])

    return score


def refitted(sides: Sides, step: Combine, clean_share: float, folder: Path) -> dict[str, Scorer]:
    """Scorers that have seen these rows alone."""
    on_clean = fit_bag_of_words(samples(sides.clean), samples(sides.crawl))
    found: dict[str, Scorer] = {"bag of words, refitted on clean texts": lambda row: on_clean.score(row.text)}
    quality_from(samples(sides.clean), samples(sides.crawl), folder / QUALITY_BIN, "a benchmark", "benchmarks.quality")
    fasttext = load_quality(folder / QUALITY_BIN)
    found["fastText, refitted on clean texts"] = lambda row: fasttext(row.text)
    if sides.good and sides.other:
        taught = with_references(sides, clean_share)
        model = fit_bag_of_words(samples(taught.good), samples(taught.other), samples(taught.clean))
        found["bag of words, refitted on judged pages"] = lambda row: model.score(row.text)
        made = fit_curves(combination_rows(taught, step), SHAPE)
        found["quality, refitted on judged pages"] = combination_scorer(made, model)
    return found


def halves_of(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """(kind, source) → half; a collection that was judged is where its pages of the crawl are."""
    half = split_sources(rows)
    judged = [row for row in rows if row.kind in ("good", "other")]
    return half | {(row.kind, row.source): half.get((CRAWL, row.source), half[row.kind, row.source]) for row in judged}


def by_axis(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The clean texts of each axis, and all together."""
    clean = [row for row in rows if row.kind != CRAWL]
    axes = sorted({axis_of(row.kind) for row in clean})
    return {**{axis: [row for row in clean if axis_of(row.kind) == axis] for axis in axes}, "all": clean}


def clean_against_crawl(
    rows: Sequence[Row], step: Combine, clean_share: float, fasttext: Path | None
) -> dict[str, Any]:
    """{language: {axis: {"texts", "scorers": {title: {"auc", "kept"}}}}}; no source of the tested half is in a fit."""
    half = halves_of(rows)
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        mine = [row for row in rows if row.language == language]
        results: defaultdict[str, defaultdict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        texts: Counter[str] = Counter()
        for tested in (0, 1):
            scorers = fixed_scorers(fasttext if language == "en" else None)
            test = [row for row in mine if half[row.kind, row.source] == tested and row.kind not in ("good", "other")]
            crawl = [row for row in test if row.kind == CRAWL]
            with tempfile.TemporaryDirectory() as folder:
                if language == "en":
                    train = sides_of(row for row in mine if half[row.kind, row.source] != tested)
                    scorers |= refitted(train, step, clean_share, Path(folder))
                for axis, positive in by_axis(test).items():
                    sides = matched(positive, crawl)
                    texts[axis] += len(sides[0])
                    for title, score in scorers.items():
                        value, kept = auc_of(score, *sides), kept_share(score, positive, crawl)
                        if value is not None and kept is not None:
                            results[axis][title].append((value, kept))
        found[language] = {axis: {"texts": texts[axis], "scorers": means(part)} for axis, part in results.items()}
    return found


def means(columns: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    return {
        title: {"auc": round(fmean(x for x, _ in values), 4), "kept": round(fmean(y for _, y in values), 4)}
        for title, values in columns.items()
    }


def judged_against_each_other(sides: Sides, step: Combine, clean_share: float, fasttext: Path | None) -> dict[str, Any]:
    """{"good", "other", "auc": {title: x}}: fixed scorers, and classifier and combination with collections held out."""
    found = {title: auc_of(score, sides.good, sides.other) for title, score in fixed_scorers(fasttext).items()}
    rows = combination_rows(with_references(sides, clean_share), step)
    assert rows.reference is not None
    mine = ~rows.reference
    quality = held_out_scores(rows, SHAPE)
    columns = {"quality, refitted, collections held out": quality}
    if "bag_of_words" in rows.values:
        columns["bag of words, refitted, collections held out"] = rows.values["bag_of_words"]
    found |= {title: auc(values[mine & rows.good], values[mine & ~rows.good]) for title, values in columns.items()}
    best = np.sort(quality[mine])[-max(1, int(KEPT_OF_CRAWL * mine.sum()))]
    return {
        "good": len(sides.good),
        "other": len(sides.other),
        "auc": {title: round(value, 4) for title, value in found.items() if value is not None},
        "good_of_the_best": round(float(rows.good[mine & (quality >= best)].mean()), 4),
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    meter = open_meter(args.recipe, args.models)
    extract, step = last_extract(meter.recipe).steps[0], combinations(meter.recipe).get("en")
    assert isinstance(extract, Extract)
    if step is None:
        raise UsageError(f"recipe {args.recipe} has no combine step for English: give one with scorers, like yi")
    with PageExtractor(extract.engine, extract.options) as extractor:
        clean = measure_clean(meter, extractor, args.clean, args.per_source)
        crawl = measure_crawl(meter, extractor, args.pages, args.index, args.crawl)
    if not clean or not crawl:
        raise UsageError("there is nothing to compare: no clean text, or no page of the crawl, is English or Chinese")
    good, other = (measure_judged(meter, files, kind) for files, kind in ((args.good, "good"), (args.other, "other")))
    fasttext = model_folder(args.models) / QUALITY_BIN
    model = fasttext if fasttext.is_file() else None
    rows = [*clean, *crawl, *good, *other]
    found = {"clean": clean_against_crawl(rows, step, args.clean_share, model)}
    if good and other:
        english = sides_of(row for row in rows if row.language == "en")
        found["judged"] = judged_against_each_other(english, step, args.clean_share, model)
    return found


def show(found: Mapping[str, Any]) -> Iterator[str]:
    for language, axes in found["clean"].items():
        if axes:
            title = f"{language}: AUC, kept at {KEPT_OF_CRAWL:.0%} of the crawl"
            rows = []
            for name in next(iter(axes.values()))["scorers"]:
                cells = (part["scorers"].get(name) for part in axes.values())
                rows.append([name, *(f"{cell['auc']:.2f}, {cell['kept']:.0%}" if cell else "" for cell in cells)])
            yield from markdown([title, *(f"{axis} ({part['texts']})" for axis, part in axes.items())], rows)
            yield ""
    if part := found.get("judged"):
        title = f"judged pages: {part['good']} good, {part['other']} other"
        yield from markdown([title, "AUC"], ([name, f"{value:.3f}"] for name, value in part["auc"].items()))
        yield f"\nOf the {KEPT_OF_CRAWL:.0%} with the best held-out quality {part['good_of_the_best']:.0%} are good."
