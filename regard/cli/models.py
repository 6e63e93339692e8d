"""Opening a run folder on a device."""

from __future__ import annotations

from regard.tasks import Labeler, load
from regard.training.device import choose_device


def open_model(run: str, device: str = "cpu") -> Labeler:
    """The trained model, its network on ``device``.

    Raises:
        ModelError: no such run folder, or a damaged one.
        ConfigError: no such device.
    """
    labeler = load(run)
    labeler.network.to(choose_device(device))
    return labeler
