"""Word weights and combinations of signals: they recover planted effects, are readable, and are cross-validated."""

import random
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.bag_of_words import quality_words, word_counts
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.fit.bag_of_words import bag_of_words_from, cross_fitted, fit_bag_of_words
from pipeline.fit.combination import Rows, Shape, fit_curves, held_out_scores, knots, pooled, recipe_line, scores
from pipeline.fit.texts import Sample, auc
from pipeline.models.bag_of_words import load_bag_of_words
from pipeline.models.combination import load_combination
from pipeline.models.loaded import loaded_models
from pipeline.recipes.parse import parse_recipe
from pipeline.steps.combine import Combine
from pipeline.steps.interpreter import run_steps


def numbered(stem: str, count: int) -> list[str]:
    """Words that differ in letters: digits are all alike to the models."""
    return [stem + chr(97 + i // 26) + chr(97 + i % 26) for i in range(count)]


PROSE, MENU, COMMON = numbered("because", 40), numbered("click", 40), numbered("word", 80)


def samples(kind: list[str], count: int, seed: int) -> list[Sample]:
    draw = random.Random(seed)
    return [Sample(" ".join(draw.choices(kind + COMMON, k=60)), f"host{draw.randrange(20)}") for _ in range(count)]


@given(st.text(alphabet="aBÉß1٣²½İΣK _-'’.\nか\u0307\ud800\0", max_size=40))
@example("1a 2a a1 ٣a 10 20 x²")
def test_words_are_counted_as_quality_models_cut_them(text: str) -> None:
    assert word_counts(text) == Counter(quality_words(text).split())


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("中文", {"中": 1, "文": 1, "中文": 1}),
        ("國文，国文", {"国": 2, "文": 2, "国文": 2}),  # traditional as simplified
        ("用Docker 2部署", {"docker": 1, "0": 1, "用": 1, "部": 1, "署": 1, "部署": 1}),
        ("一\n一", {"一": 2}),
    ],
)
def test_chinese_is_counted_by_characters_and_pairs(text: str, counts: dict[str, int]) -> None:
    assert word_counts(text) == counts


def test_the_classifier_learns_words_and_not_their_number(tmp_path: Path) -> None:
    good, other = samples(PROSE, 60, 1), samples(MENU, 60, 2)
    card = bag_of_words_from(good, other, (), tmp_path / "w.tsv", [], "here")
    assert card["held_out"]["auc"] > 0.99
    model = load_bag_of_words(tmp_path / "w.tsv")
    score = model.score
    assert score(" ".join(PROSE[:9])) > 0.7 > 0.3 > score(" ".join(MENU[:9]))
    assert score("") == score("nothing known") == score("\0\ud800")
    assert min(model.words[word][1] for word in PROSE) > 0 > max(model.words[word][1] for word in MENU)


def test_length_can_be_matched() -> None:
    """Most good pages are long, and long pages have a word of their own; only a model that may learn length does."""
    draw = random.Random(3)

    def pages(kind: list[str], shorts: int, longs: int) -> list[Sample]:
        sizes = [30] * shorts + [90] * longs
        texts = (" ".join(draw.choices(kind + COMMON, k=size) + ["longer"] * (size > 30) * 3) for size in sizes)
        return [Sample(text, f"host{number % 9}") for number, text in enumerate(texts)]

    sides = numbered("reason", 40), numbered("button", 40)  # of one length
    good, other = pages(sides[0], 20, 80), pages(sides[1], 80, 20)
    plain, matched = (fit_bag_of_words(good, other, match_length=matched).words for matched in (False, True))
    assert plain["longer"][1] > 3 * abs(matched["longer"][1])
    assert all(np.mean([matched[word][1] for word in side]) * sign > 0.1 for side, sign in zip(sides, (1, -1)))


def test_the_classifier_is_the_same_in_any_order() -> None:
    good, other = samples(PROSE, 30, 1), samples(MENU, 30, 2)
    assert fit_bag_of_words(good, other) == fit_bag_of_words(good[::-1], other[::-1])


def test_reference_texts_move_their_words_up() -> None:
    good, other = samples(PROSE, 60, 1), samples(MENU, 60, 2)
    reference = [Sample(f"theorem lemma proof {sample.text}", "book") for sample in samples([], 60, 3)]
    assert "theorem" in fit_bag_of_words(good, other, reference).words
    without, with_books = fit_bag_of_words(good, other), fit_bag_of_words(good, other, reference)
    assert with_books.score("theorem lemma proof") > without.score("theorem lemma proof")


def test_references_are_scored_apart(tmp_path: Path) -> None:
    good, other = samples(PROSE, 60, 1), samples(MENU, 60, 2)
    reference = [Sample(f"{sample.text} theorem", sample.group) for sample in samples(PROSE, 40, 3)]
    held_out = bag_of_words_from(good, other, reference, tmp_path / "w.tsv", [], "here")["held_out"]
    assert held_out["auc_of_references"] > 0.99
    assert bag_of_words_from(good, other, (), tmp_path / "w.tsv", [], "here")["held_out"]["auc_of_references"] is None


def test_no_group_is_scored_by_a_model_fitted_on_it() -> None:
    """Labels that only a group's own words reveal cannot be predicted from other groups."""
    draw = random.Random(5)
    sides: list[list[Sample]] = [[], []]
    for number in range(40):
        own = numbered(f"own{chr(97 + number % 26)}{chr(97 + number // 26)}", 8)
        for _ in range(6):
            words = own * 3 + draw.choices(COMMON, k=60)
            sides[number % 2].append(Sample(" ".join(words), f"host{number}"))
    good, other, references = cross_fitted(*sides)
    assert auc(good, other) < 0.6 and references == []


