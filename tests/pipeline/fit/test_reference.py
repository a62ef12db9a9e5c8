"""The reference classifier: a table by kind against pages; and the accept path in a recipe."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.bag_of_words import word_counts
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.explain.text import combine_lines
from pipeline.fit.reference import cross_fitted_margins, cut, fit_reference, fit_tables, reference_from
from pipeline.fit.texts import Sample
from pipeline.models.bag_of_words import load_bag_of_words
from pipeline.models.loaded import Models, loaded_models
from pipeline.models.reference import load_reference
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.signals import check_signals
from pipeline.steps.combine import Combine, Term
from pipeline.steps.interpreter import run_steps
from pipeline.steps.judge import Judge
from pipeline.steps.label import Label
from tests.pipeline.command import answer


def stems(stem: str, count: int = 40) -> list[str]:
    """Words that differ in letters: digits are all alike to the tables."""
    return [stem + chr(97 + i // 26) + chr(97 + i % 26) for i in range(count)]


COMMON, MENU = stems("word", 80), stems("click")
KINDS = {"code": stems("def"), "dialogue": stems("yes")}


def texts(words: list[str], count: int, seed: int, kind: str = "", groups: int = 4) -> list[Sample]:
    draw = random.Random(seed)
    return [
        Sample(" ".join(draw.choices(words + COMMON, k=60)), f"{kind or 'host'}{draw.randrange(groups)}", kind)
        for _ in range(count)
    ]


CLEAN = [sample for kind, words in KINDS.items() for sample in texts(words, 40, len(kind), kind)]
PAGES = texts(MENU, 120, 9, groups=20)


def test_each_kind_has_its_own_words(tmp_path: Path) -> None:
    out = tmp_path / "likeness.json"
    card = reference_from(CLEAN, PAGES, out, [], "here")
    found = json.loads(out.read_bytes())
    assert list(found["kinds"]) == ["code", "dialogue"]
    for column, (kind, words) in enumerate(KINDS.items(), start=1):
        assert min(found["words"][word][column] for word in words) > 0, kind
        assert max(found["words"][word][column] for word in MENU) < 0, kind
    score = load_reference(out)
    for words in KINDS.values():
        assert score(Counter(words)) > 0.9
    assert score(Counter(MENU)) < 0.1
    assert score(Counter()) == score(Counter(["unknown"])) == 0.0
    assert set(card["held_out"]["auc"].values()) == {1.0}
    assert set(card["held_out"]["found"].values()) == {1.0}
    assert len(card["held_out"]["found_by_source"]) == 8


def test_one_half_is_what_one_page_in_many_reaches(tmp_path: Path) -> None:
    """The bound of a kind is set on similar pages that were not in the fit."""
    alike = [Sample(sample.text, f"page{number}") for number, sample in enumerate(texts(KINDS["code"], 30, 77))]
    card = reference_from(CLEAN, [*PAGES, *alike], tmp_path / "likeness.json", [], "here")
    score = load_reference(tmp_path / "likeness.json")
    # of 150 pages one in 2,000 is none but the first
    assert card["held_out"]["found_of_pages"] <= 2 / 150
    assert card["held_out"]["found"]["code"] < 0.2 < 0.9 < card["held_out"]["found"]["dialogue"]
    assert score(Counter(KINDS["dialogue"])) > 0.9


def test_tables_are_the_same_in_any_order() -> None:
    tables = fit_tables(cut(CLEAN, PAGES))
    assert tables == fit_tables(cut(CLEAN[::-1], PAGES[::-1]))
    margins = cross_fitted_margins(cut(CLEAN, PAGES), ["code", "dialogue"])
    assert np.array_equal(margins, cross_fitted_margins(cut(CLEAN[::-1], PAGES[::-1]), ["code", "dialogue"]))


def test_the_sources_of_a_kind_are_never_held_out_together() -> None:
    """A split by hash alone could hold out both sources of a kind."""
    for number in range(30):
        names = [f"a{number}", f"b{number}"]
        found = cut([Sample(f"{name} text", name, "code") for name in names], [])
        assert len({text.fold for text in found}) == 2
    one = cut([Sample(f"text {number}", "only", "code") for number in range(40)], [])
    assert len({text.fold for text in one}) > 2


def test_a_kind_is_an_argument_or_a_field(tmp_path: Path) -> None:
    named, brought = tmp_path / "named.jsonl", tmp_path / "brought.jsonl"
    named.write_text("".join(json.dumps({"text": s.text, "source": s.group}) + "\n" for s in CLEAN[:40]))
    brought.write_text(
        "".join(json.dumps({"text": s.text, "source": s.group, "domain": s.domain}) + "\n" for s in CLEAN[40:])
    )
    pages = tmp_path / "pages.jsonl"
    pages.write_text("".join(json.dumps({"text": s.text, "url": f"http://{s.group}.example/"}) + "\n" for s in PAGES))
    out = tmp_path / "likeness.json"
    given = ("--positive", f"code={named}", "--positive", brought, "--negative", pages, "--out", out)
    card = answer("fit", "reference", *given)
    assert list(json.loads(out.read_bytes())["kinds"]) == ["code", "dialogue"]
    assert card["positive"]["code"]["texts"] == 40
    with pytest.raises(UsageError, match="KIND=PATH"):
        fit_reference([str(named)], [pages], out)


def test_too_little_text_is_said() -> None:
    with pytest.raises(UsageError, match="too little text to fit a likeness: 1 texts of 1 kinds, 1 pages"):
        fit_tables(cut([Sample("a b", "x", "code")], [Sample("c d", "y")]))


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", '{"format": "refinery.likeness/1", "kinds": {}, "words": {}}',
        '{"format": "refinery.likeness/1", "kinds": {"code": 0}, "words": {"a": [1, 2, 3]}}',
        '{"format": "refinery.wording/1", "kinds": {"code": 0}, "words": {"a": [1, 2]}}',
    ],
)  # fmt: skip
def test_a_broken_table_is_said_in_a_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(UsageError, match="refinery fit reference"):
        load_reference(tmp_path / "l.json")


DOOR = Combine("door", "quality", (Term("likeness", (0.0, 0.5, 1.0), (-9.2, 3.41, 9.2)),), larger=True)


@pytest.mark.parametrize(
    ("before", "likeness", "after"), [(0.3, 0.9, 0.9996), (0.97, 0.1, 0.97), (None, 0.5, 0.968), (0.5, 0.0, 0.5)]
)
def test_the_larger_of_two_combinations_stays(before: float | None, likeness: float, after: float) -> None:
    document = Document("text", signals={"likeness": likeness, **({} if before is None else {"quality": before})})
    trace: list[dict[str, Any]] = []
    assert not run_steps(document, [DOOR], loaded_models(()), trace)
    assert document.signals["quality"] == pytest.approx(after, abs=1e-3) == trace[0]["value"]
    lines = list(combine_lines(trace[0]))
    assert ("larger" in lines[-1]) == (before is not None)


def test_words_are_cut_once_and_anew_after_an_edit(tmp_path: Path) -> None:
    reference_from(CLEAN, PAGES, tmp_path / "likeness.json", [], "here")
    words = {"format": "refinery.wording/1", "intercept": 0, "words": {word: [1, 1] for word in MENU}}
    (tmp_path / "wording.json").write_text(json.dumps(words))
    models = Models({name: str(tmp_path / f"{name}.json") for name in ("likeness", "wording")})
    steps = [Label("w", "wording", "wording"), Label("l", "likeness", "likeness")]
    document = Document(" ".join(MENU))
    run_steps(document, steps, models)
    first = document.word_counts
    assert document.signals["wording"] == load_bag_of_words(tmp_path / "wording.json").score(document.text)
    document.replace_text(" ".join(KINDS["code"]))
    assert "likeness" in document.signals and document.word_counts == word_counts(document.text) != first
    run_steps(document, steps, models)
    assert (document.signals["likeness"] or 0) > 0.9


def recipe(*steps: Mapping[str, object]) -> dict[str, object]:
    return {"name": "x", "stage": [{"verb": "filter", "name": "f", "step": list(steps)}]}


TERMS = [{"signal": "words", "at": [1], "add": [1]}]


def test_larger_is_read_shown_and_needs_something_to_be_larger_than() -> None:
    first = {"kind": "combine", "signal": "quality", "terms": TERMS}
    second = {**first, "name": "door", "larger": True}
    read = parse_recipe(recipe(first, second), "x")
    check_signals(read)
    assert read.stages[0].steps[1].lines()[0].endswith("if that is larger")
    with pytest.raises(UsageError, match="combine 'door': nothing before it sets 'quality'"):
        check_signals(parse_recipe(recipe(second), "x"))
    with pytest.raises(UsageError, match="larger must be true or false, not 1"):
        parse_recipe(recipe(first, {**second, "larger": 1}), "x")


def test_the_shipped_table_passes_the_prefilter_and_the_filter_of_yi() -> None:
    """Dialogue and mathematics pass both bounds on quality by the reference score alone; a menu passes neither."""
    folder = Path(__file__).parents[3] / "pipeline" / "fit" / "shipped"
    score = load_reference(folder / "likeness-en.json")
    talk = "USER: Yes, that would be great, thank you. ASSISTANT: Okay, what time would you like the table for? "
    proof = (
        "Lemma. Let f be a morphism of X to Y, and let X be finite. Then f is an isomorphism if and only if the "
        "map is injective. Proof. Since f is injective, we have f(x) = f(y) only if x = y; hence the set is finite. "
    )
    menu = "Home About us Contact Privacy policy Add to cart Sign up for our newsletter and save on your first order. "
    steps = [s for stage in load_recipe("yi").stages for s in stage.steps if isinstance(s, Combine) and s.larger]
    bounds = [0.92, 0.968, 0.968]
    for text, passes in ((talk, True), (proof, True), (menu, False)):
        likeness = score(word_counts(text * 5))
        for step, bound in zip(steps, bounds, strict=True):
            document = Document(text, language="en", signals={"likeness": likeness, "quality": 0.1})
            run_steps(document, [step], loaded_models(()))
            assert ((document.signals["quality"] or 0) >= bound) == passes, (text, step.name, likeness)


def test_upper_bound_pruning_rejects_no_page_that_would_pass() -> None:
    """The upper bound has every term of the combination but perplexity, and the most that perplexity can add."""
    (stage,) = [stage for stage in load_recipe("yi").stages if stage.name == "filter"]
    steps = {step.name: step for step in stage.steps}
    best, last = steps["quality-at-best"], steps["quality-en"]
    assert isinstance(best, Combine) and isinstance(last, Combine)
    (perplexity,) = [term for term in last.terms if term.signal == "perplexity"]
    assert set(best.terms) == set(last.terms) - {perplexity}
    assert best.intercept == pytest.approx(last.intercept + max(*perplexity.add, perplexity.missing), abs=1e-9)
    bounds = [
        {(rule.rule.threshold, rule.languages) for rule in step.rules if rule.rule.signal == "quality"}
        for step in (steps["quality-in-reach"], steps["scores"])
        if isinstance(step, Judge)
    ]
    assert len(bounds) == 2 and bounds[1] <= bounds[0]


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": {}},
        {"kinds": {"talk": float("nan")}},
        {"kinds": {"talk": int("9" * 400)}},
        {"words": {"a": [1.0, 1e300]}},
        {"words": {"a": [0.0, 1.0]}},
        {"words": {"a": [1.0, 1.0, 1.0]}},
        {"words": {"a": [1.0, [1.0]]}},
        {"format": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_table_with_a_value_that_is_not_a_number_is_refused(change: Mapping[str, Any], tmp_path: Path) -> None:
    whole = {"format": "refinery.likeness/1", "kinds": {"talk": 0.0}, "words": {"a": [1.0, 2.0]}}
    (tmp_path / "l.json").write_text(json.dumps(whole))
    assert load_reference(tmp_path / "l.json")({"a": 1}) > 0.8
    (tmp_path / "l.json").write_text(json.dumps({**whole, **change}))
    with pytest.raises(UsageError, match=r"is no refinery\.likeness/1 model"):
        load_reference(tmp_path / "l.json")
