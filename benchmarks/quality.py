"""How well each scorer tells clean texts from random pages of a crawl, and judged pages from each other.

    python -m benchmarks.quality --clean TEXTS --pages CRAWL/*.warc.gz --index index.jsonl.gz [--models DIR]
        [--good GOOD.jsonl --other OTHER.jsonl] [--texts 24] [--crawl 1200] [--recipe yi] [--json]

Positives are clean texts, rendered as pages (`benchmarks/clean_pages.py`); negatives are pages of the crawl, chosen by
hash. Both go through the recipe's last extractor and are measured as `refinery measure` does. For each axis (IQ, EQ,
code) and language the two sides are matched in length: equally many in every class of words, a class being a quarter
wide; "length alone" shows what is left of it.

Sources (files of texts, collections of the crawl: what the index's `id` begins with) are split into two halves. What
is fitted is fitted on one half and tested on the other; every figure is the mean of the two. A scorer is
  fixed     as the models have it: what it was fitted on may be among these texts and pages;
  refitted  on the sources of the training half alone, through the functions of `refinery fit`.

`--good`, `--other`: pages that people judged (`text`; `source`: the collection, as in the index; `id`, where what
follows `#` tells texts of one page apart: one of them is taken). With them the recipe's wording and combination are
refitted as they were made, and all scorers are measured on those pages too, each page by models that have not seen
its collection.
"""

import argparse
import json
import math
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.clean_pages import axis_of, size
from benchmarks.clean_pages import read_pages as read_clean
from benchmarks.extraction import read_lines, read_pages
from infra.errors import UsageError
from pipeline.context import resolve_recipe
from pipeline.fit.combination import Rows, fit_step, held_out_scores, scores
from pipeline.fit.quality import quality_from
from pipeline.fit.texts import Sample, auc, stable_hash
from pipeline.fit.wording import Wording, cross_fitted, fit_wording
from pipeline.interpreter import Document, loaded_models
from pipeline.measure import Plan, last_extract, measured, plan
from pipeline.models import load_fasttext_scorer, model_folder
from pipeline.page import PageExtractor
from pipeline.recipe import Combine, Extract, Judge, Recipe, RecipeRule, load_recipe

CRAWL: Final = "crawl"
LANGUAGES: Final = ("en", "zh")
CLASS_WIDTH: Final = 1.25
# Higher is better for all but these.
LOWER_IS_BETTER: Final = {"perplexity"}
MODELLED: Final = ("perplexity", "coherence", "safety", "wording", "quality")
RULES: Final = {
    "Gopher's rules": ("gopher", ("gopher-quality", "gopher-repetition")),
    "FineWeb's own rules": ("fineweb", ("fineweb",)),
    "FineWeb's rules, all": ("fineweb", ("gopher-repetition", "gopher-quality", "c4", "fineweb")),
}
QUALITY_BIN: Final = "quality.bin"


class Row(NamedTuple):
    """A measured text. `kind`: its folder, CRAWL, or "good" and "other"; `source`: what must not be in both halves."""

    kind: str
    source: str
    text: str
    language: str
    signals: Mapping[str, float | None]

    @property
    def sample(self) -> Sample:
        return Sample(self.text, self.source)


Scorer = Callable[[Row], float | None]


@dataclass(frozen=True)
class Meter:
    """Measures texts with the signals of a recipe and of the published rules."""

    recipe: Recipe
    plan: Plan
    places: Mapping[str, str]

    def row(self, kind: str, source: str, text: str) -> Row:
        document = Document(text)
        models = loaded_models(tuple(sorted((name, self.places[name]) for name in self.plan.models())))
        values = measured(document, self.plan, models, {})
        return Row(kind, source, text, document.language or "", values)


def open_meter(recipe_name: str, models: str | None) -> Meter:
    recipe, places = resolve_recipe(load_recipe(recipe_name), models)
    terms = {term.signal for step in combinations(recipe).values() for term in step.terms}
    ruled = {rule.rule.signal for rules in published().values() for rule in rules}
    return Meter(recipe, plan(recipe, sorted({"words", *MODELLED, *terms, *ruled})), places)


