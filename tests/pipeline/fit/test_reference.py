"""The reference classifier: a table by kind, set against pages; and the accept path of a recipe."""

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
from pipeline.models.bag_of_words import BagOfWords, load_bag_of_words
from pipeline.models.combination import Term
from pipeline.models.loaded import Models, loaded_models
from pipeline.models.reference import FORMAT, load_reference
from pipeline.models.store import shipped_models
from pipeline.models.word_table import parse_word_table
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.signals import check_signals
from pipeline.steps.combine import Combine
from pipeline.steps.interpreter import run_steps
from pipeline.steps.label import Label
from tests.files import write_rows
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
    out = tmp_path / "reference.tsv"
    card = reference_from(CLEAN, PAGES, out, [], "here")
    table = parse_word_table(out.read_text(), FORMAT)
    assert list(table.intercepts) == ["code", "dialogue"]
    for column, (kind, words) in zip(table.weights, KINDS.items(), strict=True):
        weights = dict(zip(table.words, column, strict=True))
        assert min(weights[word] for word in words) > 0, kind
        assert max(weights[word] for word in MENU) < 0, kind
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
    card = reference_from(CLEAN, [*PAGES, *alike], tmp_path / "reference.tsv", [], "here")
    score = load_reference(tmp_path / "reference.tsv")
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
    rows = [{"text": s.text, "source": s.group, "domain": s.domain} for s in CLEAN]
    named = write_rows(tmp_path / "named.jsonl", [row | {"domain": None} for row in rows[:40]])
    brought = write_rows(tmp_path / "brought.jsonl", rows[40:])
    pages = [{"text": s.text, "url": f"http://{s.group}.example/"} for s in PAGES]
    pages = write_rows(tmp_path / "pages.jsonl", pages)
    out = tmp_path / "reference.tsv"
    given = ("--positive", f"code={named}", "--positive", brought, "--negative", pages, "--out", out)
    card = answer("fit", "reference", *given)
    assert list(parse_word_table(out.read_text(), FORMAT).intercepts) == ["code", "dialogue"]
    assert card["positive"]["code"]["texts"] == 40
    with pytest.raises(UsageError, match="KIND=PATH"):
        fit_reference([str(named)], [pages], out)
    with pytest.raises(UsageError, match="a kind cannot be called"):
        fit_reference([f"a\tb={named}"], [pages], out)


def test_too_little_text_is_said() -> None:
    with pytest.raises(UsageError, match="too little text to fit a reference classifier: 1 texts of 1 kinds, 1 pages"):
        fit_tables(cut([Sample("a b", "x", "code")], [Sample("c d", "y")]))


ACCEPT = Combine("accept", "quality", (Term("reference", (0.0, 0.5, 1.0), (-9.2, 3.41, 9.2)),), larger=True)


@pytest.mark.parametrize(
    ("before", "score", "after"), [(0.3, 0.9, 0.9996), (0.97, 0.1, 0.97), (None, 0.5, 0.968), (0.5, 0.0, 0.5)]
)
def test_the_larger_of_two_combinations_stays(before: float | None, score: float, after: float) -> None:
    document = Document("text", signals={"reference": score, **({} if before is None else {"quality": before})})
    trace: list[dict[str, Any]] = []
    assert not run_steps(document, [ACCEPT], loaded_models(()), trace)
    assert document.signals["quality"] == pytest.approx(after, abs=1e-3) == trace[0]["value"]
    lines = list(combine_lines(trace[0]))
    assert ("larger" in lines[-1]) == (before is not None)


CAP = Combine("cap", "quality", (Term("hate", (0.4, 0.5), (14.0, -4.0), missing=14.0),), smaller=True)


@pytest.mark.parametrize(("before", "hate", "after"), [(0.97, 0.1, 0.97), (0.97, 0.5, 0.018), (0.01, 0.5, 0.01)])
def test_the_smaller_of_two_combinations_stays(before: float, hate: float, after: float) -> None:
    document = Document("text", signals={"hate": hate, "quality": before})
    trace: list[dict[str, Any]] = []
    assert not run_steps(document, [CAP], loaded_models(()), trace)
    assert document.signals["quality"] == pytest.approx(after, abs=1e-3) == trace[0]["value"]
    assert "the smaller of this and the earlier value" in list(combine_lines(trace[0]))[-1]
    assert CAP.lines()[0].endswith("if that is smaller")


