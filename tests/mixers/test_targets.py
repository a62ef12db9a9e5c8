"""A recipe's draw block: read whole, or refused with the key that is wrong."""

from typing import Any

import pytest

from infra.errors import UsageError
from mixers.targets import DrawConfig


def test_block_round_trips_through_params() -> None:
    block = {
        "targets": {"IQ": 0.5, "code": 0.2}, "min_source_share": {"web": 0.2}, "max_epochs_of": {"curated/code": 2},
        "tokens": 5_000_000, "tolerance": 0.02, "seed": 7,
    }  # fmt: skip
    config = DrawConfig.from_block(block)
    assert DrawConfig.from_block(config.as_params()) == config
    assert config.as_params()["tokens"] == 5_000_000
    assert DrawConfig.from_block({"tokens": "max"}).as_params()["tokens"] == "max"


def test_the_most_specific_epoch_cap_wins() -> None:
    config = DrawConfig(max_epochs=4, max_epochs_of={"web": 1, "web/code": 2})
    assert [
        config.epochs_cap("web", "code"),
        config.epochs_cap("web", "arts"),
        config.epochs_cap("curated", "code"),
    ] == [2, 1, 4]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"target": {"IQ": 1}}, "did you mean 'targets'"),
        ({"targets": {"maths": 0.1}}, "'maths'"),
        ({"targets": {"IQ": 1.5}}, "draw.targets.IQ"),
        ({"targets": {"IQ": "half"}}, "draw.targets.IQ"),
        ({"targets": {"IQ": float("nan")}}, "draw.targets.IQ"),
        ({"targets": 0.5}, "table"),
        ({"tolerance": {"IQ": 1}}, "one value"),
        ({"targets": {"IQ": 0.7, "EQ": 0.7}}, "sum to 1.4"),
        ({"targets": {"IQ": 0.5, "EQ": 0.3, "general": 0.1}}, "sum to 0.9"),
        ({"targets": {"IQ": 0.1, "code": 0.2}}, "more than IQ"),
        ({"tokens": 0}, "draw.tokens"),
        ({"tokens": "many"}, "draw.tokens"),
        ({"max_epochs": -1}, "max_epochs"),
        ({"max_epochs": True}, "max_epochs"),
        ({"seed": -1}, "draw.seed"),
    ],
)
def test_what_is_wrong_is_named(block: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match="(?s)" + words.replace("(", r"\(")) as caught:
        DrawConfig.from_block(block)
    assert "\n" not in str(caught.value)
