"""The benchmarks of branches and of the ladder: their data, configurations and bars."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.branches import SHAPES, answer_of, body, branch_toml, mixtures, shapes, show
from benchmarks.elastic_experts import toml
from benchmarks.ladder import LARGE, WIDTHS, sections_of, size
from tests.trainer.conftest import data, tokenizer  # noqa: F401
from trainer.config import Config


def test_configurations_are_some() -> None:
    config = Config.from_dict(tomllib.loads(toml(body(300, 1))))
    assert config.schedule.trunk_steps == 270 and config.run.checkpoint_marks == (180, *range(242, 270, 4))
    for width in (*WIDTHS, LARGE):
        assert Config.from_dict(tomllib.loads(toml(sections_of(width, 600)))).schedule.decay_steps == 120
    assert 7.5 < size(LARGE) / size(WIDTHS[-1]) < 8.5


def test_methods_are_mixtures_of_all_sources(data: Path) -> None:  # noqa: F811
    found = mixtures(data)
    assert [*found] == ["even", "web", "encyclopedia"]
    assert all(sum(weights.values()) == pytest.approx(1) and len(weights) == 2 for weights in found.values())
    written = tomllib.loads(branch_toml({"steps": 30}, {"web": {"mixture": found["web"]}} | shapes(0)))
    assert written["all"] == {"decay": {"steps": 30}} and written["branches"]["web"]["mixture"] == found["web"]
    assert written["branches"]["merge-floor"]["merge"]["min_lr_factor"] == 0.3
    assert "decay-sqrt" not in written["branches"]


def compared(bits: dict[str, float]) -> dict[str, Any]:
    row = {"difference": 0.1, "low": 0.0, "high": 0.2, "verdict": "undecided"}
    names = [*bits, "seed", *(f"{kind}-{name.replace(' ', '-')}" for kind in ("decay", "merge") for name in SHAPES)]
    rows = {name: {**row, "bits_per_byte": bits.get(name, 2.0 + 0.01 * i)} for i, name in enumerate(names)}
    return {
        "branches": rows, "control": {"bits_per_byte": 2.0}, "ranking": [*rows], "documents": 3, "noise_of_seeds": 0.0,
        "second": {"bits_per_byte": bits, "flipped_pairs": []}, "cost": {"runs": 1.9, "runs_without_trunk": 10},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("whole", "passed"),
    [((1.0, 2.0, 3.0, 4.0, 5.0), True), ((1.0, 3.0, 2.0, 4.0, 5.0), True), ((2.0, 1.0, 3.0, 4.0, 5.0), False)],
)
def test_the_bars(whole: tuple[float, ...], passed: bool) -> None:
    names = "abcde"
    found = answer_of(compared(dict(zip(names, (1.0, 2.0, 3.0, 4.0, 5.0)))), dict(zip(names, whole)))
    assert found["passed"] == passed and found["spearman"] >= 0.8
    assert any("1.90 runs in place of 10" in line for line in show({**found, "steps": 300}))
