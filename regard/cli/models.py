"""Opening a run folder on a device, and which options its model takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from regard.errors import ConfigError
from regard.tasks import load


def open_model(run: str, device: str = "cpu") -> Any:
    """The trained model, its network on ``device``.

    Raises:
        ModelError: no such run folder, or a damaged one.
        ConfigError: no such device.
    """
    from regard.training.learner import choose_device

    model = load(run)
    model.network.to(choose_device(device))
    return model


def refuse_unknown(options: Mapping[str, Any], function: Callable[..., Any], task: str) -> None:
    """Refuses options that a method of a task does not have.

    Raises:
        ConfigError: the first of them.
    """
    unknown = options.keys() - inspect.signature(function).parameters.keys()
    if unknown:
        raise ConfigError(f"{min(unknown)}: a {task} model has no such option; leave it out")
