"""Prints how many MiB a call of `attend2d` adds to its process, forward, backward and weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import regard


def peak() -> float:
    """MiB that this process held at most."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def call(side: int, implementation: str) -> None:
    query, key, value = (torch.randn(1, 1, side * side, 16, requires_grad=True) for _ in range(3))
    bias = regard.GridBias(*(torch.zeros(1, 7, requires_grad=True) for _ in range(2)))
    output = regard.attend2d(query, key, value, size=(side, side), window=2, bias=bias, implementation=implementation)
    output.backward(torch.ones_like(output))
    regard.attention_weights2d(query, key, size=(side, side), window=2, bias=bias).entropy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    call(8, sys.argv[1])
    before = peak()
    call(96, sys.argv[1])
    print(json.dumps(peak() - before))
