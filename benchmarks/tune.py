"""Which sizes of tiles would be faster on the card at hand than those of ``regard/attention/triton/tuning.py``.

    make tune

Of each kernel and head size the table's choice and its neighbours take turns; what is at least 3 % faster is told, as a
row that could stand there. Ten minutes, most of which is compiling; with TRITON_INTERPRET=1 a rehearsal.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

import regard
from benchmarks.gpu import ON_GPU, SHRINK, in_turns, inputs
from regard.attention.triton import tuning
from regard.attention.triton.tuning import Tiles

GAIN = 0.97
ROWS, COLUMNS, WARPS, STAGES, REGISTERS = (32, 64, 128), (32, 64, 128), (2, 4, 8), (1, 2, 3), (None, 168)
SIZES = (64, 128, 256)
KINDS: dict[str, dict[str, Any]] = {  # the table that a kernel reads, and a call that spends its time there
    "FORWARD": {"window": 128},
    "FORWARD_LONG": {"causal": True},
    "BY_QUERY": {"window": 128, "gradient": "query"},
    "BY_KEY": {"window": 128, "gradient": "key"},
    "ADDITIVE": {"window": 64, "additive": True},
    "FLOAT32": {"window": 128, "dtype": torch.float32},
}


def neighbours(tiles: Tiles) -> Iterator[Tiles]:
    """Those that differ from a choice in a step or two."""
    yield tiles
    for rows, columns, warps, stages, registers in itertools.product(ROWS, COLUMNS, WARPS, STAGES, REGISTERS):
        found = Tiles(rows, columns, warps, stages, registers)
        if sum(a != b for a, b in zip(found, tiles, strict=True)) in (1, 2):
            yield found


def call_of(size: int, window: int | None = None, causal: bool = False, gradient: str | None = None,
            additive: bool = False, dtype: torch.dtype = torch.bfloat16) -> Callable[[], object]:  # fmt: skip
    """One call at that head size, or the gradient of one input."""
    query, key, value = inputs(1, 8 if ON_GPU else 1, (8192 if causal else 16_384) // SHRINK, size, dtype=dtype)
    score = regard.Additive(torch.randn(query.shape[1], size, device=query.device)) if additive else "dot"
    reach = None if window is None else max(1, window // SHRINK)

    def attend() -> torch.Tensor:
        return regard.attend(query, key, value, score=score, window=reach, causal=causal, implementation="triton")

    if gradient is None:
        return lambda: attend().detach()
    wanted = {"query": query, "key": key}[gradient]
    output = attend()
    grad = torch.ones_like(output)
    return lambda: torch.autograd.grad(output, wanted, grad, retain_graph=True)


def better(name: str, size: int, options: dict[str, Any]) -> tuple[Tiles, float] | None:
    """The fastest of a choice and its neighbours, and its time over the choice's; None where that is the fastest."""
    table: dict[int, Tiles] = getattr(tuning, name)
    chosen = tuning.tiles_of(table, size)
    call = call_of(size, **options)
    kept = dict(table)

    def with_tiles(tiles: Tiles) -> Callable[[], object]:
        def run() -> None:
            table[size] = tiles
            call()

        return run

    able: dict[str, Callable[[], object]] = {}
    tried = {str(tuple(tiles)): tiles for tiles in itertools.islice(neighbours(chosen), None if ON_GPU else 2)}
    try:
        for title, tiles in tried.items():
            try:
                with_tiles(tiles)()
                able[title] = with_tiles(tiles)
            except Exception as error:  # too much shared memory, or too few registers
                print(f"  {name} {size} {title}: {type(error).__name__}")
        times = in_turns(able)
    finally:
        table.clear()
        table.update(kept)
    best = min(times, key=lambda title: times[title])
    own = times[str(tuple(chosen))]
    return (tried[best], times[best] / own) if own and times[best] < GAIN * own else None


def run() -> dict[str, Any]:
    found: dict[str, Any] = {"device": torch.cuda.get_device_name() if ON_GPU else "none: a rehearsal"}
    for (name, options), size in itertools.product(KINDS.items(), SIZES if ON_GPU else SIZES[:1]):
        told = better(name, size, options)
        found[f"{name}, heads of {size}"] = "as it is" if told is None else f"{told[0]}: {told[1]:.2f} of its time"
    return found
