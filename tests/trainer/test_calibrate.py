"""Policies by name and by file, how they are found, and what evaluation says of the use of experts."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UsageError
from tests.trainer.conftest import documents, write_config, write_tokens
from trainer.api import Sampling, calibrate_experts, evaluate, freeze, generate, train
from trainer.calibrate import between, calibrated_table, calibrated_values, cheapest_table
from trainer.checkpoint import read_checkpoint
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.run_files import find_checkpoint

LAYERS = 7


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("run")
    # A rate that makes the scores differ within a few steps.
    train(write_config(root, optimizer={"learning_rate": 3e-2}), data, root / "run")
    return root / "run"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, tokenizer: bytes) -> Path:
    return write_tokens(tmp_path_factory.mktemp("held") / "tokens", documents(seed=7, count=8), tokenizer)


@pytest.mark.parametrize("kind", ["top_p", "min_p"])
def test_a_value_is_found_and_the_file_gives_what_was_measured(
    run: Path, held: Path, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "made" / "policy.json"
    passes = []
    found = calibrate_experts(run, held, 5.0, file, kind, 12, 2, on_pass=lambda p, r: passes.append(p))  # type: ignore[arg-type]
    assert found["mean_k_by_layer"] == pytest.approx([5.0] * LAYERS, abs=0.25)
    assert abs(found["mean_k"] - 5.0) < 0.1 and 2 < len(passes) <= 15
    assert json.loads(file.read_bytes()) == found
    answer = evaluate(run, held, policy=str(file))
    assert answer["by_k"].keys() == {"12"}
    assert (answer["active_experts"], answer["overall"]) == (found["mean_k"], found["bits_per_byte"])
    assert answer["by_k"]["12"]["mean_k_by_domain"] == found["mean_k_by_domain"]
    assert evaluate(run, held, [12])["overall"] == found["bits_per_byte_at_k"]
    assert generate(run, ["the river"], 5, policy=str(file)) == generate(run, ["the river"], 5, policy=str(file))


def test_the_use_of_experts_adds_up(run: Path, held: Path) -> None:
    """Domains and layers have the same total, padding is in none, and a fixed k is k everywhere."""
    answer = evaluate(run, held, [4, 12], "top_p=0.5")
    for result in answer["by_k"].values():
        by_layer = result["mean_k_by_layer"]
        assert sum(by_layer) / LAYERS == pytest.approx(result["active_experts"])
        values = result["mean_k_by_domain"].values()
        assert min(values) <= result["active_experts"] <= max(values)
        assert all(least <= 1 <= most for least, most in zip(result["least_load"], result["load_imbalance"]))
        # Eight groups of two experts: the largest is between the mean and the largest expert.
        assert all(1 <= group <= most for group, most in zip(result["group_imbalance"], result["load_imbalance"]))
        assert all((least == 0) == (n > 0) for least, n in zip(result["least_load"], result["unused_experts"]))
    fixed = evaluate(run, held, [3])["by_k"]["3"]
    assert set(fixed["mean_k_by_domain"].values()) == {3.0} == set(fixed["mean_k_by_layer"])


def test_a_table_is_a_k_for_each_layer(run: Path, held: Path, tmp_path: Path) -> None:
    words = "table=1,2,3,4,5,6,7"
    answer = evaluate(run, held, policy=words)["by_k"]["7"]
    assert answer["mean_k_by_layer"] == [1, 2, 3, 4, 5, 6, 7]
    assert (
        evaluate(run, held, policy="table=" + ",".join("4" * LAYERS))["overall"] == evaluate(run, held, [4])["overall"]
    )
    assert generate(run, ["the river"], 8, policy=words, sampling=Sampling(0.0))
    found = calibrate_experts(run, held, 2.0, tmp_path / "table.json", "table", k=4)
    assert sum(found["table"]) == 2 * LAYERS and found["mean_k"] == 2.0
    assert found["bits_per_byte"] <= evaluate(run, held, [2])["overall"]
    assert evaluate(run, held, policy=str(tmp_path / "table.json"))["overall"] == found["bits_per_byte"]


@pytest.mark.parametrize(
    ("policy", "ks", "message"),
    [
        ("mass", (), r"no policy 'mass': give fixed, top_p=P"),
        ("top_p", (), "no policy 'top_p'"),
        ("top_p=half", (), "no policy 'top_p=half'"),
        ("fixed=3", (), "no policy 'fixed=3'"),
        ("min_p=1.5", (), "over 0 and at most 1"),
        ("min_p=.5,.5,.5,.5,.5,.5,1.5", (), "over 0 and at most 1"),
        ("top_p=.5,.5", (), "the policy has 2 numbers; the model has 7"),
        ("table=1,2", (), "the table has 2 numbers; the model has 7"),
        ("table=1,x", (), "no policy 'table=1,x'"),
        ("table=1,2,3,4,5,6,17", (), "k may be 1 to 16"),
        ("table=1,2,3,4,5,6,7", (4,), "has its own k: leave out --k"),
        ("fixed", (0,), "k is 0"),
    ],
)
def test_policies_that_are_none_are_named(run: Path, policy: str, ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        policies_named(policy, ks, read_checkpoint(find_checkpoint(run)))
    assert "\n" not in str(error.value)


def test_a_file_is_of_its_checkpoint_and_whole(run: Path, held: Path, tmp_path: Path, data: Path) -> None:
    file = tmp_path / "policy.json"
    body = calibrate_experts(run, held, 3.0, file)
    freeze(run, tmp_path / "frozen")
    assert evaluate(tmp_path / "frozen", held, policy=str(file))["overall"] == body["bits_per_byte"]
    train(write_config(tmp_path), data, tmp_path / "other", 1)
    with pytest.raises(UsageError, match=r"was calibrated on the checkpoint [0-9a-f]{64}, not on"):
        evaluate(tmp_path / "other", held, policy=str(file))
    with pytest.raises(UsageError, match="has its own k"):
        evaluate(run, held, [4], str(file))
    for change, message in (
        ({"format": "x"}, "is not of format"),
        ({"value": "x"}, r"policy\.json\.value is 'x'"),
        ({"values": [0.0] * LAYERS}, "over 0 and at most 1"),
        ({"table": [[]]}, "table"),
    ):
        file.write_text(json.dumps(body | change))
        with pytest.raises(UsageError, match=message):
            evaluate(run, held, policy=str(file))
    file.write_text("[")
    with pytest.raises(UsageError, match="is no JSON"):
        evaluate(run, held, policy=str(file))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean_k": 5.0}, "may be 1 to 4"),
        ({"mean_k": 2.0, "minimum": 3}, "may be 3 to 4"),
        ({"mean_k": 2.0, "k": 17}, "k may be 1 to 16"),
        ({"mean_k": 2.0, "minimum": 0}, "minimum of experts is 0"),
        ({"mean_k": 2.0, "policy": "fixed"}, "nothing to calibrate"),
    ],
)
def test_what_cannot_be_calibrated_is_said(
    run: Path, held: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        calibrate_experts(run, held, out=tmp_path / "policy.json", **given)
    assert not (tmp_path / "policy.json").exists()


def test_bisection_ends_near_the_target_or_says_so() -> None:
    def measure(policy: KPolicy) -> dict[str, float]:
        shares = policy.values[0], policy.values[1] ** 2
        means = [1 + 11 * (share if policy.kind == "top_p" else 1 - share) for share in shares]
        return {"active_experts": sum(means) / 2, "mean_k_by_layer": means, "overall": 1.0}

    for kind in ("top_p", "min_p"):
        policy, result = calibrated_values(measure, 4.0, KPolicy(12, kind, 1.0), 2)  # type: ignore[arg-type]
        assert result["mean_k_by_layer"] == pytest.approx([4.0, 4.0], abs=0.02)
        share = 3 / 11 if kind == "top_p" else 8 / 11
        assert policy.values == pytest.approx((share, share**0.5), abs=0.002)
    with pytest.raises(UsageError, match=r"does not reach a mean of 4.0 experts: the nearest is 12.00"):
        never = {"active_experts": 12.0, "mean_k_by_layer": [12.0]}
        calibrated_values(lambda _: never, 4.0, KPolicy(12, "top_p", 1.0), 1)


def test_the_cheapest_table_is_that_of_all_tables() -> None:
    costs = [[9.0, 4.0, 1.0, 0.5], [3.0, 2.9, 2.8, 2.7], [5.0, 1.0, 0.9, 0.9]]
    for total in range(6, 16):
        tables = [table for table in itertools.product(range(2, 6), repeat=3) if sum(table) == total]
        cheapest = min(sum(cost[k - 2] for cost, k in zip(costs, table)) for table in tables)
        found = cheapest_table(costs, 2, total)
        assert sum(found) == total and sum(cost[k - 2] for cost, k in zip(costs, found)) == cheapest
    assert between({1: 4.0, 3: 2.0, 4: 1.0}, 1, 4) == [4.0, 3.0, 2.0, 1.0]


def test_a_table_gives_experts_to_the_layers_that_need_them() -> None:
    def measure(policy: KPolicy) -> dict[str, float]:
        return {"overall": 3 / policy.table[0] + 1 / policy.table[1]}

    policy, _ = calibrated_table(measure, 6.0, 12, 1, 2)
    assert policy.table[0] > policy.table[1] and sum(policy.table) == 12
    # Where layers depend on each other so that the sum of their effects is wrong, the same k in all is kept.
    even, _ = calibrated_table(lambda p: {"overall": len(set(p.table)) - 0.01 * max(p.table)}, 6.0, 12, 1, 2)
    assert even.table == (6, 6)
