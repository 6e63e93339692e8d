"""AdamW over the parameters of a network."""

from __future__ import annotations

import torch
from torch import nn


def make_optimizer(network: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW whose decay spares biases, gains and embeddings; the learning rate is set at every step."""
    tables = {
        parameter
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for parameter in module.parameters(recurse=False)
    }
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in learned if parameter.dim() > 1 and parameter not in tables]
    spared = [parameter for parameter in learned if parameter.dim() <= 1 or parameter in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)
