"""The optimizers against their definitions, what a resumed or branched run keeps of them, and the guards of a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from infra.errors import UsageError, WorkError
from tests.trainer.conftest import small_config, write_config
from trainer.api import branch, freeze, train
from trainer.checkpoint import read_checkpoint
from trainer.config import MUON_GROUPS
from trainer.data.loader import Loader
from trainer.data.tokens import TokenDataset
from trainer.model import parameter_group
from trainer.muon import RMS, Muon, orthogonal, update
from trainer.runs import read_rows
from trainer.state import NORMS, TrainingState
from trainer.train import train_step

MUON = {"muon_groups": list(MUON_GROUPS), "muon_learning_rate": 2e-3}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 12), (5, 16), (16, 5), (7, 16, 8), (7, 8, 16)])
def test_newton_schulz_keeps_the_singular_vectors_and_evens_the_values(shape: tuple[int, ...]) -> None:
    u, s, vh = torch.linalg.svd(random(*shape), full_matrices=False)
    matrices = u @ torch.linspace(3.0, 0.2, s.shape[-1]).diag_embed() @ vh
    inside = u.mT @ orthogonal(matrices) @ vh.mT
    values = inside.diagonal(dim1=-2, dim2=-1)
    assert torch.allclose(inside, values.diag_embed(), atol=1e-3)
    assert values.min() > 0.6 and values.max() < 1.3
    if len(shape) == 3:
        assert torch.allclose(orthogonal(matrices)[3], orthogonal(matrices[3]), atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 12), (5, 16), (16, 5)])
def test_muon_is_torchs_on_matrices(shape: tuple[int, int]) -> None:
    """torch's products are in bfloat16."""
    ours, theirs = (torch.nn.Parameter(random(*shape)) for _ in range(2))
    muon = Muon({"w": ours}, momentum=0.9, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.03, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        ours.grad, theirs.grad = random(*shape, seed=step), random(*shape, seed=step)
        muon.step(0.03)
        reference.step()
    moved = (theirs - random(*shape)).norm()
    assert moved > 0.1 and (ours - theirs).norm() < 0.03 * moved


def test_stacked_matrices_are_updated_one_by_one() -> None:
    experts, dense = random(3, 8, 20), random(20, 8)
    assert torch.equal(update("ffn.experts.w_in", experts)[1, :, 10:], update("w", experts[:, :, 10:])[1])
    assert torch.equal(update("ffn.w_in", dense)[10:], update("w", dense[10:].contiguous()))
    assert not torch.allclose(update("w", dense), update("w_in", dense), atol=0.1)
    assert float(update("w", random(30, 8)).square().mean().sqrt()) == pytest.approx(RMS, rel=0.15)


def sharded_steps(rank: int, folder: str) -> None:
    """A process of two: shards parameters of each kind, takes steps, and compares them with those of whole ones."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    whole = {
        "w_in": random(12, 5),
        "experts.w_in": random(4, 6, 8),
        "wq": random(5, 9),
        "experts.w_out": random(4, 6, 6),
    }
    places = {"w_in": 0, "experts.w_in": 0, "wq": 0, "experts.w_out": 1}
    parts = {name: distribute_tensor(tensor.clone(), mesh, [Shard(places[name])]) for name, tensor in whole.items()}
    ours, theirs = Muon(whole, 0.9, 0.1), Muon(parts, 0.9, 0.1)
    for step in range(2):
        for i, (name, tensor) in enumerate(whole.items()):
            tensor.grad = random(*tensor.shape, seed=10 * step + i)
            parts[name].grad = distribute_tensor(tensor.grad, mesh, [Shard(places[name])])
        ours.step(0.1)
        theirs.step(0.1)
    same = [torch.allclose(parts[name].full_tensor(), tensor, atol=1e-6) for name, tensor in whole.items()]  # type: ignore[attr-defined]
    Path(folder, f"same-{rank}").write_text(str(all(same)))
    torch.distributed.destroy_process_group()


@pytest.mark.long
def test_sharded_parameters_are_updated_as_whole_ones(tmp_path: Path) -> None:
    """Two processes: matrices that are cut, and experts that are cut or dealt."""
    torch.multiprocessing.spawn(sharded_steps, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    assert [(tmp_path / f"same-{rank}").read_text() for rank in range(2)] == ["True", "True"]


def test_each_parameter_has_one_method(data: Path) -> None:
    state = TrainingState.create(small_config(optimizer=MUON), TokenDataset(data).ref)
    updated = {id(p) for group in state.optimizer.adamw.param_groups for p in group["params"]}
    for name, parameter in state.model.named_parameters():
        in_muon = name in state.optimizer.muon.parameters
        assert in_muon == (parameter_group(name) in MUON_GROUPS) != (id(parameter) in updated), name
        assert (
            in_muon
            == (f"momentum.{name}" in state.optimizer.tensors())
            != (f"exp_avg.{name}" in state.optimizer.tensors())
        )


def test_muon_trains_and_resumes_bit_for_bit(tmp_path: Path, data: Path) -> None:
    def stop(row: Mapping[str, Any], last: int) -> None:
        if row["step"] == 5:
            raise KeyboardInterrupt

    config = write_config(tmp_path, optimizer=MUON)
    whole = train(config, data, tmp_path / "whole", 12)
    with pytest.raises(KeyboardInterrupt):
        train(config, data, tmp_path / "cut", 12, stop)
    assert train(config, data, tmp_path / "cut", 12)["sha256"] == whole["sha256"]
    losses = [row["loss"] for row in read_rows(tmp_path / "whole/log.jsonl")]
    plain = train(write_config(tmp_path), data, tmp_path / "adamw", 12)
    assert losses[-1] < losses[0] and whole["weights_sha256"] != plain["weights_sha256"]
    names = read_checkpoint(Path(whole["checkpoint"])).tensors
    assert any(name.startswith("optimizer.momentum.blocks.1.ffn.experts") for name in names)


def test_a_branch_may_change_the_optimizer(tmp_path: Path, data: Path) -> None:
    train(write_config(tmp_path), data, tmp_path / "run")
    freeze(tmp_path / "run", tmp_path / "frozen")
    overrides = {"optimizer": {**MUON, "muon_momentum": 0.9}, "frozen_groups": ["router"]}
    first, second = (branch(tmp_path / "frozen", overrides, data, tmp_path / name, 10) for name in "ab")
    assert first["sha256"] == second["sha256"]
    before, after = (read_checkpoint(Path(path)) for path in (tmp_path / "frozen", first["checkpoint"]))
    name = "blocks.1.ffn.router.weight"
    assert torch.equal(before.tensors[f"model.{name}"], after.tensors[f"model.{name}"])
    assert not after.tensors[f"optimizer.momentum.{name}"].any()
    assert after.tensors["optimizer.momentum.blocks.1.attention.wq"].any()
    assert int(after.tensors["optimizer.step.embedding"]) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"muon_groups": ["embedding"], "muon_learning_rate": 0.1}, "'embedding' is none of attention, dense"),
        ({"muon_groups": ["experts"]}, "muon_learning_rate must be positive"),
        ({"muon_momentum": 1.0}, "muon_momentum is 1.0; it must be at least 0 and under 1"),
    ],
)
def test_bad_optimizers_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small_config(optimizer=change)


@pytest.mark.parametrize("largest", [0.05, 1e6])
def test_gradients_are_clipped_as_torch_does(data: Path, largest: float) -> None:
    state = TrainingState.create(small_config(optimizer={"frozen_groups": ["embedding"]}), TokenDataset(data).ref)
    trained = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    for i, parameter in enumerate(trained):
        parameter.grad = random(*parameter.shape, seed=i)
    expected = [parameter.grad.clone() for parameter in trained]  # type: ignore[union-attr]
    copies = [torch.nn.Parameter(torch.zeros_like(grad)) for grad in expected]
    for copy, grad in zip(copies, expected, strict=True):
        copy.grad = grad
    total = torch.nn.utils.clip_grad_norm_(copies, largest)
    norm = state.optimizer.grad_norm()
    assert float(norm) == pytest.approx(float(total))
    state.optimizer.clip(norm, largest)
    for parameter, copy in zip(trained, copies, strict=True):
        assert torch.allclose(parameter.grad, copy.grad, rtol=1e-5)  # type: ignore[arg-type]
    assert float(state.optimizer.grad_norm()) == pytest.approx(min(largest, float(total)), rel=1e-4)


def step_of(state: TrainingState, data: Path) -> dict[str, Any]:
    config = state.config
    dataset = TokenDataset(data)
    loader = Loader(dataset, config.data.seed, config.data.sequence_length)
    batch, cursor = loader.batch(state.cursor, config.data.global_batch_size)
    return train_step(state, batch, cursor, dataset.documents.domain_names)


@pytest.mark.parametrize("muon", [{}, MUON])
def test_a_loss_that_is_not_finite_changes_no_weight(data: Path, muon: dict[str, Any]) -> None:
    state = TrainingState.create(small_config(optimizer=muon), TokenDataset(data).ref)
    step_of(state, data)
    with torch.no_grad():
        state.model.final_norm[0] = torch.inf
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    row = step_of(state, data)
    assert row["skipped"] and row["loss"] is None and row["step"] == 2
    after = state.tensors()
    changed = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    assert changed == ["token_counts"]  # the data has passed
    assert len(state.norms) == 1 and all(parameter.grad is None for parameter in state.model.parameters())


def test_a_gradient_far_over_those_before_is_skipped(data: Path) -> None:
    state = TrainingState.create(small_config(optimizer={"max_norm_ratio": 5.0}), TokenDataset(data).ref)
    norm = step_of(state, data)["grad_norm"]
    before = state.model.head.clone()
    state.norms = [norm / 100] * NORMS
    assert step_of(state, data)["skipped"] and torch.equal(state.model.head, before)
    assert state.norms == [norm / 100] * NORMS
    state.norms = [norm] * NORMS
    assert "skipped" not in step_of(state, data) and not torch.equal(state.model.head, before)
    assert len(state.norms) == NORMS and state.norms[-1] != norm


def test_a_loss_far_over_those_before_is_skipped(data: Path) -> None:
    state = TrainingState.create(small_config(optimizer={"max_loss_ratio": 1.5}), TokenDataset(data).ref)
    loss = step_of(state, data)["loss"]
    assert state.losses == [loss]
    before = state.model.head.clone()
    state.losses = [loss / 2] * NORMS
    assert step_of(state, data)["skipped"] and torch.equal(state.model.head, before)
    assert state.losses == [loss / 2] * NORMS and state.header()["losses"] == state.losses
    state.losses = [loss / 2] * (NORMS - 1)
    assert "skipped" not in step_of(state, data) and not torch.equal(state.model.head, before)
    state.losses = [loss] * NORMS
    assert "skipped" not in step_of(state, data) and len(state.losses) == NORMS


def test_a_branch_on_other_text_is_not_measured_by_the_losses_of_its_trunk(
    data: Path, other_data: Path, tmp_path: Path
) -> None:
    train(write_config(tmp_path), data, tmp_path / "run", 8)
    freeze(tmp_path / "run", tmp_path / "frozen")
    assert len(read_checkpoint(tmp_path / "frozen").state().losses) == 8
    kept = [
        len(
            read_checkpoint(Path(branch(tmp_path / "frozen", {}, each, tmp_path / name, 9)["checkpoint"]))
            .state()
            .losses
        )
        for name, each in (("same", data), ("other", other_data))
    ]
    assert kept == [9, 1]


def test_twenty_skipped_steps_in_a_row_end_the_run(tmp_path: Path, data: Path) -> None:
    """The first step, at a rate far too high, makes the weights useless."""
    config = write_config(
        tmp_path, optimizer={"learning_rate": 1e38}, schedule={"warmup_steps": 0, "trunk_steps": 40, "decay_steps": 0}
    )
    with pytest.raises(WorkError, match=r"^20 steps in a row were skipped up to step 21, .*: lower optimizer") as error:
        train(config, data, tmp_path / "run")
    assert "\n" not in str(error.value)
    rows = read_rows(tmp_path / "run/log.jsonl")
    assert [row["step"] for row in rows if row.get("skipped")] == list(range(2, 22))
