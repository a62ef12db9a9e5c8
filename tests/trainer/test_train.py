"""Training, resuming, freezing and branching: the equalities are bit for bit."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.errors import UsageError
from infra.hashing import readable_json, sha256_json
from tests.files import flip
from tests.trainer.conftest import small_config, write_config
from trainer.api import branch, freeze, train
from trainer.checkpoint import read_checkpoint
from trainer.config import Config, ScheduleConfig
from trainer.model import parameter_group
from trainer.runs import read_rows
from trainer.schedule import learning_rate_factor, total_steps, updates_router_bias

ConfigFile = Callable[..., Path]


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run of the whole schedule's trunk (8 steps), frozen."""
    root = tmp_path_factory.mktemp("trunk")
    train(write_config(root), data, root / "run")
    freeze(root / "run", root / "frozen")
    return root / "frozen"


def test_two_runs_are_equal_to_the_byte(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    results = [train(config_file(), data, tmp_path / name, 3) for name in "ab"]
    assert results[0]["sha256"] == results[1]["sha256"]
    assert (tmp_path / "a/log.jsonl").read_bytes() == (tmp_path / "b/log.jsonl").read_bytes()
    other = train(config_file(run={"seed": 2}), data, tmp_path / "c", 3)
    assert other["weights_sha256"] != results[0]["weights_sha256"]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    def stop_at_five(row: Mapping[str, Any], until: int) -> None:
        if row["step"] == 5:
            raise KeyboardInterrupt

    config = config_file()
    whole = train(config, data, tmp_path / "whole", 8)
    with pytest.raises(KeyboardInterrupt):
        train(config, data, tmp_path / "cut", 8, stop_at_five)
    with (tmp_path / "cut/log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')
    resumed = train(config, data, tmp_path / "cut", 8)
    assert resumed["sha256"] == whole["sha256"]
    assert (tmp_path / "cut/log.jsonl").read_bytes() == (tmp_path / "whole/log.jsonl").read_bytes()
    rows = read_rows(tmp_path / "cut/log.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert [row["tokens"] for row in rows] == [128 * (i + 1) for i in range(8)]
    assert {"learning_rate", "loss", "loss_by_domain", "mean_k", "grad_norm"} <= set(rows[0])


def test_a_second_call_does_nothing_and_other_arguments_are_refused(
    tmp_path: Path, config_file: ConfigFile, data: Path, other_data: Path
) -> None:
    first = train(config_file(), data, tmp_path / "run", 2)
    before = (tmp_path / "run/timings.jsonl").read_bytes()
    assert train(config_file(), data, tmp_path / "run", 2) == first
    assert (tmp_path / "run/timings.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match=r"config.optimizer.learning_rate was 0.003 and is now 0.1"):
        train(config_file(optimizer={"learning_rate": 0.1}), data, tmp_path / "run", 2)
    with pytest.raises(UsageError, match="other arguments \\(data was"):
        train(config_file(), other_data, tmp_path / "run", 2)
    with pytest.raises(UsageError, match="steps 1 to 12"):
        train(config_file(), data, tmp_path / "run", 13)


def test_a_run_made_before_a_field_was_there_goes_on_with_its_default(
    tmp_path: Path, config_file: ConfigFile, data: Path
) -> None:
    train(config_file(), data, tmp_path / "run", 1)
    path = tmp_path / "run/training.json"
    arguments = json.loads(path.read_bytes())
    del arguments["config"]["optimizer"]["max_loss_ratio"]
    path.write_bytes(readable_json(arguments))
    assert train(config_file(), data, tmp_path / "run", 2)["step"] == 2
    with pytest.raises(UsageError, match=r"optimizer.max_loss_ratio was 0.0 and is now 2.0"):
        train(config_file(optimizer={"max_loss_ratio": 2.0}), data, tmp_path / "run", 3)


def test_micro_batches_change_nothing(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    """k does not depend on them, so that accumulating any number of them is one batch but for the last bits."""
    losses = []
    for rows in (1, 3, 4):
        config = config_file(execution={"micro_batch_size": rows})
        losses.append(train(config, data, tmp_path / f"rows-{rows}", 4)["loss"])
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_training_lowers_the_loss(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    schedule = {"warmup_steps": 5, "trunk_steps": 60, "decay_steps": 0}
    train(config_file(schedule=schedule, run={"checkpoint_interval_steps": 60}), data, tmp_path / "run")
    losses = [row["loss"] for row in read_rows(tmp_path / "run/log.jsonl")]
    assert losses[0] > 5.5
    assert sum(losses[-5:]) / 5 < 4.0


def test_a_branch_without_overrides_continues_the_trunk(
    tmp_path: Path, config_file: ConfigFile, data: Path, trunk: Path
) -> None:
    whole = train(config_file(), data, tmp_path / "whole", 12)
    control = branch(trunk, {}, data, tmp_path / "control")
    assert control["control"] is True and control["overrides"] == {}
    assert control["state_sha256"] == whole["state_sha256"]
    assert control["weights_sha256"] == whole["weights_sha256"]
    decay = (tmp_path / "whole/log.jsonl").read_text().splitlines()[8:]
    assert (tmp_path / "control/log.jsonl").read_text().splitlines() == decay
    written = json.loads((tmp_path / "control/branch.json").read_bytes())
    assert written == {"format": "refinery.branch/2", "trunk": read_checkpoint(trunk).sha256, "overrides": {}}


OVERRIDES: list[dict[str, Any]] = [
    {"decay": {"steps": 3, "type": "linear"}},
    {"top_k": {"full_k": 2, "full_k_probability": 1.0}},
    {"data_seed": 8},
    {"optimizer": {"learning_rate": 1e-3}},
    {"frozen_groups": ["embedding", "router"]},
    {"mixture": {"web": 1.0, "encyclopedia": 3.0}},
    {"window": 8},
    {"sequence_length": 48},
    {"add": {"layers": [4, 5, 6, 7]}},
    {"add": {"experts": 2}},
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=lambda value: next(iter(value)))
def test_branches_with_equal_overrides_are_equal_and_differ_from_the_control(
    tmp_path: Path, data: Path, trunk: Path, overrides: dict[str, Any]
) -> None:
    first, second = (branch(trunk, overrides, data, tmp_path / name, steps=10) for name in "ab")
    assert first["sha256"] == second["sha256"]
    assert json.loads((tmp_path / "a/branch.json").read_bytes())["overrides"] == overrides
    control = branch(trunk, None, data, tmp_path / "control", steps=10)
    assert first["weights_sha256"] != control["weights_sha256"]


def test_a_branch_on_other_data(tmp_path: Path, data: Path, other_data: Path, trunk: Path) -> None:
    (tmp_path / "o.toml").write_text(f'data = "{other_data}"\n')
    by_file = branch(trunk, tmp_path / "o.toml", None, tmp_path / "a", steps=9)
    by_name = branch(trunk, {}, other_data, tmp_path / "b", steps=9)
    assert by_file["sha256"] == by_name["sha256"]
    assert list(by_name["overrides"]) == ["data"] and not by_name["control"]
    state = read_checkpoint(Path(by_name["checkpoint"])).state()
    assert state.history[0]["last_step"] == 8 and state.cursor.sequences == 36


@pytest.mark.parametrize("groups", [["experts", "router"], ["embedding"], ["head", "norm"]], ids=str)
def test_frozen_groups_stay_and_the_others_move(tmp_path: Path, data: Path, trunk: Path, groups: list[str]) -> None:
    result = branch(trunk, {"frozen_groups": groups}, data, tmp_path / "a", steps=10)
    before, after = read_checkpoint(trunk).state().model, read_checkpoint(Path(result["checkpoint"])).state().model
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        frozen = parameter_group(name) in groups
        assert torch.equal(old, new) == frozen, name
    if "router" in groups:
        pairs = zip(before.moe_layers(), after.moe_layers(), strict=True)
        assert all(torch.equal(a.router.bias_E, b.router.bias_E) for a, b in pairs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"depth": 3}, "'depth'; it may override add, data, data_seed, decay, frozen_groups, mixture, optimizer, seq"),
        ({"decay": {"length": 3}}, "'decay' has no field 'length'; its fields are steps, type, min_lr_factor, hold"),
        ({"decay": {"hold": -1}}, "'decay.hold' is -1; it must be a number of steps"),
        ({"mixture": {"books": 1.0}}, "no source 'books'; its sources are"),
        ({"mixture": 3}, "weights must be a table"),
        ({"add": {"layers": [9]}}, "'add.layers' must be numbers of the trunk's layers, 0 to 7, in order"),
        ({"add": {"experts": 0}}, "'add.experts' must be at least 1"),
        ({"window": 0}, "model.window is 0"),
        ({"top_k": {"full_k": 99}}, "top_k.full_k is 99; it must be from 1 to model.n_experts, which is 16"),
        ({"top_k": {"min_k": 5}}, "top_k.min_k is 5; it must be from 1 to top_k.full_k, which is 4"),
        ({"frozen_groups": ["body"]}, "'body' is none of embedding"),
        ({"optimizer": 3}, "must be a table"),
        ({"execution": 1}, "'execution' must be a table"),
        ({"execution": {"micro": 1}}, "execution has no field 'micro'"),
        ({"data_seed": "x"}, "data.seed is 'x'"),
        ({"decay": {"steps": 0}}, "override decay.steps"),
    ],
)
def test_bad_overrides_are_named(
    tmp_path: Path, data: Path, trunk: Path, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        branch(trunk, overrides, data, tmp_path / "a")


def test_branch_needs_its_data_and_a_checkpoint(tmp_path: Path, data: Path, trunk: Path) -> None:
    with pytest.raises(UsageError, match=r"give --data: .* sha256 [0-9a-f]{64}"):
        branch(trunk, {}, None, tmp_path / "a")
    with pytest.raises(UsageError, match=r"is not a checkpoint .* give a frozen trunk, a run or a branch"):
        branch(data, {}, data, tmp_path / "a")


def test_freeze_is_read_only_idempotent_and_final(
    tmp_path: Path, config_file: ConfigFile, data: Path, trunk: Path
) -> None:
    assert {path.stat().st_mode & 0o777 for path in trunk.iterdir()} == {0o444}
    assert trunk.stat().st_mode & 0o777 == 0o555
    train(config_file(), data, tmp_path / "run", 2)
    first = freeze(tmp_path / "run", tmp_path / "frozen")
    assert freeze(tmp_path / "run", tmp_path / "frozen") == first
    train(config_file(), data, tmp_path / "run", 3)
    with pytest.raises(UsageError, match="another frozen checkpoint"):
        freeze(tmp_path / "run", tmp_path / "frozen")
    assert freeze(tmp_path / "run", tmp_path / "later")["step"] == 3


def writable(checkpoint: Path, folder: Path) -> Path:
    """A copy of a frozen checkpoint that can be changed."""
    copy = shutil.copytree(checkpoint, folder / "copy")
    for path in (copy, *copy.iterdir()):
        path.chmod(0o755)
    return copy


@pytest.mark.parametrize(
    "name", ["checkpoint.json", "part-00000.bin", "part-00000.sums", "part-00000.json", "tokenizer.model"]
)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_flipped_byte_is_refused(tmp_path: Path, trunk: Path, data: Path, name: str, place: float) -> None:
    copy = writable(trunk, tmp_path)
    flip(copy / name, place)
    with pytest.raises(UsageError, match=f"{name} was changed"):
        branch(copy, {}, data, tmp_path / "out")


def test_a_checkpoint_of_an_older_format_is_refused(tmp_path: Path, trunk: Path, data: Path) -> None:
    path = writable(trunk, tmp_path) / "checkpoint.json"
    header = json.loads(path.read_bytes()) | {"format": "refinery.checkpoint/1"}
    header["sha256"] = sha256_json({name: value for name, value in header.items() if name != "sha256"})
    path.write_bytes(readable_json(header))
    with pytest.raises(UsageError, match=r"reads 'refinery\.checkpoint/3': train again") as error:
        branch(path.parent, {}, data, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_checkpoint_is_the_whole_state(trunk: Path) -> None:
    state = read_checkpoint(trunk).state()
    again = read_checkpoint(trunk).state()
    tensors = state.tensors()
    assert tensors.keys() == again.tensors().keys()
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in tensors.items())
    assert state.header() == again.header()
    assert int(state.token_counts_V.sum()) == state.tokens == 8 * 128


def test_the_schedule() -> None:
    schedule = ScheduleConfig(warmup_steps=4, trunk_steps=10, decay_steps=4, min_lr_factor=0.2)
    factors = [learning_rate_factor(schedule, step) for step in range(16)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4:11] == [1.0] * 7
    assert factors[11] == pytest.approx(0.2 + 0.8 * 0.5)
    assert factors[14] == factors[15] == pytest.approx(0.2)
    linear = ScheduleConfig(0, 10, 4, "linear")
    assert [learning_rate_factor(linear, step) for step in range(10, 15)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [updates_router_bias(schedule, step) for step in (0, 9, 10)] == [True, True, False]
    assert total_steps(schedule) == 14


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("model", {"depth": 3}, "model has no field 'depth'"),
        ("model", {"d_model": 18}, "multiples of 4"),
        ("model", {"n_heads": 3}, "multiple of model.n_kv_heads"),
        ("model", {"layers": [{"attention": "sliding", "kv_group": 0, "ffn": "dense"}]}, "last layer must be a full"),
        ("model", {"layers": [{"attention": "local", "kv_group": 0, "ffn": "dense"}]}, r"layers\[0\].attention is"),
        ("data", {"sequence_length": 0}, "data.sequence_length is 0"),
        ("execution", {"micro_batch_size": 0}, "execution.micro_batch_size is 0"),
        ("execution", {"expert_parallel": 3}, "expert_parallel must divide"),
        ("run", {"compute_dtype": "bfloat16"}, "must be multiples of 8 in bfloat16"),
        ("run", {"threads": 100_000}, "run.threads is 100000; it must be at most 1024"),
        ("load_balancing", {"mode": "losses", "groups": 5}, "groups must divide"),
        ("optimizer", {"learning_rate": "high"}, "learning_rate is 'high'"),
        ("schedule", {"warmup_steps": 9}, "within the trunk"),
    ],
)
def test_bad_configurations_are_named(section: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small_config(**{section: change})


def test_a_configuration_survives_json() -> None:
    config = small_config()
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_the_shipped_configuration_is_of_the_family() -> None:
    import trainer.train

    config = Config.read(Path(trainer.train.__file__).parent / "configs" / "tiny.toml")
    kinds = [layer.attention for layer in config.model.layers]
    assert kinds == ["sliding", "sliding", "sliding", "full"] * 2
    assert config.model.layers[3].kv_group == config.model.layers[7].kv_group
    assert (config.model.n_experts, config.top_k.full_k, config.top_k.full_k_probability) == (80, 12, 0.5)
    assert config.data.sequence_length == 16 * config.model.window
    decay = config.schedule.decay_steps / total_steps(config.schedule)
    assert 0.10 <= decay <= 0.15
