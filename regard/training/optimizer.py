"""AdamW as every training uses it: which weights decay, which learn slower, and how fast all learn when."""

from __future__ import annotations

import math

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


def one_cycle(progress: float, *, peak: float, warmup: float) -> float:
    """The learning rate when ``progress`` (0 to 1) of the training is done: up in a line, down in half a cosine.

    ``peak · progress / warmup`` during the warm-up, then ``peak · (1 + cos(π t)) / 2`` with t from 0 to 1.

    >>> [one_cycle(done, peak=1.0, warmup=0.2) for done in (0.0, 0.1, 0.2, 1.0)]
    [0.0, 0.5, 1.0, 0.0]
    """
    if progress < warmup:
        return peak * progress / warmup
    t = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return peak * (1 + math.cos(math.pi * t)) / 2
