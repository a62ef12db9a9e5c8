"""Where a model is, everything is, and a step waits for it once: shown on the meta device, which has no values to read.

An operator that takes a tensor of the CPU beside one of the device fails there, as it does on CUDA, and so does each
read of a value. What CUDA alone has (its attention kernels, its streams) is not covered by this.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from infra.errors import UsageError
from tests.trainer.conftest import REF, small_config
from tests.trainer.test_equalities import BASE, batch
from trainer.cache import Caches
from trainer.config import Config
from trainer.device import rank_variable
from trainer.generate import decode_step, for_inference, prefill
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.prepare import prepare
from trainer.state import TrainingState
from trainer.train import train_step

META = torch.device("meta")
LAYERS = [
    {"attention": "sliding", "kv_group": 0, "ffn": "dense"},
    {"attention": "full", "kv_group": 1, "ffn": "moe"},
    {"attention": "full", "kv_group": 1, "ffn": "moe"},
]
STEPS = [
    {},
    {"run": {"compute_dtype": "bfloat16"}, "model": {"d_ff_expert": 8}},
    {"execution": {"activation_checkpointing": "experts", "micro_batch_size": 1}},
    {"execution": {"activation_checkpointing": "block"}},
    {"load_balancing": {"mode": "losses", "groups": 4}},
    {"optimizer": {"muon_groups": ["attention", "dense", "experts"], "muon_learning_rate": 0.01}},
]


class HostReads(TorchDispatchMode):
    """Counts what is copied from the device to the host, and gives ones for it. A single value that is read in another
    way is an error of the device itself."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        source = args[0] if args else None
        if func is torch.ops.aten._to_copy.default and isinstance(source, Tensor) and source.is_meta:
            to = kwargs.get("device")
            if to is not None and torch.device(to).type == "cpu":
                self.shapes.append(tuple(source.shape))
                return torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        return func(*args, **kwargs)


def state_on_meta(**sections: Any) -> TrainingState:
    given = {name: BASE.get(name, {}) | sections.get(name, {}) for name in {*BASE, *sections}}
    config: Config = small_config(**given | {"model": {"layers": LAYERS} | given.get("model", {})})
    state = TrainingState.empty(config, REF, META)
    prepare(state.model, config.execution)
    return state


@pytest.mark.parametrize("sections", STEPS, ids=str)
def test_a_step_reads_the_device_once(sections: dict[str, Any]) -> None:
    """Norm, loads and losses together, for the log row and the guard."""
    state = state_on_meta(**sections)
    with HostReads() as reads:
        row = train_step(state, batch(), state.cursor, ["all"])
    assert len(reads.shapes) == 1 and "skipped" not in row and row["step"] == 1
    assert {tensor.device.type for tensor in state.tensors().values()} == {"meta"}


def test_evaluation_and_decoding_make_nothing_elsewhere() -> None:
    """With padding, a policy that looks at scores, and prompts of other lengths."""
    model = for_inference(state_on_meta().model, torch.float32)
    policy = KPolicy(4, "top_p", 0.5)
    policies = policy.for_layers(model.config.n_moe_layers)
    with torch.inference_mode():
        real = torch.from_numpy(np.arange(12)[None] < np.array([[12], [7]])).to(META)
        plan = packed_plan(model.config, torch.zeros(2, 12, dtype=torch.int64), META, model.dtype)
        out = model(torch.zeros(2, 12, dtype=torch.int64, device=META), plan, policies, real_BL=real)
        assert out.hidden_BLD.is_meta
        for lengths in ([9, 9], [9, 2]):
            caches = Caches(model.config, 2, 14, device=META)
            logits = [prefill(model, [[3] * length for length in lengths], caches, policy)]
            token = torch.zeros(2, 1, dtype=torch.int64, device=META)
            logits += [decode_step(model, token, caches, policy) for _ in range(5)]
            assert all(each.is_meta and each.shape == (2, REF.vocab_size) for each in logits)


@pytest.mark.parametrize("said", ["", "abc", "-1", "0", "1.5", "²"])
def test_a_number_of_ranks_that_is_none(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", said)
    with pytest.raises(UsageError, match=f"the environment has WORLD_SIZE={said}, .* unset it, or use torchrun"):
        rank_variable("WORLD_SIZE", 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert rank_variable("WORLD_SIZE", 1) == 2