def test_words_are_cut_once_and_anew_after_an_edit(tmp_path: Path) -> None:
    reference_from(CLEAN, PAGES, tmp_path / "reference.tsv", [], "here")
    (tmp_path / "bag_of_words.tsv").write_text(BagOfWords(0.0, dict.fromkeys(MENU, (1.0, 1.0))).as_text())
    models = Models({name: str(tmp_path / f"{name}.tsv") for name in ("reference", "bag_of_words")})
    steps = [Label("b", "bag_of_words", "bag_of_words"), Label("r", "reference", "reference")]
    document = Document(" ".join(MENU))
    run_steps(document, steps, models)
    first = document.word_counts
    assert document.signals["bag_of_words"] == load_bag_of_words(tmp_path / "bag_of_words.tsv").score(document.text)
    document.replace_text(" ".join(KINDS["code"]))
    assert "reference" in document.signals and document.word_counts == word_counts(document.text) != first
    run_steps(document, steps, models)
    assert (document.signals["reference"] or 0) > 0.9


def recipe(*steps: Mapping[str, object]) -> dict[str, object]:
    return {"name": "x", "stage": [{"command": "filter", "name": "f", "step": list(steps)}]}


TERMS = [{"signal": "words", "at": [1], "add": [1]}]


def test_larger_is_read_shown_and_needs_something_to_be_larger_than() -> None:
    first = {"kind": "combine", "signal": "quality", "terms": TERMS}
    second = {**first, "name": "accept", "larger": True}
    read = parse_recipe(recipe(first, second), "x")
    check_signals(read)
    assert read.stages[0].steps[1].lines()[0].endswith("if that is larger")
    with pytest.raises(UsageError, match="combine 'accept': nothing before it sets 'quality'"):
        check_signals(parse_recipe(recipe(second), "x"))
    with pytest.raises(UsageError, match="larger must be true or false, not 1"):
        parse_recipe(recipe(first, {**second, "larger": 1}), "x")


TALK = "USER: Yes, that would be great, thank you. ASSISTANT: Okay, what time would you like the table for? "
PROOF = (
    "Lemma. Let f be a morphism of X to Y, and let X be finite. Then f is an isomorphism if and only if the map is "
    "injective. Proof. Since f is injective, we have f(x) = f(y) only if x = y; hence the set is finite. "
)
FORM = "Home About us Contact Privacy policy Add to cart Sign up for our newsletter and save on your first order. "
TALK_ZH = "你好，请帮我推荐一个评分高的餐馆，人均消费是多少？您好，推荐您去这家，那里的菜很好吃。好的，谢谢你！"
FORM_ZH = "首页 关于我们 新闻中心 产品展示 联系方式 在线留言 版权所有 厂家批发价格 上一篇 下一篇"
ACCEPT_PATHS = [
    ("en", [0.8, 0.95], [(TALK, True), (PROOF, True), (FORM, False)]),
    ("zh", [0.4, 0.5], [(TALK_ZH, True), (FORM_ZH, False)]),
]


@pytest.mark.parametrize(("language", "bounds", "texts"), ACCEPT_PATHS)
def test_the_accept_path_of_yi(language: str, bounds: list[float], texts: list[tuple[str, bool]]) -> None:
    """Dialogue, mathematics, programming pass both bounds on quality by their reference score alone; a menu passes
    none."""
    score = load_reference(shipped_models()[f"reference-{language}.tsv"])
    steps = [s for stage in load_recipe("yi").stages for s in stage.steps if isinstance(s, Combine)]
    steps = [s for s in steps if s.larger and s.languages == (language,)]
    for text, passes in texts:
        found = score(word_counts(text * 5))
        for step, bound in zip(steps, bounds, strict=True):
            document = Document(text, language=language, signals={"reference": found, "quality": 0.1})
            run_steps(document, [step], loaded_models(()))
            assert ((document.signals["quality"] or 0) >= bound) == passes, (text, step.name, found)
