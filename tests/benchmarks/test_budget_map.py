"""What the budget map is made of: pieces of documents, steps of a run, and how a forecast is scored."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.budget_map import LENGTH, SEQUENCES, SHORTEST, checked, stable_steps, trainings
from benchmarks.budget_pools import PIECE_CHARS, pieces, place_of


@given(st.text(st.sampled_from("ab \n字"), min_size=1, max_size=9000))
def test_pieces_are_the_text_in_order(text: str) -> None:
    found = list(pieces(text))
    assert all(0 < len(each) <= PIECE_CHARS for each in found)
    assert text.startswith("".join(found)) and not text[len("".join(found)) :].strip()


def test_a_long_line_of_words_is_cut_between_words() -> None:
    assert all(each.endswith(" ") for each in list(pieces("word " * 3000))[:-1])


def test_a_place_is_the_texts_own() -> None:
    assert 0 <= place_of("a") < 1 and place_of("a") == place_of("a") != place_of("b")


def test_a_run_is_a_trunk_and_a_fifth_of_decay() -> None:
    steps = SHORTEST // (LENGTH * SEQUENCES)
    assert stable_steps(SHORTEST) == round(0.8 * steps)


def test_every_training_has_a_name_of_its_own_and_seeds_are_the_recipes() -> None:
    every = trainings((SHORTEST, 2 * SHORTEST), 3)
    assert len({each.name for each in every}) == len(every)
    assert {each.pool for each in every if each.seed} == {"yi", "falcon", "ccnet"}


def test_a_run_is_scored_by_the_forecast_of_its_budget() -> None:
    row = {"pool": "yi", "epochs": 3.0, "loss": 3.0, "low": 2.9, "high": 3.1}
    forecast = [
        {"budget": 100, "pools": [row], "law": {"loss": "a+b"}},
        {"budget": 200, "pools": [], "law": {"loss": "a"}},
    ]
    (found,) = checked(forecast, [{"pool": "yi", "tokens": 100, "loss": {"a": 3.0, "b": 3.3}}])
    assert found["measured"] == 3.15 and not found["inside"] and found["forecast"] == 3.0