def combinations(recipe: Recipe) -> dict[str, Combine]:
    """The last combination of each language, which decides."""
    steps = [step for stage in recipe.stages for step in stage.steps if isinstance(step, Combine)]
    return {language: step for step in steps for language in step.languages or LANGUAGES}


def published() -> dict[str, tuple[RecipeRule, ...]]:
    """The rules of published recipes, measured on the text as it is (their edits of lines are not made)."""
    found = {}
    for title, (name, steps) in RULES.items():
        judges = [s for stage in load_recipe(name).stages for s in stage.steps if isinstance(s, Judge)]
        found[title] = tuple(rule for judge in judges if judge.name in steps for rule in judge.rules)
    return found


def rules_passed(row: Row, rules: Sequence[RecipeRule]) -> int:
    return sum(rule.rule.passes(row.signals[rule.rule.signal]) for rule in rules)


def fixed_scorers(fasttext: Path | None) -> dict[str, Scorer]:
    """By title: the scorers that are as they are; `signal` closes over the name on purpose."""

    def signal(name: str) -> Scorer:
        sign = -1.0 if name in LOWER_IS_BETTER else 1.0
        return lambda row: None if (value := row.signals.get(name)) is None else sign * value

    found: dict[str, Scorer] = {"length alone": lambda row: float(size(row.text))}
    found |= {f"{name}, fixed": signal(name) for name in MODELLED}
    if fasttext:
        score = load_fasttext_scorer(fasttext)
        found["fastText, fixed"] = lambda row: score(row.text)
    for title, rules in published().items():
        found[f"{title}: all pass"] = lambda row, rules=rules: float(rules_passed(row, rules) == len(rules))  # type: ignore[misc]
        found[f"{title}: how many"] = lambda row, rules=rules: float(rules_passed(row, rules))  # type: ignore[misc]
    return found


def measure_crawl(meter: Meter, extractor: PageExtractor, warcs: Sequence[Path], index: Path, count: int) -> list[Row]:
    """`count` pages of the crawl in the languages that are compared, by hash of their ids."""
    ids = [row["id"] for row in read_lines(index)]
    chosen = set(sorted(ids, key=lambda name: stable_hash(f"crawl {name}"))[:count])
    rows = []
    for row, message in read_pages(warcs, index, lambda row: row["id"] in chosen):
        text = extractor.extract(message.body, message.charset_label, row["url"]).text
        if text:
            rows.append(meter.row(CRAWL, row["id"].partition("/")[0], text))
    return [row for row in rows if row.language in LANGUAGES]


def measure_clean(meter: Meter, extractor: PageExtractor, paths: Sequence[Path], texts: int) -> list[Row]:
    """The texts that are in the language of their folder: what an extractor or an identifier loses is not scored."""
    rows = []
    for page in read_clean(paths, texts, ("iq_en", "eq_en", "code", "iq_zh", "eq_zh")):
        text = extractor.extract(page.html.encode(), "utf-8", page.url).text
        if text:
            rows.append(meter.row(page.kind, page.source, text))
    return [row for row in rows if row.language == ("zh" if row.kind.endswith("_zh") else "en")]


def measure_judged(meter: Meter, files: Sequence[Path], kind: str) -> list[Row]:
    """One text of each page, by hash."""
    pages: dict[str, dict[str, Any]] = {}
    for row in chain.from_iterable(map(read_lines, files)):
        name = str(row.get("id") or row["text"]).partition("#")[0]
        known = pages.get(name)
        if known is None or stable_hash(row["text"]) < stable_hash(known["text"]):
            pages[name] = row
    rows = (meter.row(kind, str(row.get("source") or name), row["text"]) for name, row in sorted(pages.items()))
    return [row for row in rows if row.language == "en"]


def halves(sizes: Mapping[str, int]) -> dict[str, int]:
    """0 or 1 for each source, so that both halves have about equally much: the largest first, to the smaller half."""
    found, totals = {}, [0, 0]
    for source in sorted(sizes, key=lambda name: (-sizes[name], stable_hash(name))):
        found[source] = int(totals[1] < totals[0])
        totals[found[source]] += sizes[source]
    return found


