"""AdamW over the parameters of a network."""

from __future__ import annotations

import torch
from torch import nn


def make_optimizer(network: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> torch.optim.AdamW:
    """AdamW whose decay spares biases, gains and embeddings; the learning rate is set at every step.

    With ``layer_decay`` below 1 the rate falls from the head down: that of an encoder layer is so much of the next
    one's, and the front end comes last. Each group's share of the rate is its "scale" (Howard and Ruder 2018).
    """
    tables = {
        parameter
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter.dim() > 1 and parameter not in tables else 0.0
        groups.setdefault((decay, layer_decay ** _below(name, network)), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "weight_decay": decay, "scale": scale} for (decay, scale), own in groups.items()],
        lr=0.0,
        fused=True,
    )


def _below(name: str, network: nn.Module) -> int:
    """How many steps down from the head a parameter is."""
    layers = len(getattr(getattr(network, "encoder", None), "layers", ()))
    if name.startswith("encoder.layers."):
        return layers - int(name.split(".")[2])
    return layers + 1 if name.startswith(("front_end.", "encoder.positions", "encoder.embedding_norm")) else 0
