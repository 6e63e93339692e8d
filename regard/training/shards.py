"""A network in shards: each process holds a part of every weight, and sees a layer whole only while it computes it."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regard.ragged import Ragged
from regard.tensors import whole

if TYPE_CHECKING:
    from accelerate import Accelerator

UNITS = ("encoder.layers.", "decoder.layers.")  # each layer by itself; all else, tables and head, is one more unit


def sharded(network: nn.Module, accelerator: Accelerator, device: torch.device) -> nn.Module:
    """A copy of a network on a device, with parts of its weights, spread over all processes by Accelerate's FSDP2.

    Accelerate itself would do so on cards alone; FSDP2 does on CPUs too. Gradients come out as means, as they do of
    DistributedDataParallel.
    """
    from accelerate.utils import FullyShardedDataParallelPlugin, ParallelismConfig, fsdp2_prepare_model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule

    _tell_of_ragged()
    units = units_of(network)
    state, processes = accelerator.state, accelerator.num_processes
    state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap" if units else "no_wrap",
        transformer_cls_names_to_wrap=sorted({type(unit).__name__ for unit in units}),
        cpu_ram_efficient_loading=False,
    )
    state.parallelism_config = ParallelismConfig(dp_shard_size=processes)
    state.device_mesh = init_device_mesh(device.type, (processes,), mesh_dim_names=("dp_shard_cp",))
    modules = deepcopy(network, {id(parameter): parameter for parameter in network.parameters()})  # but not weights
    try:
        spread: nn.Module = fsdp2_prepare_model(accelerator, modules)
    finally:
        state.parallelism_config = state.device_mesh = None  # which the next training would take up
    for unit in spread.modules():
        if isinstance(unit, FSDPModule):  # gloo of some versions sums where a mean is asked for
            unit.set_force_sum_reduction_for_comms(True)
    return spread


def units_of(network: nn.Module) -> list[nn.Module]:
    """The layers of encoder and decoder."""
    return [module for name, module in network.named_modules() if name.startswith(UNITS) and name.count(".") == 2]


@cache
def _tell_of_ragged() -> None:
    """FSDP2 looks for the tensors in what goes into a unit and comes out; before PyTorch 2.13 it must be told where."""
    from torch.utils._pytree import register_pytree_node

    register_pytree_node(
        Ragged,
        lambda batch: ([batch.values], (batch.offsets, batch.grid, batch.part)),
        lambda values, rest: Ragged(*values, *rest),
    )


def own(x: Tensor) -> Tensor:
    """The part of a tensor that this process holds, in the same memory; all of one that is not spread."""
    part: Tensor = x.to_local() if hasattr(x, "to_local") else x
    return part


def part_of(given: Tensor, like: Tensor) -> Tensor:
    """A tensor that all processes have, on the device of another and spread as that is."""
    given = given.to(like.device)
    if not hasattr(like, "device_mesh"):
        return given
    from torch.distributed.tensor import distribute_tensor

    spread: Any = like
    return distribute_tensor(given, spread.device_mesh, spread.placements, src_data_rank=None)


def fill(network: nn.Module, spread: nn.Module) -> None:
    """Gives a network the weights of its copy in shards, whole; every process must call this."""
    for parameter, part in zip(network.parameters(), spread.parameters(), strict=True):
        parameter.data = whole(part.detach())
    for buffer, other in zip(network.buffers(), spread.buffers(), strict=True):
        buffer.copy_(other)


def vacate(network: nn.Module, spread: nn.Module, device: torch.device) -> None:
    """Frees the memory of a network's weights, which are zeros of the same shapes until :func:`fill`.

    Buffers, which an evaluation may have changed, go to its copy in shards.
    """
    for buffer, other in zip(network.buffers(), spread.buffers(), strict=True):
        other.copy_(buffer)
        buffer.data = buffer.to(device)
    for parameter in network.parameters():
        parameter.data = torch.zeros((), dtype=parameter.dtype, device=device).expand(parameter.shape)
