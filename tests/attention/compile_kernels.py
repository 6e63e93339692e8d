"""Compiles the kernels for a GPU that need not be there, and prints how much shared memory each takes, as JSON.

``python compile_kernels.py 90 CASE ...``, for compute capability 9.0.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

import regard
from regard.attention.api import DEFAULTS
from regard.attention.check import check
from regard.attention.triton import calls

CASES: dict[str, dict[str, Any]] = {
    "window": {"window": 128, "key_heads": 2},
    "ragged": {
        "offsets": torch.tensor([0, 100, 256]),
        "score": regard.Additive(torch.randn(4, 64)),
        "normalizer": "sigmoid",
    },
    "bias": {"bias": torch.zeros(1, 4, 256, 256), "key_mask": torch.ones(1, 256, dtype=torch.bool), "dropout_p": 0.1},
    "table": {"bias": regard.RelativeBias(torch.zeros(4, 33), 16), "dim": 128, "dtype": torch.float32},
    "long": {"dim": 128, "rows": 2304, "normalizer": "relu"},
}
FOUND: list[tuple[str, int]] = []
RUN = JITFunction.run


class Target:
    """What Triton asks of a driver before it compiles."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", int(sys.argv[1]), 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def only_compiled(self: Any, *given: Any, warmup: bool, **options: Any) -> None:
    kernel = RUN(self, *given, warmup=True, **options)
    FOUND.append((self.fn.__name__, kernel.metadata.shared))


def call(
    *, rows: int = 256, dim: int = 64, key_heads: int = 4, dtype: torch.dtype = torch.bfloat16, **options: Any
) -> None:
    """Forward, backward and weights."""
    dense = "offsets" not in options
    shapes = ((1, heads, rows, dim) if dense else (rows, heads, dim) for heads in (4, key_heads, key_heads))
    query, key, value, spec = check(*(torch.zeros(shape, dtype=dtype) for shape in shapes), DEFAULTS | options)
    output, saved = calls.attend(query, key, value, spec)
    calls.gradients(output, query, key, value, output, saved, spec)
    calls.weights(query, key, spec)


if __name__ == "__main__":
    driver.set_active(Target())
    JITFunction.run = only_compiled
    for name in sys.argv[2:]:
        call(**CASES[name])
    print(json.dumps(FOUND))
