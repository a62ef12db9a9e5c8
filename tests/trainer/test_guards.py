"""What stops a run: spoilt weights, damaged files, configurations that cannot be trained."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.errors import UsageError, WorkError
from infra.hashing import readable_json, sha256_json
from tests.trainer.conftest import small_body, small_config, write_config
from trainer.api import branch, evaluate, freeze, generate, train
from trainer.checkpoint import read_checkpoint, write_checkpoint
from trainer.config import Config
from trainer.data.audit import audit
from trainer.data.documents import read_documents
from trainer.data.tokens import TokenDataset
from trainer.plan import plan_training
from trainer.run_files import checkpoints_of, of_latest
from trainer.runs import read_rows
from trainer.sampling import Sampling, sample
from trainer.train import create_state

ConfigFile = Callable[..., Path]
STEP = {"checkpoint_interval_steps": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("run")
    train(write_config(root), data, root / "run", 8)
    return root / "run"


def test_spoilt_weights_replace_no_checkpoint(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    """The first step's rate is 0, so the checkpoint of step 1 is sound; those after it lead to losses that are none."""
    schedule = {"warmup_steps": 1, "trunk_steps": 8, "decay_steps": 0}
    config = config_file(optimizer={"learning_rate": 1e30}, run=STEP, schedule=schedule)
    for _ in range(2):
        with pytest.raises(WorkError, match=r"were skipped up to step 8|not finite after step"):
            train(config, data, tmp_path / "run")
        kept = [read_checkpoint(folder) for folder in checkpoints_of(tmp_path / "run")]
        assert kept[0].step <= 2
        assert all(math.isfinite(float(tensor.sum())) for tensor in kept[0].model().state_dict().values())


def test_spoilt_checkpoints_are_used_for_nothing(tmp_path: Path, data: Path) -> None:
    state = create_state(small_config(), TokenDataset(data), torch.device("cpu"))
    with torch.no_grad():
        state.model.head[0, 0] = torch.inf
    write_checkpoint(tmp_path / "spoilt", state, TokenDataset(data).tokenizer)
    for use in (
        lambda: freeze(tmp_path / "spoilt", tmp_path / "frozen"),
        lambda: evaluate(tmp_path / "spoilt", data),
        lambda: generate(tmp_path / "spoilt", ["The"]),
    ):
        with pytest.raises(UsageError, match=r"has weights that are not finite \(head\)"):
            use()
    assert not (tmp_path / "frozen").exists()


def test_moments_are_read_by_what_goes_on_alone(tmp_path: Path, run: Path, data: Path) -> None:
    """Damage to them is seen by `freeze` and by a run that goes on; evaluation and generation need none of them."""
    shutil.copytree(run, tmp_path / "run")
    (folder,) = checkpoints_of(tmp_path / "run")
    moment = read_checkpoint(folder).tensors["optimizer.exp_avg.head"].numpy().tobytes()
    part = folder / "part-00000.bin"
    content = part.read_bytes()
    assert content.count(moment) == 1
    part.write_bytes(content.replace(moment, bytes(len(moment))))
    assert evaluate(tmp_path / "run", data) == evaluate(run, data)
    assert generate(tmp_path / "run", ["The"], 5) == generate(run, ["The"], 5)
    for use in (
        lambda: freeze(tmp_path / "run", tmp_path / "frozen"),
        lambda: train(write_config(tmp_path), data, tmp_path / "run", 9),
    ):
        with pytest.raises(UsageError, match=r"part-00000\.bin was changed"):
            use()


def test_logits_that_are_no_numbers_are_told() -> None:
    with pytest.raises(WorkError, match="logits are not finite"):
        sample(torch.tensor([[0.0, torch.nan]]), Sampling(), [0.5])


