"""What a refused command says of the arguments that differ: words, not JSON."""

from typing import Any

import pytest

from infra.dataset.differences import differences

RUN = {"command": "run", "recipe": {"name": "yi", "sha256": "1"}, "inputs": [{"name": "a.gz", "sha256": "1"}]}
STAGE = {"kind": "documents", "stage": "filter", "recipe": {"name": "yi", "sha256": "1"}, "params": {}, "inputs": []}
FILES = [{"name": f"{name}.gz", "sha256": name} for name in "abcde"]


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (RUN, RUN, []),
        (RUN, RUN | {"command": "compare"}, ["it holds what `refinery run` makes, not what `refinery compare` makes"]),
        (STAGE, RUN, ["it holds the documents of stage 'filter', not what `refinery run` makes"]),
        (
            STAGE | {"stage": None, "kind": None},
            STAGE,
            ["it holds something else, not the documents of stage 'filter'"],
        ),
        (
            RUN,
            RUN | {"inputs": FILES[:2]},
            ["the input 'b.gz' is new", "the input 'a.gz' has changed since"],
        ),
        (
            RUN | {"inputs": FILES},
            RUN | {"inputs": []},
            ["the inputs 'a.gz', 'b.gz', 'c.gz' (and 2 more) are missing now"],
        ),
        (RUN | {"inputs": FILES}, RUN | {"inputs": FILES[::-1]}, ["the inputs come in another order"]),
        (RUN, RUN | {"recipe": {"name": "c4", "sha256": "2"}}, ["the recipe was 'yi', and is 'c4' now"]),
        (
            RUN,
            RUN | {"recipe": {"name": "yi", "sha256": "2"}},
            ["the recipe 'yi', or a model of it, has changed since"],
        ),
        (
            {"command": "compare", "recipes": {"yi": "1", "c4": "1"}},
            {"command": "compare", "recipes": {"yi": "2", "fineweb": "1"}},
            ["the recipe 'fineweb' is new", "the recipe 'c4' is missing now", "the recipe 'yi' has changed since"],
        ),
        (RUN, RUN | {"limit": 3}, ["it was begun without --limit, and this is with --limit 3"]),
        (STAGE | {"params": {"limit": 3}}, STAGE, ["it was begun with --limit 3, and this is without --limit"]),
        (
            STAGE | {"params": {"signals": ["words", "lines"]}},
            STAGE,
            ["signals was words, lines, and is not given now"],
        ),
        (
            STAGE,
            STAGE | {"params": {"tokenizer": {"name": "t" * 99}}},
            [f"tokenizer was not given, and is name {'t' * 55}… now"],
        ),
        (RUN | {"ids": "1"}, RUN | {"ids": "2"}, ["the list of --ids is another one"]),
        (
            {"command": "takedown", "list": "1", "inputs": ["0" * 64]},
            {"command": "takedown", "list": "2", "inputs": ["1" * 64]},
            [
                f"the input '{'1' * 12}' is new",
                f"the input '{'0' * 12}' is missing now",
                "the list of documents is another one",
            ],
        ),
    ],
)
def test_in_words(before: dict[str, Any], now: dict[str, Any], says: list[str]) -> None:
    assert differences(before, now) == says
