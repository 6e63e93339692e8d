"""The tensors of a network by name."""

from __future__ import annotations

from torch import Tensor, nn


def states(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers that are kept; of those that share memory, the first."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())
