"""Names that nobody knows are answered with the near ones, or with those that there are, in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.names import MOST_LISTED, meant


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("wrods", ["words", "lines"], "did you mean 'words'?"),
        ("WORDS", ["words", "lines"], "did you mean 'words'?"),
        ("gopher", ["c4", "gopher-a", "b-gopher-c"], "did you mean 'gopher-a' or 'b-gopher-c'?"),
        ("zzz", ["words", "lines"], "there are words, lines"),
        ("zzz", ["words"], "there is words"),
        ("zzz", [], "there is none"),
        ("", ["words"], "there is words"),
        (5, ["words"], "there is words"),
        ("zzz", map(str, range(40)), "there are 0, 1, 2"),
    ],
)  # fmt: skip
def test_what_is_said(name: object, known: list[str], says: str) -> None:
    assert meant(name, known).startswith(says)


def test_long_lists_are_cut_or_elsewhere() -> None:
    names = [f"n{number}" for number in range(MOST_LISTED + 3)]
    assert meant("zzz", names).endswith("and 3 more")
    assert meant("zzz", names, "refinery recipes signals") == "`refinery recipes signals` lists them"


@given(st.text(), st.lists(st.text(st.characters(categories=["L"]), max_size=8)))
def test_any_name_is_answered_in_one_line(name: str, known: list[str]) -> None:
    assert len(meant(name, known).splitlines()) == 1
