"""How near to float64 each type must come, values and gradients: the one table, which never softens."""

from __future__ import annotations

import torch
from torch import Tensor

# The largest error allowed, relative to the largest entry of the exact tensor, or to 1 where that is smaller.
TOLERANCES = {
    torch.float64: 1e-13,
    torch.float32: 1e-5,
    torch.float16: 3e-3,
    torch.bfloat16: 2e-2,
}


def assert_near(actual: Tensor, exact: Tensor, dtype: torch.dtype, what: str = "output") -> None:
    """``actual`` was computed in ``dtype``, ``exact`` in float64."""
    assert actual.shape == exact.shape, f"{what}: shape {list(actual.shape)}, expected {list(exact.shape)}"
    if not exact.numel():
        return
    assert actual.isfinite().all(), f"{what} is not finite"
    actual, exact = actual.detach(), exact.detach()
    error = (actual.double() - exact.double()).abs()
    allowed = TOLERANCES[dtype] * max(1.0, float(exact.abs().max()))
    if error.max() > allowed:
        place = [int(i) for i in torch.unravel_index(error.argmax(), error.shape)]
        raise AssertionError(
            f"{what} in {dtype} is off by {float(error.max()):.2e}, allowed {allowed:.2e}: "
            f"{float(actual[tuple(place)])} for {float(exact[tuple(place)])} at {place} of {list(exact.shape)}"
        )