def test_a_model_without_experts_trains(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    layers = [{**layer, "ffn": "dense"} for layer in small_body()["model"]["layers"]]
    answer = train(config_file(model={"layers": layers}), data, tmp_path / "run", 2)
    assert math.isfinite(answer["loss"])
    (row, _) = read_rows(tmp_path / "run/log.jsonl")
    assert row["load_imbalance"] == [] == row["load_imbalance_by_k"] and row["mean_k"] == 0.0


@pytest.mark.parametrize("damage", ["{", "3", "[]", '{"loss": 1}', "\ud83d"])
def test_a_damaged_line_of_a_log_is_named_and_nothing_is_cut(
    tmp_path: Path, config_file: ConfigFile, data: Path, damage: str
) -> None:
    train(config_file(), data, tmp_path / "run", 3)
    log = tmp_path / "run/log.jsonl"
    lines = log.read_text().splitlines()
    lines[1] = damage
    log.write_text("\n".join(lines) + "\n", errors="surrogatepass")
    before = log.read_bytes()
    with pytest.raises(UsageError, match=r"line 2 of .*log\.jsonl is damaged"):
        train(config_file(), data, tmp_path / "run", 4)
    assert log.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_damaged_arguments_are_told(tmp_path: Path, config_file: ConfigFile, data: Path, content: bytes) -> None:
    train(config_file(), data, tmp_path / "run", 1)
    (tmp_path / "run/training.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"training\.json is damaged"):
        train(config_file(), data, tmp_path / "run", 2)
    (tmp_path / "run/training.json").unlink()
    with pytest.raises(UsageError, match=r"has checkpoints, and no training\.json"):
        train(config_file(optimizer={"learning_rate": 1.0}), data, tmp_path / "run", 2)


def test_a_checkpoint_that_the_run_replaces_is_read_to_its_end(tmp_path: Path, run: Path) -> None:
    """While a run trains, others read its latest checkpoint: what is open stays, and else the next is taken."""
    shutil.copytree(run, tmp_path / "run")
    (first,) = checkpoints_of(tmp_path / "run")
    seen = []

    def replaced(folder: Path) -> Path:
        seen.append(folder)
        if folder == first:
            read = read_checkpoint(folder)
            shutil.copytree(folder, folder.with_name("step-00000009"))
            shutil.rmtree(folder)
            assert read.verify().model().head.any() and read.tokenizer
        return read_checkpoint(folder).folder

    assert of_latest(tmp_path / "run", replaced) == seen[1] == first.with_name("step-00000009")
    with pytest.raises(FileNotFoundError):
        of_latest(tmp_path / "run", lambda folder: (folder / "none").read_bytes())


def test_a_run_that_was_stopped_can_be_audited(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    def stop(row: Mapping[str, Any], last: int) -> None:
        if row["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config_file(), data, tmp_path / "run", 8, stop)
    found = audit(tmp_path / "run")
    assert found["faults"] == [] and found["parts"][0]["last_step"] == 3


def test_a_checkpoint_names_no_files_elsewhere(tmp_path: Path, run: Path) -> None:
    """A header whose hashes are right, and whose names of parts lead out of the folder: `freeze` would write there."""
    (folder,) = checkpoints_of(run)
    shutil.copytree(folder, tmp_path / "in/checkpoint")
    (tmp_path / "in/checkpoint").chmod(0o755)
    path = tmp_path / "in/checkpoint/checkpoint.json"
    header = json.loads(path.read_bytes())
    layout = header["layout"]
    for name in ("json", "sums", "bin"):
        shutil.copyfile(folder / f"part-00000.{name}", tmp_path / f"in/elsewhere.{name}")
    layout["parts"] = ["../elsewhere"]
    layout["files"] = {name.replace("part-00000", "../elsewhere"): sha256 for name, sha256 in layout["files"].items()}
    header["layout_sha256"] = sha256_json(layout)
    path.write_bytes(readable_json(header))
    with pytest.raises(UsageError, match=r"checkpoint\.json was changed"):
        freeze(path.parent, tmp_path / "out/frozen")
    assert not (tmp_path / "out").exists()


def test_other_folders_are_no_checkpoints(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/checkpoints/step-old").mkdir()
    assert freeze(tmp_path / "run", tmp_path / "frozen")["step"] == 8


def test_a_refused_command_leaves_no_folder(tmp_path: Path, config_file: ConfigFile, data: Path, run: Path) -> None:
    mixture = {"mixture": [{"from_step": 0, "weights": {"nowhere": 1.0}}]}
    with pytest.raises(UsageError, match="nowhere"):
        train(config_file(data=mixture), data, tmp_path / "out", 2)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError):
        branch(run / "checkpoints/step-00000008", {"data": str(tmp_path / "none")}, None, tmp_path / "branch")
    assert not (tmp_path / "branch").exists()
    assert train(config_file(), data, tmp_path / "out", 2)["step"] == 2
    with pytest.raises(UsageError, match="other arguments"):
        train(config_file(optimizer={"learning_rate": 1.0}), data, tmp_path / "out", 2)
    assert (tmp_path / "out/log.jsonl").exists()


BAD: list[tuple[str, dict[str, Any], str]] = [
    *(
        ("optimizer", {name: value}, f"optimizer.{name}")
        for name, values in {
            "learning_rate": (0.0, -1.0, math.inf, math.nan),
            "beta1": (1.0, -0.1),
            "beta2": (1.5, math.nan),
            "epsilon": (0.0,),
            "weight_decay": (-9.0, math.nan),
            "max_grad_norm": (0.0, -1.0),
            "z_loss_weight": (-1.0,),
            "max_norm_ratio": (-1.0, 1.0),
            "max_loss_ratio": (0.5,),
        }.items()
        for value in values
    ),
    ("model", {"rope_theta_full": 0.0}, "model.rope_theta_full"),
    ("model", {"routed_scaling_factor": math.nan}, "model.routed_scaling_factor"),
    ("load_balancing", {"bias_update_rate": -1.0}, "load_balancing.bias_update_rate"),
    ("load_balancing", {"sequence_loss_weight": -5.0}, "load_balancing.sequence_loss_weight"),
    ("load_balancing", {"bias_update_rate": 1e300}, "bias_update_rate is 1e\\+300; it must be at most 1"),
    ("model", {"d_model": 10**400}, "model.d_model has 401 digits; a number must fit into 64 bits"),
    ("optimizer", {"learning_rate": 10**400}, "optimizer.learning_rate has 401 digits"),
    ("run", {"checkpoint_marks": [0, 9]}, "run.checkpoint_marks"),
    ("data", {"mixture": [{"from_step": 0, "weights": {"a": math.nan}}]}, "mixture"),
    (
        "optimizer",
        {"frozen_groups": ["embedding", "attention", "dense", "experts", "router", "norm", "head"]},
        "frozen_groups has every group",
    ),
]


@pytest.mark.parametrize(("section", "change", "message"), BAD)
def test_numbers_that_cannot_train_are_named(section: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config.from_dict(small_body(**{section: change}))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"execution": {"micro_batch_size": 0}}, "micro_batch_size is 0"),
        ({"execution": {"micro_batch_size": -1}}, "micro_batch_size is -1"),
        ({"optimizer": {"max_grad_norm": -5.0}}, "max_grad_norm is -5.0"),
        ({"optimizer": {"beta1": 1.0}}, "beta1 is 1.0"),
        (
            {"frozen_groups": ["embedding", "attention", "dense", "experts", "router", "norm", "head"]},
            "every group",
        ),
    ],
)
def test_overrides_that_cannot_train_are_named(
    tmp_path: Path, data: Path, run: Path, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        branch(run / "checkpoints/step-00000008", overrides, data, tmp_path / "branch")
    assert not (tmp_path / "branch").exists()


def test_any_damage_to_the_table_of_documents_is_refused(tmp_path: Path, config_file: ConfigFile, data: Path) -> None:
    """Each trial changes one byte."""
    shutil.copytree(data, tmp_path / "data")
    (path,) = (tmp_path / "data").rglob("documents.arrow")
    path.chmod(0o644)
    whole, generator = path.read_bytes(), np.random.Generator(np.random.Philox(5))
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[int(generator.integers(len(whole)))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(UsageError) as refused:
            train(config_file(), tmp_path / "data", tmp_path / "run", 1)
        assert "\n" not in str(refused.value)


def test_members_beyond_the_table_are_damage(tmp_path: Path, data: Path) -> None:
    (path,) = data.rglob("documents.arrow")
    table = read_documents(path)
    content = path.read_bytes()
    member = np.asarray(table.member).tobytes()
    assert content.count(member) == 1
    beyond = np.asarray(table.member).copy()
    beyond[0] = len(table)
    (tmp_path / "documents.arrow").write_bytes(content.replace(member, beyond.tobytes()))
    with pytest.raises(UsageError, match="contradicts itself"):
        read_documents(tmp_path / "documents.arrow")


@pytest.mark.parametrize("days", [math.nan, math.inf, 0.0])
def test_plans_for_no_time_are_refused(config_file: ConfigFile, days: float) -> None:
    with pytest.raises(UsageError, match="--days"):
        plan_training(config_file(), vocab_size=100, days=days)


def test_prompts_that_are_no_text_are_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="no UTF-8"):
        generate(run, ["\udcff\udcfe"])
