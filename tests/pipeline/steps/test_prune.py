"""Upper-bound pruning: it never takes a document that the later steps would keep, and says what it assumed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.rules import Rule
from infra.errors import UsageError
from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.explain.text import step_lines
from pipeline.models.combination import Term, load_combination
from pipeline.models.loaded import Models, loaded_models
from pipeline.models.store import shipped_models
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import bound
from pipeline.revise.measure import measuring_steps
from pipeline.steps.combine import Combine
from pipeline.steps.interpreter import run_steps, step_signals
from pipeline.steps.judge import Judge
from pipeline.steps.prune import Prune
from pipeline.steps.rules import RecipeRule
from pipeline.steps.step import Step
from tests.pipeline.recipe_texts import INGEST, RESILIPARSE, Part, judge, stage, step

LANGUAGES = ("en", "zh", "fr")
# A text's own; set by steps before; set by steps that come after.
OWN, BEFORE, AFTER = "words", "bag_of_words", ("perplexity", "coherence")
SIGNALS = (OWN, BEFORE, *AFTER)
ANYWHERE: Mapping[str, Path] = {}


@dataclass(frozen=True)
class Score(Step):
    """As a label step: it sets signals of some documents."""

    kind: ClassVar[str] = "score"
    name: str
    values: Mapping[str, float | None] = field(hash=False)
    languages: tuple[str, ...] = ()

    @property
    def sets(self) -> frozenset[str]:
        return frozenset(self.values)

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        if self.is_for(document):
            document.signals |= self.values
        return []


class Chance(random.Random):
    """Whole stages by chance: hypothesis draws the seed, so that thousands of them take seconds."""

    def languages(self) -> tuple[str, ...]:
        return tuple(self.sample(LANGUAGES, self.choice((0, 0, 1, 2))))

    def value(self) -> float | None:
        return self.choice((None, self.uniform(-6, 6), float(self.randint(-2, 2))))

    def term(self) -> Term:
        at = sorted(self.sample(range(-5, 6), self.randint(1, 4)))
        add = tuple(self.uniform(-4, 4) for _ in at)
        return Term(self.choice((*SIGNALS, "quality")), tuple(map(float, at)), add, self.uniform(-4, 4))

    def combine(self, signal: str) -> Combine:
        terms = tuple(self.term() for _ in range(self.randint(1, 3)))
        larger, smaller = self.choice(((False, False), (True, False), (False, True)))
        return Combine("c", signal, terms, self.uniform(-4, 4), self.languages(), larger, smaller=smaller)

    def score(self) -> Score:
        name = self.choice((*AFTER, *AFTER, BEFORE, "quality"))
        return Score("s", {name: self.random() if name == "quality" else self.value()}, self.languages())

    def rule(self) -> RecipeRule:
        least = Rule("quality", "min", self.random())
        other = Rule(self.choice(("quality", *AFTER)), self.choice(("min", "max")), self.uniform(-4, 4))
        return RecipeRule(self.choice((least, least, other)), self.languages())

    def later(self) -> list[Step]:
        """Steps up to a judge with a least value of quality, at least one of which combines it."""
        steps: list[Step] = [self.combine("quality")]
        for _ in range(self.randint(0, 3)):
            made = (self.score(), self.combine("quality"), self.combine("perplexity"))
            steps.insert(self.randint(0, len(steps)), self.choice(made))
        least = RecipeRule(Rule("quality", "min", self.random()), self.languages())
        return [*steps, Judge("scores", (least, self.rule()), self.languages())]

    def document(self) -> Document:
        known = {OWN: self.value(), BEFORE: self.value(), "quality": self.choice((None, self.random()))}
        return Document("two words", language=self.choice((None, *LANGUAGES)), signals=known)


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**64))
def test_no_document_is_pruned_that_the_later_steps_would_keep(seed: int) -> None:
    """More: the judge rejects it by the same rule, by a value that is no larger."""
    chance = Chance(seed)
    later, document = chance.later(), chance.document()
    (prune, *_) = bound([Prune("prune", "scores"), *later], ANYWHERE)
    pruned = prune.run(document, loaded_models(()), None)
    rejected = run_steps(document, later, loaded_models(()))
    for reject in pruned:
        assert reject.value is not None
        assert any(
            (each.rule, each.threshold) == (reject.rule, reject.threshold)
            and each.value is not None
            and each.value <= reject.value
            for each in rejected
        ), (reject, rejected)


def curve(signal: str, *add: float, missing: float = 0.0) -> dict[str, Any]:
    return {"signal": signal, "at": list(range(len(add))), "add": list(add), "missing": missing}


PRUNE = step("prune", name="bound", judge="scores")
PERPLEXITY = step("label", what="perplexity", model="p", languages=["en"])
QUALITY = step("combine", name="sum", signal="quality", terms=[curve("words", -4, 0), curve("perplexity", 1.5, -2)])
ACCEPT = step("combine", name="accept", signal="quality", larger=True, terms=[curve("bag_of_words", -9, 9, missing=-9)])
SCORES = judge("scores", {"signal": "quality", "min": 0.8, "languages": ["en"]}, {"signal": "perplexity", "max": 9})


def steps_of(*steps: Part) -> tuple[Step, ...]:
    read = parse_recipe({"stage": [stage("f", "filter", *steps)]}, "here")
    return read.stages[0].steps


@pytest.mark.parametrize(
    ("signals", "language", "bound_of"),
    [
        ({"words": 1.0}, "en", 0.817574),  # 1 / (1 + e^-1.5), which is the most that perplexity adds
        ({"words": 0.0}, "en", 0.075858),
        ({"words": 0.0, "bag_of_words": 1.0}, "en", 0.999877),
        ({"words": 0.0, "bag_of_words": 0.0, "quality": 0.9}, "en", 0.075858),  # it is set anew
        ({"words": 0.0}, "zh", None),
    ],
)
def test_what_is_known_counts_as_it_is_and_the_rest_at_its_most(
    signals: dict[str, float | None], language: str, bound_of: float | None
) -> None:
    prune = steps_of(PRUNE, PERPLEXITY, QUALITY, ACCEPT, SCORES)[0]
    document = Document("", language=language, signals={"bag_of_words": None, **signals})
    trace: Trace = []
    rejects = prune.run(document, loaded_models(()), trace)
    if bound_of is None:
        assert not rejects and not trace
        return
    (entry,) = trace
    assert entry["value"] == bound_of and entry["threshold"] == 0.8 and entry["passed"] == (bound_of >= 0.8)
    assert entry["assumed"] == {"sum: perplexity": 1.5}
    assert [(reject.step, reject.rule, reject.value) for reject in rejects] == (
        [] if entry["passed"] else [("bound", "min_quality", bound_of)]
    )
    assert "+1.5000 at most for sum: perplexity, not measured yet" in "\n".join(step_lines(entry))


def test_a_larger_value_that_an_earlier_step_has_set_stays() -> None:
    """Without a combination that sets the signal anew, what it is now may be the most."""
    prune = steps_of(PRUNE, ACCEPT, SCORES)[0]
    for before, rejected in ((0.9, False), (0.7, True), (None, True)):
        document = Document("", language="en", signals={"bag_of_words": 0.0, "quality": before})
        assert bool(prune.run(document, loaded_models(()), None)) is rejected


def test_a_signal_that_a_model_sets_on_the_way_has_no_bound() -> None:
    score = step("label", what="quality", model="q", languages=["en"])
    prune = steps_of(PRUNE, score, ACCEPT, SCORES)[0]
    document = Document("", language="en", signals={"bag_of_words": 0.0})
    trace: Trace = []
    assert not prune.run(document, loaded_models(()), trace) and trace[0]["value"] is None


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([PRUNE, QUALITY], "no later step of its stage is a judge called 'scores'"),
        ([QUALITY, SCORES, PRUNE], "no later step of its stage is a judge called 'scores'"),
        ([PRUNE, step("label", name="scores", what="quality", model="q")], "no later step"),
        ([PRUNE, step("rewrite", edit="mask_pii"), QUALITY, SCORES], "rewrite 'mask_pii' changes the text"),
        ([PRUNE, step("label", what="language", model="l"), QUALITY, SCORES], "label 'language' changes the language"),
        ([PRUNE, SCORES], "'scores' has no min rule on a signal that a combine step between them sets"),
        ([QUALITY, PRUNE, SCORES], "has no min rule on a signal"),
        ([PRUNE, QUALITY, judge("scores", {"signal": "quality", "max": 1})], "has no min rule on a signal"),
        ([step("prune", name="bound"), QUALITY, SCORES], "judge is missing"),
        ([{**PRUNE, "rules": []}, QUALITY, SCORES], "unknown key 'rules'"),
    ],
)
def test_where_it_cannot_stand(steps: list[Part], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        steps_of(*steps)
    message = str(refused.value)
    assert says in message and message.startswith("here: stage 1 (f)") and "\n" not in message


def test_an_extraction_between_is_refused() -> None:
    first = step("extract", name="prefilter", engine="all_text")
    more = step("extract", name="more", engine="all_text")
    combine = step("combine", name="sum", signal="quality", terms=[curve("words", -4, 0)])
    extract = stage("extract", "extract", first, PRUNE, more, combine, judge("scores", {"signal": "quality", "min": 0.8}), RESILIPARSE)  # fmt: skip # noqa: E501
    with pytest.raises(UsageError, match="extract 'more' changes the text"):
        parse_recipe({"stage": [INGEST, extract]}, "here")


def yi_filter() -> dict[str, Step]:
    recipe = load_recipe("yi").bound(shipped_models())
    (found,) = [each for each in recipe.stages if each.name == "filter"]
    return {each.name: each for each in found.steps}


def test_yi_prunes_by_the_bounds_and_curves_of_its_last_judge() -> None:
    steps = yi_filter()
    prune = steps["quality-upper-bound"]
    assert isinstance(prune, Prune)
    asked = [rule for rule in steps["scores"].rules if rule.rule.signal == "quality"]
    assert list(prune.rules) == asked and [rule.rule.threshold for rule in asked] == [0.2]
    last = ("quality-en", "reference-en", "quality-zh", "like-zh", "hate-quality")
    assert prune.between[-5:] == tuple(steps[name] for name in last)
    # the fingerprint of a task is made of it
    assert repr(steps["quality-en"]) in repr(prune) and repr(asked[0]) in repr(prune)
    # the perplexity of a text that a language model finds easy adds most
    combination = load_combination(shipped_models()["quality-en.json"])
    (most,) = [max(term.add) for term in combination.terms if term.signal == "perplexity"]
    assert prune.assumptions("quality", Document("", language="en")) == {"quality-en: perplexity": most}
    assert prune.assumptions("quality", Document("", language="zh")) == {}


def test_nothing_is_measured_by_it_and_no_column_is_its_own() -> None:
    recipe = load_recipe("yi").bound(shipped_models())
    assert not any(isinstance(each, Prune) for each in measuring_steps(recipe))
    assert step_signals([yi_filter()["quality-upper-bound"]]) == set()


def test_a_rule_that_is_loosened_loosens_it() -> None:
    """The threshold stands in the recipe once, so `calibrate` has one place to change."""
    loose = judge("scores", {"signal": "quality", "min": 0.05, "languages": ["en"]})
    document = Document("", language="en", signals={"bag_of_words": None, "words": 0.0})
    strict, lax = (steps_of(PRUNE, PERPLEXITY, QUALITY, ACCEPT, last)[0] for last in (SCORES, loose))
    assert strict.run(document, loaded_models(()), None) and not lax.run(document, loaded_models(()), None)
