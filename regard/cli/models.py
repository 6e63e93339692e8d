"""Opening a run folder on a device."""

from __future__ import annotations

from typing import Any

from regard.tasks import load
from regard.training.device import choose_device


def open_model(run: str, device: str = "cpu") -> Any:
    """The trained model, its network on ``device``.

    Raises:
        ModelError: no such run folder, or a damaged one.
        ConfigError: no such device.
    """
    model = load(run)
    model.network.to(choose_device(device))
    return model
