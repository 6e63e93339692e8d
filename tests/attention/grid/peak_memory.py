"""Prints how many MiB a call of `attend2d` adds to its process, forward, backward and weights."""

from __future__ import annotations

import json
import os
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


def added(implementation: str) -> float:
    """MiB that images of 80 × 80 pixels add to the peak, in a child of its own: a peak never falls."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        call(8, implementation)
        before = peak()
        call(80, implementation)
        os.write(writer, json.dumps(peak() - before).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        mebibytes: float = json.load(answer)
    os.wait()
    return mebibytes


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({implementation: added(implementation) for implementation in ("blocked", "native")}))