def test_too_little_text_is_refused() -> None:
    with pytest.raises(UsageError, match="too little text"):
        fit_bag_of_words([Sample("a b c", "x")], [Sample("d e f", "y")])


def measured(count: int = 400) -> Rows:
    """Good texts are in the middle of one signal; the other is noise; some values are missing."""
    draw = np.random.default_rng(3)
    words, noise = draw.uniform(0, 1000, count), draw.uniform(0, 1, count)
    good = (np.abs(words - 500) < 200) ^ (draw.uniform(0, 1, count) < 0.05)
    noise[::7] = np.nan
    return Rows({"words": words, "digit_fraction": noise}, good, tuple(f"host{i % 40}" for i in range(count)))


def test_a_signal_held_constant_stands_for_none_of_the_others() -> None:
    """What is good is longer, and only so has more of the other signal."""
    draw = np.random.default_rng(4)
    good = draw.uniform(0, 1, 600) < 0.5
    length = draw.normal(0, 1, 600) + 2 * good
    values = {"words": length, "digit_fraction": length + draw.normal(0, 1, 600)}
    rows = Rows(values, good, tuple(f"host{i % 40}" for i in range(600)))
    alone = fit_curves(Rows({"digit_fraction": values["digit_fraction"]}, good, rows.groups))
    held = fit_curves(rows, Shape(constant=frozenset({"words"})))
    assert [term.signal for term in held.terms] == ["digit_fraction"]
    spans = [max(model.terms[0].add) - min(model.terms[0].add) for model in (alone, held)]
    assert spans[1] < 0.6 * spans[0]


def test_a_combination_follows_curves_that_bend() -> None:
    rows = measured()
    curves = fit_curves(rows)
    held_out = held_out_scores(rows)
    assert auc(held_out[rows.good], held_out[~rows.good]) > 0.9
    by_name = {term.signal: term for term in curves.terms}
    assert by_name["words"].added(500) > by_name["words"].added(10) + 1
    assert max(map(abs, by_name["digit_fraction"].add)) < 1


def test_a_shape_is_kept_against_the_data() -> None:
    """Few words and many are both bad here; a curve that may only rise cannot express the second."""
    rows = measured()
    free, rising = fit_curves(rows).terms[0].add, fit_curves(rows, Shape(frozenset({"words"}))).terms[0].add
    falling = fit_curves(rows, Shape(falling=frozenset({"words"}))).terms[0].add
    assert free[-1] < max(free) - 1
    assert list(rising) == sorted(rising) and rising[-1] > rising[0] + 1
    assert list(falling) == sorted(falling, reverse=True) and falling[0] > falling[-1] + 1


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 9)), min_size=1, max_size=12))
def test_the_nearest_curve_that_never_falls(points: list[tuple[float, float]]) -> None:
    values, weight = (np.array(column) for column in zip(*points))
    found = pooled(values, weight)
    assert np.all(np.diff(found) >= -1e-9) and np.isclose(found @ weight, values @ weight)
    assert np.allclose(pooled(found, weight), found)
    # no rising curve is nearer: a mean of the two would then be nearer still
    for other in (np.sort(values), np.full(len(values), values.mean())):
        assert weight @ (found - values) ** 2 <= weight @ (other - values) ** 2 + 1e-9


def test_references_are_fitted_on_and_not_measured() -> None:
    rows = measured()
    output = Rows(rows.values, rows.good, rows.groups, np.arange(len(rows.good)) % 2 == 0)
    half = output.where(output.good)
    assert (
        half.reference is not None
        and half.reference.sum() == (output.good & (np.arange(len(rows.good)) % 2 == 0)).sum()
    )
    assert fit_curves(output) == fit_curves(rows)


def test_the_recipe_gives_what_the_fit_measured(tmp_path: Path) -> None:
    rows = measured()
    curves = fit_curves(rows)
    (tmp_path / "mine.json").write_text(curves.as_text())
    assert load_combination(tmp_path / "mine.json") == curves
    text = f'[[stage]]\ncommand = "filter"\nstep = [{recipe_line(tmp_path / "mine.json", ["en"])}]'
    recipe = parse_recipe(tomllib.loads(text), "here").bound({"mine.json": tmp_path / "mine.json"})
    (step,) = recipe.stages[0].steps
    assert isinstance(step, Combine) and (step.terms, step.intercept, step.languages) == (
        curves.terms, curves.intercept, ("en",),
    )  # fmt: skip
    for index, value in enumerate(scores(curves, rows)[:50]):
        known = {
            name: None if np.isnan(column[index]) else float(column[index]) for name, column in rows.values.items()
        }
        document = Document("", language="en", signals=dict(known))
        assert run_steps(document, [step], loaded_models(())) == []
        assert document.signals["quality"] == value


def test_points_of_a_signal_that_is_always_the_same() -> None:
    assert knots(np.full(10, 3.0)) == (3.0,)
    assert knots(np.full(10, np.nan)) == (0.0,)


def test_one_side_alone_is_refused() -> None:
    rows = measured(40)
    with pytest.raises(UsageError, match="both sides"):
        fit_curves(rows.where(rows.good))