def split_sources(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """(kind, source) → half; the sources of each kind are shared out by themselves."""
    found = {}
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


def auc_of(score: Scorer, positive: Iterable[Row], negative: Iterable[Row]) -> float:
    """Rows that the scorer says nothing of are left out."""
    return auc(*([value for row in side if (value := score(row)) is not None] for side in (positive, negative)))


def wording_of(model: Wording) -> Scorer:
    return lambda row: model.score(row.text)


def table(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Columns of signals for a combination, float64[rows], NaN where not measured."""
    return {
        name: np.array([math.nan if (value := row.signals[name]) is None else value for row in rows], np.float64)
        for name in names
    }


def judged_rows(good: Sequence[Row], other: Sequence[Row], step: Combine, reference: Sequence[Row]) -> Rows:
    """Measured judged pages, with their wording by models that have not seen their collection."""
    columns = table([*good, *other], [term.signal for term in step.terms])
    sides = cross_fitted([r.sample for r in good], [r.sample for r in other], [r.sample for r in reference])
    if "wording" in columns:
        columns["wording"] = np.array([*sides[0], *sides[1]], np.float64)
    labels = np.array([True] * len(good) + [False] * len(other))
    return Rows(columns, labels, tuple(row.source for row in (*good, *other)))


def combination_scorer(step: Combine, wording: Wording | None) -> Scorer:
    """The step's value of a row, with another wording model than the recipe's."""

    def score(row: Row) -> float:
        signals = {**row.signals, **({"wording": wording.score(row.text)} if wording else {})}
        one = table([row._replace(signals=signals)], [term.signal for term in step.terms])
        return float(scores(step, Rows(one, np.array([True]), (row.source,)))[0])

    return score


def refitted(clean: Sequence[Row], crawl: Sequence[Row], good: Sequence[Row], other: Sequence[Row], step: Combine, folder: Path) -> dict[str, Scorer]:  # fmt: skip # noqa: E501
    """Scorers that have seen these rows (English, one half of the sources) alone."""
    positive, negative = [row.sample for row in clean], [row.sample for row in crawl]
    found = {"wording, refitted on clean texts": wording_of(fit_wording(positive, negative))}
    quality_from(positive, negative, folder / QUALITY_BIN, "a benchmark", "benchmarks.quality")
    score = load_fasttext_scorer(folder / QUALITY_BIN)
    found["fastText, refitted on clean texts"] = lambda row: score(row.text)
    if good and other:
        wording = fit_wording([row.sample for row in good], [row.sample for row in other], positive)
        found["wording, refitted on judged pages"] = wording_of(wording)
        made = fit_step(judged_rows(good, other, step, clean))
        found["quality, refitted on judged pages"] = combination_scorer(made, wording)
    return found


def clean_against_crawl(rows: Sequence[Row], judged: Sequence[Row], meter: Meter, fasttext: Path | None) -> dict[str, Any]:  # fmt: skip # noqa: E501
    """{language: {axis: {"texts", "auc": {scorer: x}}}}; sources of the tested half are in no fit."""
    half = split_sources([*rows, *judged])
    # A collection that was judged is in the half that its pages of the crawl are in.
    half |= {(row.kind, row.source): half.get((CRAWL, row.source), half[row.kind, row.source]) for row in judged}
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        mine = [row for row in rows if row.language == language]
        results: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        texts: Counter[str] = Counter()
        for tested in (0, 1):
            train = [row for row in (*mine, *judged) if half[row.kind, row.source] != tested]
            test = [row for row in mine if half[row.kind, row.source] == tested]
            scorers = fixed_scorers(fasttext if language == "en" else None)
            with tempfile.TemporaryDirectory() as folder:
                if language == "en":
                    sides = {kind: [row for row in train if row.kind == kind] for kind in (CRAWL, "good", "other")}
                    clean = [row for row in train if row.kind not in sides]
                    step = combinations(meter.recipe)[language]
                    scorers |= refitted(clean, *sides.values(), step, Path(folder))  # type: ignore[call-arg, arg-type]
                for axis, sides_ in by_axis(test).items():
                    texts[axis] += len(sides_[0])
                    for title, score in scorers.items():
                        results[axis][title].append(auc_of(score, *sides_))
        found[language] = {
            axis: {"texts": texts[axis], "auc": {title: round(fmean(values), 4) for title, values in columns.items()}}
            for axis, columns in results.items()
        }
    return found


def by_axis(rows: Sequence[Row]) -> dict[str, tuple[list[Row], list[Row]]]:
    """Each axis, and all together, against the crawl, matched in length."""
    negative = [row for row in rows if row.kind == CRAWL]
    axes = sorted({axis_of(row.kind) for row in rows if row.kind != CRAWL})
    sides = {axis: [row for row in rows if row.kind != CRAWL and axis_of(row.kind) == axis] for axis in axes}
    sides["all"] = [row for row in rows if row.kind != CRAWL]
    return {axis: matched(positive, negative) for axis, positive in sides.items()}


def judged_against_each_other(good: Sequence[Row], other: Sequence[Row], clean: Sequence[Row], meter: Meter, fasttext: Path | None) -> dict[str, Any]:  # fmt: skip # noqa: E501
    """{"good", "other", "auc": {scorer: x}}: fixed scorers, and wording and combination with collections held out."""
    fixed = fixed_scorers(fasttext)
    found = {title: auc_of(score, good, other) for title, score in fixed.items()}
    rows = judged_rows(good, other, combinations(meter.recipe)["en"], clean)
    columns = {"quality, refitted, collections held out": held_out_scores(rows)}
    if "wording" in rows.values:
        columns["wording, refitted, collections held out"] = rows.values["wording"]
    found |= {title: auc(values[rows.good], values[~rows.good]) for title, values in columns.items()}
    return {"good": len(good), "other": len(other), "auc": {title: round(x, 4) for title, x in found.items()}}


def print_tables(found: Mapping[str, Any]) -> None:
    for language in LANGUAGES:
        axes = found["clean"][language]
        print(f"| {language} | " + " | ".join(f"{axis} ({part['texts']} texts)" for axis, part in axes.items()) + " |")
        print("|" + " --- |" * (1 + len(axes)))
        for title in next(iter(axes.values()))["auc"] if axes else ():
            print(f"| {title} | " + " | ".join(f"{part['auc'][title]:.2f}" for part in axes.values()) + " |")
        print()
    if "judged" in found:
        part = found["judged"]
        print(f"| judged pages: {part['good']} good, {part['other']} other | AUC |\n| --- | --- |")
        for title, value in part["auc"].items():
            print(f"| {title} | {value:.3f} |")


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    meter = open_meter(args.recipe, args.models)
    step = last_extract(meter.recipe).steps[0]
    assert isinstance(step, Extract)
    with PageExtractor(step.engine, step.options) as extractor:
        clean = measure_clean(meter, extractor, args.clean, args.texts)
        crawl = measure_crawl(meter, extractor, args.pages, args.index, args.crawl)
    if not clean or not crawl:
        raise UsageError("there is nothing to compare: no clean text, or no page of the crawl, is English or Chinese")
    good, other = (measure_judged(meter, files, kind) for files, kind in ((args.good, "good"), (args.other, "other")))
    fasttext = model_folder(args.models) / QUALITY_BIN
    model = fasttext if fasttext.is_file() else None
    found = {"clean": clean_against_crawl([*clean, *crawl], [*good, *other], meter, model)}
    if good and other:
        english = [row for row in clean if row.language == "en"]
        found["judged"] = judged_against_each_other(good, other, english, meter, model)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", nargs="+", type=Path, required=True, help="folders or files of clean texts")
    parser.add_argument("--pages", nargs="+", type=Path, required=True, help="the crawl's archives")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--good", nargs="*", type=Path, default=[], help="pages that were judged good (JSONL)")
    parser.add_argument("--other", nargs="*", type=Path, default=[], help="pages that were judged not good (JSONL)")
    parser.add_argument("--recipe", default="yi")
    parser.add_argument("--models", help="the model folder")
    parser.add_argument("--texts", type=int, default=24, help="pages of each source of clean texts, at most")
    parser.add_argument("--crawl", type=int, default=1200, help="pages of the crawl, at most")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        found = benchmark(args)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        print_tables(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
