"""Near-copies by all shingles: what two sets share, counted one by one, says the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.near_copies import SHARED, NearCopies
from dedup.shingles import shingles

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen")
PAGE = " ".join(f"{first} {second}" for first in WORDS for second in WORDS[:3])


def test_a_piece_of_a_page_is_a_near_copy_and_so_is_the_page_of_the_piece() -> None:
    piece = PAGE[200:400]
    assert NearCopies([PAGE]).has_one_of(piece) and NearCopies([piece]).has_one_of(PAGE)
    assert NearCopies(["nothing like it", PAGE]).has_one_of(piece.upper().replace("eight", "eighth", 1))
    assert not NearCopies([piece]).has_one_of("one two three nine nine nine nine seven seven seven seven")
    assert NearCopies(["春眠不觉晓，处处闻啼鸟。夜来风雨声"]).has_one_of("春眠不觉晓处处闻啼鸟")


def test_texts_without_words_are_no_near_copies() -> None:
    assert not NearCopies([]).has_one_of(PAGE) and not NearCopies(["", "…"]).has_one_of("…")
    assert not NearCopies([PAGE]).has_one_of("")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=14), max_size=5),
    st.lists(st.sampled_from("abc"), max_size=14),
)
def test_it_is_what_sets_share(texts: list[list[str]], words: list[str]) -> None:
    own = set(shingles(" ".join(words)).tolist())
    others = [set(shingles(" ".join(each)).tolist()) for each in texts]
    expected = any(own & each and len(own & each) >= SHARED * min(len(own), len(each)) for each in others)
    assert NearCopies([" ".join(each) for each in texts]).has_one_of(" ".join(words)) == expected
