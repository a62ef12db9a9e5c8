"""What a run takes before it is run: the memory check with its advice, plans, accelerators, rates."""

import math
from pathlib import Path

import pytest
import torch

from infra.errors import UsageError
from tests.trainer.conftest import small_config, write_config
from trainer.accelerators import ACCELERATORS, GIB, accelerator, of_device
from trainer.api import branch, freeze, train
from trainer.config import Config
from trainer.formulas import training_flops
from trainer.memory import kernels_of, training_memory
from trainer.plan import check_memory, plan, plan_training, vocab_size_of
from trainer.runs import read_rows
from trainer.speed import Speed
from trainer.start import config_file, shipped_configs

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
BASE = Config.read(config_file("base"))
VOCABULARY = 65536


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("Tesla V100-SXM2-16GB", None),
    ],
)
def test_a_device_is_known_by_torchs_name(name: str, device: str | None) -> None:
    found = of_device(name)
    assert (found and found.name) == device


def test_accelerators_have_names_of_their_own() -> None:
    assert len({each.name for each in ACCELERATORS}) == len(ACCELERATORS)
    assert accelerator("h100").bf16_flops == 989.4e12
    with pytest.raises(UsageError, match="no accelerator 'h101': choose one of b200"):
        accelerator("h101")


def test_rates_are_by_the_mean_k_of_the_step() -> None:
    config = small_config()
    speed = Speed.of(config, 64, CPU)
    rates = speed.rates({"mean_k": 2.5}, 0.5)
    tokens = config.data.global_batch_size * config.data.sequence_length
    assert rates["tokens_per_second"] == tokens / 0.5
    assert rates["flops_per_second"] == pytest.approx(tokens / 0.5 * training_flops(config.model, 64, 32, 2.5))
    assert "mfu" not in rates


def test_mfu_is_of_the_peak_of_all_devices_and_of_bfloat16_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    speed = Speed.of(BASE, VOCABULARY, CUDA, world_size=8)
    rates = speed.rates({"mean_k": 9.5}, 2.0)
    assert rates["mfu"] == pytest.approx(rates["flops_per_second"] / (8 * 989.4e12))
    assert Speed.of(small_config(), 64, CUDA).peak is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Q1")
    assert Speed.of(BASE, VOCABULARY, CUDA).peak is None


def test_what_fits_is_told_and_no_more() -> None:
    told: list[str] = []
    memory = check_memory(small_config(), 64, CPU, told.append, available=GIB)
    assert len(told) == 1 and told[0].startswith("memory of a step: about ") and told[0].endswith("1.0 GiB are free")
    assert memory == training_memory(small_config(), 64)


def test_what_does_not_fit_comes_with_changes_that_do() -> None:
    told: list[str] = []
    memory = check_memory(BASE, VOCABULARY, CUDA, told.append, available=22 * GIB)
    assert memory.total > 22 * GIB
    (warning,) = told[1:]
    assert warning.startswith("warning: this may run out of memory, ") and "\n" not in warning
    for change in ('execution.activation_checkpointing = "block" (', "execution.micro_batch_size = 2 (", "2 ranks ("):
        size = float(warning.split(change)[1].split(" GiB")[0])
        assert size <= 22
    assert memory.weights + memory.moments < 22 * GIB


