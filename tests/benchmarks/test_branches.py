"""The benchmarks of branches and of the ladder: their data, configurations and bars."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.branch_ranks import agreement, bars_of, passed, targets
from benchmarks.branches import AS_IS, SHAPES, body, branch_toml, file_name, methods_of, more_of, shapes, show
from benchmarks.elastic_experts import toml
from benchmarks.ladder import LARGE, WIDTHS, sections_of, size
from tests.trainer.conftest import data, tokenizer  # noqa: F401
from trainer.config import Config

NAMES = ("a", "b", "c", "d", "e")


def test_configurations_are_some() -> None:
    config = Config.from_dict(tomllib.loads(toml(body(300, 1))))
    assert config.schedule.trunk_steps == 270 and config.run.checkpoint_marks == (180, *range(242, 270, 4))
    for width in (*WIDTHS, LARGE):
        assert Config.from_dict(tomllib.loads(toml(sections_of(width, 600)))).schedule.decay_steps == 120
    assert 7.5 < size(LARGE) / size(WIDTHS[-1]) < 8.5


def test_methods_are_overrides_of_a_branch(data: Path) -> None:  # noqa: F811
    found = methods_of(data, ["web", "encyclopedia", "web"])
    assert [*found][:2] == [AS_IS, "equal shares"] and len(found) == 5 and found[AS_IS] == {}
    mixed = [each["mixture"] for each in found.values() if "mixture" in each]
    assert len(mixed) == 2 and all(sum(weights.values()) == pytest.approx(1) for weights in mixed)
    table = {file_name(name): own for name, own in found.items() if own}
    written = tomllib.loads(branch_toml({"steps": 30}, table | shapes(0)))
    assert written["all"] == {"decay": {"steps": 30}} and written["branches"]["equal-shares"]["mixture"] == mixed[0]
    assert written["branches"]["merge-floor"]["merge"]["min_lr_factor"] == 0.3
    assert "decay-sqrt" not in written["branches"]


def made(means: tuple[float, ...], noise: float, seed: int) -> np.ndarray:
    """Bits of 3 seeds, 5 methods, 40 documents of 100 bytes; `noise`: of a seed, bits per byte."""
    random = np.random.default_rng(seed)
    levels = np.array(means) + noise * random.standard_normal((3, 5))
    return 100 * (levels[:, :, None] + random.standard_normal(40) + 0.01 * random.standard_normal((3, 5, 40)))


@pytest.mark.parametrize(
    ("whole", "noise", "expected"),
    [
        ((1.0, 1.2, 1.3, 1.4, 1.5), 0.001, True),
        ((1.0, 1.3, 1.2, 1.4, 1.5), 0.001, True),  # one pair the other way: .9
        ((1.2, 1.0, 1.3, 1.4, 1.5), 0.001, False),  # another best one
        ((1.5, 1.4, 1.3, 1.2, 1.0), 0.001, False),
        ((1.0, 1.2, 1.3, 1.4, 1.5), 0.5, None),  # seeds differ by more than methods
    ],
)
def test_ranks_agree_or_do_not_or_are_not_told(whole: tuple[float, ...], noise: float, expected: bool | None) -> None:
    bytes_N = np.full(40, 100.0)
    found = {"all": agreement(made((1.0, 1.2, 1.3, 1.4, 1.5), noise, 1), made(whole, noise, 2), bytes_N, NAMES)}
    bars = bars_of(found)
    assert passed(bars) is expected and len(bars) == 2
    if expected is not None:
        each = found["all"]
        assert each["whole"]["d"] - each["whole"]["c"] == pytest.approx(whole[3] - whole[2], abs=0.01)
        assert sum(each["pairs"].values()) == 10 and each["pairs"]["undecided"] == 0
        assert each["pairs"]["opposite"] == {(1.0, 1.3): 1, (1.2, 1.0): 1, (1.5, 1.4): 10}.get(whole[:2], 0)


def test_texts_that_users_care_for() -> None:
    found = targets(["b", "a", "b"])
    assert [*found] == ["all", "a", "b"] and found["b"].tolist() == [True, False, True] and found["all"].all()


def test_what_the_first_trunk_tells() -> None:
    bits = dict(zip(("equal-shares", "mostly-web", "no-decay", "narrow-window"), (1.1, 1.2, 1.3, 1.4)))
    row = {"difference": 0.1, "low": 0.0, "high": 0.2, "verdict": "undecided"}
    names = [*bits, "seed", *(f"{kind}-{file_name(name)}" for kind in ("decay", "merge") for name in SHAPES)]
    rows: dict[str, Any] = {
        name: {**row, "bits_per_byte": bits.get(name, 2.0 + 0.01 * i)} for i, name in enumerate(names)
    }
    compared = {
        "branches": rows, "control": {"bits_per_byte": 1.0}, "ranking": ["control", *rows], "documents": 3,
        "noise_of_seeds": 0.0, "second": {"bits_per_byte": bits | {"control": 1.0}},
        "cost": {"runs": 1.9, "runs_without_trunk": 10},
    }  # fmt: skip
    methods = [AS_IS, *(name.replace("-", " ") for name in bits)]
    found = more_of(compared, methods)
    assert found["spearman_early"] == pytest.approx(1) and found["decays"]["sqrt"] == 1.0
    each = agreement(made((1, 2, 3, 4, 5), 0.001, 1), made((1, 2, 3, 4, 5), 0.001, 2), np.full(40, 100.0), methods)
    bars = bars_of({"all": each})
    told = [*show({**found, "targets": {"all": each}, "bars": bars, "compared": compared, "steps": 300, "seeds": 3})]
    assert any("1.90 runs in place of 10" in line for line in told)
    assert sum(line.startswith("passed: all") for line in told) == 2
