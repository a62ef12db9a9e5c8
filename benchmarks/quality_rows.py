"""What `benchmarks/quality.py` measures: clean texts, pages of a crawl, judged pages; and scorers that are as they are.

Clean texts are rendered as pages and go through the same extractor as the crawl's. Everything is measured as
`refinery measure` does it, by the label and combination steps of a recipe, and with the signals of published rules.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.clean_pages import read_clean, size
from benchmarks.labelled import read_pages
from benchmarks.shared import read_rows
from pipeline.document import Document
from pipeline.extract.page import PageExtractor
from pipeline.fit.texts import Sample, stable_hash
from pipeline.job.context import resolve_recipe
from pipeline.models.loaded import loaded_models
from pipeline.models.quality import load_quality
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.revise.measure import Plan, measured, plan
from pipeline.steps.combine import Combine
from pipeline.steps.judge import Judge
from pipeline.steps.rules import RecipeRule

CRAWL: Final = "crawl"
LANGUAGES: Final = ("en", "zh")
# Higher is better for all but these.
LOWER_IS_BETTER: Final = {"perplexity"}
MODELLED: Final = ("perplexity", "coherence", "safety", "bag_of_words", "quality")
RULES: Final = {
    "Gopher's rules": ("gopher", ("gopher-quality", "gopher-repetition")),
    "FineWeb's own rules": ("fineweb", ("fineweb",)),
    "FineWeb's rules, all": ("fineweb", ("gopher-repetition", "gopher-quality", "c4", "fineweb")),
}


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
class TextMeter:
    """Measures texts with the signals of a recipe and of the published rules."""

    recipe: Recipe
    plan: Plan
    places: Mapping[str, str]

    def row(self, kind: str, source: str, text: str) -> Row:
        document = Document(text)
        models = loaded_models(tuple(sorted((name, self.places[name]) for name in self.plan.models())))
        values = measured(document, self.plan, models, {})
        return Row(kind, source, text, document.language or "", values)


def open_meter(recipe_name: str, models: str | None) -> TextMeter:
    recipe, places = resolve_recipe(load_recipe(recipe_name), models)
    terms = {term.signal for step in combinations(recipe).values() for term in step.terms}
    ruled = {rule.rule.signal for rules in published().values() for rule in rules}
    return TextMeter(recipe, plan(recipe, sorted({"words", *MODELLED, *terms, *ruled})), places)


def combinations(recipe: Recipe) -> dict[str, Combine]:
    """The last combination of each language, which decides, but for what is let in by another (`larger`)."""
    steps = [step for stage in recipe.stages for step in stage.steps if isinstance(step, Combine) and not step.larger]
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
    """By title. `fasttext`: a model of `refinery fit quality`."""

    def signal(name: str) -> Scorer:
        sign = -1.0 if name in LOWER_IS_BETTER else 1.0
        return lambda row: None if (value := row.signals.get(name)) is None else sign * value

    found: dict[str, Scorer] = {"length alone": lambda row: float(size(row.text))}
    found |= {f"{name}, fixed": signal(name) for name in MODELLED}
    if fasttext:
        score = load_quality(fasttext)
        found["fastText, fixed"] = lambda row: score(row.text)
    for title, rules in published().items():
        found[f"{title}: all pass"] = rule_scorer(rules, len(rules))
        found[f"{title}: how many"] = rule_scorer(rules, None)
    return found


def rule_scorer(rules: Sequence[RecipeRule], needed: int | None) -> Scorer:
    """How many rules a row passes; with `needed`, 1 where it passes so many, else 0."""

    def score(row: Row) -> float:
        passed = rules_passed(row, rules)
        return float(passed if needed is None else passed >= needed)

    return score


def measure_crawl(
    meter: TextMeter, extractor: PageExtractor, warcs: Sequence[Path], index: Path, count: int
) -> list[Row]:
    """`count` pages of the crawl in the languages that are compared, by hash of their ids."""
    ids = [row["id"] for row in read_rows(index)]
    chosen = set(sorted(ids, key=lambda name: stable_hash(f"crawl {name}"))[:count])
    rows = []
    for row, message in read_pages(warcs, index, lambda row: row["id"] in chosen):
        text = extractor.extract(message.body, message.charset_label, row["url"]).text
        if text:
            rows.append(meter.row(CRAWL, row["id"].partition("/")[0], text))
    return [row for row in rows if row.language in LANGUAGES]


def measure_clean(meter: TextMeter, extractor: PageExtractor, paths: Sequence[Path], texts: int) -> list[Row]:
    """The texts that are in the language of their folder: what an extractor or an identifier loses is not scored."""
    rows = []
    for page in read_clean(paths, texts, ("iq_en", "eq_en", "code", "iq_zh", "eq_zh")):
        text = extractor.extract(page.html.encode(), "utf-8", page.url).text
        if text:
            rows.append(meter.row(page.kind, page.source, text))
    return [row for row in rows if row.language == ("zh" if row.kind.endswith("_zh") else "en")]


def measure_judged(meter: TextMeter, files: Sequence[Path], kind: str) -> list[Row]:
    """One text of each page, by hash."""
    pages: dict[str, dict[str, Any]] = {}
    for row in chain.from_iterable(map(read_rows, files)):
        name = str(row.get("id") or row["text"]).partition("#")[0]
        known = pages.get(name)
        if known is None or stable_hash(row["text"]) < stable_hash(known["text"]):
            pages[name] = row
    rows = (meter.row(kind, str(row.get("source") or name), row["text"]) for name, row in sorted(pages.items()))
    return [row for row in rows if row.language == "en"]


def table(rows: Sequence[Row], names: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of signals for a combination, float64[rows], NaN where not measured."""
    return {
        name: np.array([math.nan if (value := row.signals[name]) is None else value for row in rows], np.float64)
        for name in names
    }
