"""Networks whose weights are not drawn, since others will take their place, or since only their sizes are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def undrawn(device: str = "cpu") -> Iterator[None]:
    """Modules that are made here keep whatever stood in their memory; on the device "meta" they take none.

    Besides the time that it takes, PyTorch loads its compiler and SymPy, for a second, to draw on "meta".

    >>> with undrawn("meta"):
    ...     torch.nn.Linear(3, 4).weight.device
    device(type='meta')
    """
    with torch.device(device), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if function is torch.randn:
            return torch.empty(*args, **given)
        draws = function.__name__ in ("normal_", "uniform_")  # of a tensor, as some of those in torch.nn.init call it
        if draws or getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return function(*args, **given)