def test_weights_that_do_not_fit_are_refused_with_the_ranks_that_hold_them() -> None:
    large = Config.read(config_file("yi-lightning-like"))
    with pytest.raises(UsageError, match=r"weights and moments of this model do not fit: .* use (\d+) ranks") as error:
        check_memory(large, VOCABULARY, CUDA, available=80 * GIB)
    ranks = int(str(error.value).split("use ")[1].split(" ranks")[0])
    kernels = kernels_of(large, "cuda")
    assert training_memory(large, VOCABULARY, kernels, ranks).total <= 80 * GIB
    assert training_memory(large, VOCABULARY, kernels, ranks // 2).total > 80 * GIB
    with pytest.raises(UsageError, match="train a smaller model"):
        check_memory(large, VOCABULARY, CUDA, available=GIB)


def test_a_step_of_many_times_the_memory_is_not_tried() -> None:
    long = small_config(data={"sequence_length": 1 << 30})
    with pytest.raises(UsageError, match=r"^a step does not fit: .* GiB are needed and 20.0 GiB are free"):
        check_memory(long, 64, CPU, available=20 * GIB)


def test_batches_that_the_host_cannot_hold_are_refused() -> None:
    many = small_config(data={"global_batch_size": 10**12})
    with pytest.raises(UsageError, match=r"batches of 1000000000000 sequences do not fit: .* a smaller data"):
        check_memory(many, 64, CPU, available=20 * GIB)


@pytest.mark.parametrize("name", shipped_configs())
def test_time_and_tokens_follow_from_flops(name: str) -> None:
    config = Config.read(config_file(name))
    answer = plan(config, VOCABULARY, [1, 64], accelerator("h100"), 0.25, 42.0)
    for on in answer["on"]:
        assert on["tokens_per_second"] * answer["flops_per_token"] == pytest.approx(0.25 * 989.4e12 * on["gpus"])
        assert on["tokens_in_time"] / on["tokens_per_second"] == pytest.approx(42 * 86400)
        assert on["days"] * 86400 * on["tokens_per_second"] == pytest.approx(answer["tokens"])
    assert answer["on"][1]["memory_bytes"] < answer["on"][0]["memory_bytes"]


def test_the_vocabulary_is_the_datasets_or_given(data: Path) -> None:
    path = config_file("tiny")
    assert plan_training(path, data=data)["vocab_size"] == vocab_size_of(data) < 500
    assert plan_training(path, vocab_size=1000)["vocab_size"] == 1000
    with pytest.raises(UsageError, match="give either --data"):
        plan_training(path)
    for wrong in ({"mfu": 0.0}, {"mfu": 1.1}, {"gpus": [0]}, {"gpus": []}, {"days": 0.0}):
        with pytest.raises(UsageError, match="must be positive, and --mfu"):
            plan_training(path, vocab_size=1000, **wrong)  # type: ignore[arg-type]


def test_shipped_configurations_are_of_the_family() -> None:
    for name in shipped_configs():
        config = Config.read(config_file(name))
        model, schedule = config.model, config.schedule
        kinds = [layer.attention for layer in model.layers]
        assert kinds == ["sliding", "sliding", "sliding", "full"] * (len(kinds) // 4)
        assert [layer.ffn for layer in model.layers] == ["dense"] + ["moe"] * (len(kinds) - 1)
        full = [layer.kv_group for layer in model.layers if layer.attention == "full"]
        assert all(full[i] == full[i + 1] for i in range(0, len(full), 2))
        assert (model.n_experts, config.top_k.full_k, config.top_k.full_k_probability) == (80, 12, 0.5)
        assert math.isclose(model.d_ff / 12, model.d_ff_expert, rel_tol=0.2)
        assert 0.1 <= schedule.decay_steps / (schedule.decay_steps + schedule.trunk_steps) <= 0.15


def test_a_run_tells_its_memory_first_and_its_rates_after_every_step(tmp_path: Path, data: Path) -> None:
    told: list[str] = []
    rows: list[dict[str, float]] = []
    path = write_config(tmp_path)
    train(path, data, tmp_path / "run", 2, lambda row, last: rows.append(dict(row)), tell=told.append)
    freeze(tmp_path / "run", tmp_path / "frozen")
    branch(tmp_path / "frozen", None, data, tmp_path / "branch", 3, tell=told.append)
    assert len(told) == 2 and told[0].split("; ")[0] == told[1].split("; ")[0]
    timings = read_rows(tmp_path / "run/timings.jsonl")
    assert [row["tokens_per_second"] for row in rows] == [row["tokens_per_second"] for row in timings]
    assert all("seconds" not in row for row in read_rows(tmp_path / "run/log.jsonl"))
