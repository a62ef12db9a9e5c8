"""The options of an extractor, from a recipe's table."""

import pytest

from infra.errors import UsageError
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions
from pipeline.extract.extractors.table import options_of
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions


def test_options_are_those_given_and_the_defaults() -> None:
    assert options_of("trafilatura", {}) == TrafilaturaOptions()
    assert options_of("trafilatura", {"favor": "recall", "fallback": False}) == TrafilaturaOptions("recall", False)
    assert options_of("resiliparse", {"main_content": False}) == ResiliparseOptions(main_content=False)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("trafilatura", {"favour": "recall"}, "trafilatura has no option 'favour'; did you mean 'favor'"),
        ("trafilatura", {"favor": "speed"}, "'precision' or 'recall' or 'balanced'"),
        ("trafilatura", {"fallback": 1}, "'fallback' of extractor trafilatura is 1; it must be true or false"),
        ("all_text", {"main_content": True}, "no option 'main_content'; there is title"),
        ("strip_tags", {"title": True}, "there is none"),
    ],
)
def test_wrong_options_are_the_users_error(name: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        options_of(name, options)
