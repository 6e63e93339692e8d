"""Measures what calls add to a process's peak memory, each in a child of its own; prints JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

import regard


@dataclass(frozen=True)
class Size:
    """A forward, a backward, and for a window its weights; in float32."""

    small: int  # N
    large: int
    heads: int
    dim: int
    limit: float  # MiB that the large one may add
    window: int | None = None
    additive: bool = False
    ragged: bool = False
    image: bool = False  # of as many rows as columns


SIZES = {
    # All pairs would be 8,192² · 2 heads · 4 bytes = 512 MiB; the band is 4 MiB, inputs and gradients 16 MiB.
    "window": Size(2048, 8192, heads=2, dim=32, window=32, limit=80),
    # All pairs: 4,096² · 4 bytes = 64 MiB, of which a plain backward holds several.
    "full": Size(1024, 4096, heads=1, dim=16, limit=60),
    # Q × K × D: 512² · 64 · 4 bytes = 64 MiB, of which a plain backward holds several.
    "additive": Size(128, 512, heads=1, dim=64, additive=True, limit=30),
    # Q × window × D: 2,048 · 33 · 2 heads · 64 · 4 bytes = 33 MiB; inputs and gradients 8 MiB.
    "additive-window-ragged": Size(512, 2048, heads=2, dim=64, window=16, additive=True, ragged=True, limit=30),
    # All pairs of pixels: 6,400² · 4 bytes = 156 MiB; a window is 25 numbers for each, inputs and gradients 4 MiB.
    "image": Size(1600, 6400, heads=1, dim=16, window=2, image=True, limit=40),
}


def peak() -> float:
    """MiB that this process held at most. (What getrusage says, a child inherits from its parent.)"""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def call(size: Size, N: int, implementation: str) -> None:
    if size.image:
        call_of_images(size, math.isqrt(N), implementation)
        return
    H, D = size.heads, size.dim
    shape = (N, H, D) if size.ragged else (1, H, N, D)
    query, key, value = (torch.randn(shape, requires_grad=True) for _ in range(3))
    offsets = torch.tensor([0, N // 3, N]) if size.ragged else None
    score = regard.Additive(torch.randn(H, D, requires_grad=True)) if size.additive else "dot"
    bias = regard.RelativeBias(torch.zeros(H, 9, requires_grad=True))
    options = {
        "window": size.window,
        "offsets": offsets,
        "score": score,
        "bias": bias,
        "implementation": implementation,
    }
    output = regard.attend(query, key, value, **options)
    output.backward(torch.ones_like(output))
    if size.window is not None:
        regard.attention_weights(query, key, **options).entropy()


def call_of_images(size: Size, side: int, implementation: str) -> None:
    query, key, value = (torch.randn(1, size.heads, side * side, size.dim, requires_grad=True) for _ in range(3))
    bias = regard.GridBias(*(torch.zeros(size.heads, 7, requires_grad=True) for _ in range(2)))
    options = {"size": (side, side), "window": size.window, "bias": bias}
    output = regard.attend2d(query, key, value, implementation=implementation, **options)
    output.backward(torch.ones_like(output))
    regard.attention_weights2d(query, key, **options).entropy()


def added(size: Size, implementation: str) -> tuple[float, float]:
    """MiB that the small call adds to the peak, and then the large one."""
    call(size, 64, implementation)
    start = peak()
    call(size, size.small, implementation)
    small = peak()
    call(size, size.large, implementation)
    return small - start, peak() - start


def in_a_child(size: Size, implementation: str) -> tuple[float, float]:
    """A peak never falls, so that each measurement needs a process that has seen no other."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(added(size, implementation)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        small, large = json.load(answer)
    os.wait()
    return small, large


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: in_a_child(size, sys.argv[1]) for name, size in SIZES.items()}))
