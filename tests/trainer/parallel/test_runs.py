"""Runs of several ranks: the same documents and, up to the order of sums, the same weights as one process; checkpoints
that are read by any number of ranks."""

from pathlib import Path
from typing import Any

import pytest
import torch

from infra.errors import UsageError
from infra.hashing import sha256_json
from tests.trainer.conftest import write_config
from tests.trainer.parallel.spawn import on_ranks
from trainer.api import branch, evaluate, freeze, train
from trainer.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.run_files import find_checkpoint
from trainer.runs import read_rows

DRAWN_BY_SEQUENCE = {"full_k": 4, "min_k": 1, "draw": "sequence"}


def config_of(folder: Path, expert_parallel: int = 1, schedule: dict[str, Any] | None = None, **run: Any) -> Path:
    execution = {"expert_parallel": expert_parallel, "micro_batch_size": 1}
    run = {"checkpoint_interval_steps": 2, "threads": 1} | run
    return write_config(folder, top_k=DRAWN_BY_SEQUENCE, execution=execution, run=run, schedule=schedule or {})


def latest(run: Path) -> Checkpoint:
    return read_checkpoint(find_checkpoint(run))


def same_but_for_the_last_bits(a: Checkpoint, b: Checkpoint) -> None:
    """The same documents in the same order exactly; weights and moments nearly."""
    assert a.header["state"]["cursor"] == b.header["state"]["cursor"]
    assert torch.equal(a.tensors["token_counts"], b.tensors["token_counts"])
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert torch.allclose(tensor, b.tensors[name], rtol=0, atol=1e-4), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run of one process over 6 steps."""
    folder = tmp_path_factory.mktemp("alone")
    train(config_of(folder), data, folder / "run", 6)
    return folder / "run"


def test_worlds_of_one_two_and_one_again(tmp_path: Path, data: Path, alone: Path) -> None:
    out = tmp_path / "run"
    train(config_of(tmp_path), data, out, 2)
    summaries = on_ranks(2, train, config_of(tmp_path, expert_parallel=2), data, out, 4)
    assert summaries[0]["sha256"] == summaries[1]["sha256"] == latest(out).sha256
    assert len(list((out / "checkpoints/step-00000004").glob("part-*.bin"))) == 2
    train(config_of(tmp_path), data, out, 6)
    same_but_for_the_last_bits(latest(out), latest(alone))
    rows, whole = read_rows(out / "log.jsonl"), read_rows(alone / "log.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 7))
    for row, other in zip(rows, whole, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert row["loss_by_k"] == pytest.approx(other["loss_by_k"], abs=1e-5)
        assert row["loss_by_domain"] == pytest.approx(other["loss_by_domain"], abs=1e-5)
        assert row["mean_k"] == other["mean_k"] and row["tokens"] == other["tokens"]


@pytest.mark.parametrize(
    "worlds",
    [
        [(2, 1), (4, 1)],
        pytest.param([(2, 2), (4, 4)], marks=pytest.mark.long),
        pytest.param([(4, 2), (2, 1), (1, 1)], marks=pytest.mark.long),
    ],
    ids=str,
)
def test_a_run_goes_on_with_more_ranks_or_fewer(
    tmp_path: Path, data: Path, alone: Path, worlds: list[tuple[int, int]]
) -> None:
    """Ranks, and how many of them share experts: of FSDP alone and of experts dealt to ranks."""
    out = tmp_path / "run"
    for number, (ranks, expert_parallel) in enumerate(worlds, 1):
        last = 6 if number == len(worlds) else 2 * number
        on_ranks(ranks, train, config_of(tmp_path, expert_parallel), data, out, last, seconds=300.0)
        folder = out / f"checkpoints/step-{last:08d}"
        assert len(list(folder.glob("part-*.bin"))) == ranks
    same_but_for_the_last_bits(latest(out), latest(alone))
    rows, whole = read_rows(out / "log.jsonl"), read_rows(alone / "log.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 7))
    for row, other in zip(rows, whole, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert row["mean_k"] == other["mean_k"] and row["tokens"] == other["tokens"]


@pytest.mark.long
def test_names_do_not_depend_on_the_ranks_that_wrote(tmp_path: Path, data: Path) -> None:
    """What four ranks wrote, one process writes again: the three hashes stay; and two runs are equal to the byte."""
    config = config_of(tmp_path, expert_parallel=2)
    runs = [on_ranks(4, train, config, data, tmp_path / name, 2)[0] for name in "ab"]
    assert runs[0]["sha256"] == runs[1]["sha256"]
    assert (tmp_path / "a/log.jsonl").read_bytes() == (tmp_path / "b/log.jsonl").read_bytes()
    four = latest(tmp_path / "a")
    write_checkpoint(tmp_path / "again", four.state(), four.tokenizer)
    one = read_checkpoint(tmp_path / "again").verify()
    assert one.summary() == four.summary()
    assert one.header["tensors"] == four.header["tensors"] and len(one.header["layout"]["parts"]) == 1
    freeze(tmp_path / "a", tmp_path / "frozen")
    assert evaluate(tmp_path / "frozen", data)["checkpoint"] == four.sha256


def test_a_branch_on_ranks_continues_a_trunk_of_one(tmp_path: Path, data: Path, alone: Path) -> None:
    freeze(alone, tmp_path / "frozen")
    execution = {"execution": {"expert_parallel": 2}}
    two = on_ranks(2, branch, tmp_path / "frozen", execution, data, tmp_path / "two", 8)
    assert two[0]["control"] and two[0]["step"] == 8
    branch(tmp_path / "frozen", {}, data, tmp_path / "one", 8)
    same_but_for_the_last_bits(latest(tmp_path / "two"), latest(tmp_path / "one"))


def test_checkpoints_of_marks_are_made_and_kept(tmp_path: Path, data: Path) -> None:
    config = config_of(tmp_path, checkpoint_marks=[1, 4])
    train(config, data, tmp_path / "run", 7)
    assert [path.name for path in sorted((tmp_path / "run/checkpoints").iterdir())] == [
        "step-00000001", "step-00000004", "step-00000007",
    ]  # fmt: skip
    assert read_checkpoint(tmp_path / "run/checkpoints/step-00000001").verify().step == 1


def wrong(config: Path, data: Path, out: Path) -> str:
    try:
        train(config, data, out, 2)
    except UsageError as error:
        return str(error)
    return "no error"


def test_what_cannot_be_dealt_to_the_ranks_is_refused_on_each(tmp_path: Path, data: Path, alone: Path) -> None:
    experts = config_of(tmp_path, expert_parallel=4)
    assert (
        on_ranks(2, wrong, experts, data, tmp_path / "a")
        == ["execution.expert_parallel is 4; it must divide the 2 ranks"] * 2
    )
    three = on_ranks(3, wrong, config_of(tmp_path), data, tmp_path / "b")
    assert three == ["data.global_batch_size is 4; it must be a multiple of the 3 ranks"] * 3
    other = on_ranks(2, wrong, config_of(tmp_path, seed=9), data, alone)
    assert len(set(other)) == 1 and "was made with other arguments (config.run.seed was" in other[0]


def test_each_hash_covers_what_it_says(alone: Path) -> None:
    header = dict(latest(alone).header)
    weights = [row for row in header["tensors"] if row["name"].startswith("model.")]
    assert header["weights_sha256"] == sha256_json(weights) and len(weights) > 50
    assert header["state_sha256"] == sha256_json({"state": header["state"], "tensors": header["tensors"]})
