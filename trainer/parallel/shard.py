"""Cuts a model into the parts of its ranks: FSDP2 by block, experts dealt to ranks.

Every gradient is the sum over all tokens of the global batch, of a loss that was divided by their number once: FSDP
divides by nothing.
"""

import warnings

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from trainer.experts import MoE
from trainer.model import Transformer
from trainer.parallel.exchange import ParallelExperts
from trainer.parallel.ranks import DP, EP, Ranks


def shard(model: Transformer, ranks: Ranks) -> None:
    """Replace the model's parameters by this rank's parts of them; their values are left to be set. With one rank
    nothing changes."""
    if ranks.flat is None:
        return
    # Keys and values are views, and nothing is done to them in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for block in model.layers():
        if isinstance(block.ffn, MoE):
            _shard_moe(model, block.ffn, ranks)
        _unit(block, ranks.flat, model.dtype)
    # Embedding, last norm and head. The loss takes the head after the forward pass, so they stay gathered until the
    # backward pass has ended; they are used in fp32.
    _unit(model, ranks.flat, torch.float32)


def _shard_moe(model: Transformer, moe: MoE, ranks: Ranks) -> None:
    assert ranks.mesh is not None and ranks.flat is not None
    if model.dtype.itemsize == 2:
        _unit(moe.router, ranks.flat, torch.float32)  # its weight is not rounded
    if ranks.expert_parallel > 1:
        with torch.device(moe.experts.w_in.device):
            moe.experts = ParallelExperts(model.config, ranks.mesh.get_group(EP))
        _unit(moe.experts, ranks.mesh[DP], model.dtype)


def _unit(module: nn.Module, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Parameters of a unit are gathered together, as `dtype`: that in which the module uses them, so the results are
    the same as with fp32. Gradients are summed in fp32."""
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if dtype.itemsize == 2:
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    assert isinstance(module, FSDPModule)
    module.set_gradient_divide_factor(1.0)
    # A sum, and no product with 1 beside it, which gloo does not have.
    module.set_force_sum_reduction_for_comms(True)
