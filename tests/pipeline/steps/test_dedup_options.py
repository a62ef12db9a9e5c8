"""Options of `dedup` that are out of range are refused when a recipe is read, in a line."""

from typing import Any

import pytest

from infra.errors import UsageError
from pipeline.steps.dedup import MOST, OPTIONS, Dedup

BEYOND = 10**20


def checked(method: str, **options: Any) -> dict[str, Any]:
    return Dedup("step", method, {"index": "folder", **options} if method == "index" else options).checked_options()


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (method, name)
        for method, options in OPTIONS.items()
        for name, default in options.items()
        if type(default) is int and name not in ("bands", "rows")  # these have bounds of their own
    ],
)
def test_a_whole_number_beyond_32_bits(method: str, name: str) -> None:
    assert checked(method, **{name: MOST})[name] == MOST
    with pytest.raises(UsageError, match=f"dedup {method}: {name} is {BEYOND}; give at most 2,147,483,647"):
        checked(method, **{name: BEYOND})


@pytest.mark.parametrize("name", ["gap", "characters", "tokens", "bytes"])
def test_below_nothing(name: str) -> None:
    with pytest.raises(UsageError, match=f"dedup substring: {name} is -1; give at least"):
        checked("substring", **{name: -1})
