"""What a model is, in one line."""

from __future__ import annotations

from typing import Any

from torch import nn

from regard.ragged import counted

MOST_NAMES = 5


def shown(model: Any) -> str:
    """Its kind, labels and network, as Python shows it; of one that was never fitted what it will be.

    >>> import regard
    >>> regard.Classifier(dim=32)
    <Classifier: not fitted, subwords front end, attention encoder, depth 3, dim 32, 4 heads>
    """
    from regard.tasks.card import told_network

    network: nn.Module | None = model._network
    parts = ["not fitted"] if network is None else []
    if names := getattr(model, "labels", None):
        more = ", ..." if len(names) > MOST_NAMES else ""
        parts += [f"{counted(len(names), 'label')} ({', '.join(names[:MOST_NAMES])}{more})"]
    parts.append(told_network(model.config))
    if network is not None:
        parts.append(f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters")
    return f"<{type(model).__name__}: {', '.join(parts)}>"
