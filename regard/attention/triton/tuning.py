"""How much each kernel takes at once, by what was fastest on an H200: no search at a first call.

A row is the largest head, then rows and columns of a tile, warps, stages of the pipeline, and the most registers of a
thread where fewer let more programs run at once.
"""

from __future__ import annotations

from typing import NamedTuple


class Tiles(NamedTuple):
    """Rows and columns of a tile, and how a program of Triton works on it."""

    rows: int
    columns: int
    warps: int
    stages: int
    registers: int | None = None


LONG = 2048  # others that a row sees, from which on larger tiles waste less than they save
FORWARD = {64: Tiles(64, 64, 4, 3, 168), 128: Tiles(64, 64, 4, 2), 256: Tiles(32, 32, 4, 2)}
FORWARD_LONG = FORWARD | {128: Tiles(128, 64, 8, 3)}
BY_QUERY = {64: Tiles(64, 64, 4, 2, 168), 128: Tiles(64, 64, 4, 2), 256: Tiles(32, 32, 4, 1)}
BY_KEY = {64: Tiles(64, 64, 4, 2, 168), 128: Tiles(64, 64, 4, 2), 256: Tiles(32, 32, 4, 1)}
RAGGED = {64: Tiles(64, 32, 4, 2), 128: Tiles(64, 32, 4, 2), 256: Tiles(32, 32, 4, 1)}  # both of backward
FLOAT32 = {64: Tiles(64, 32, 4, 2), 128: Tiles(32, 32, 4, 2), 256: Tiles(16, 16, 4, 1)}  # of every kernel
FLOAT32_BIASED = FLOAT32 | {128: Tiles(32, 32, 4, 1)}  # backward with a bias or table, in the 99 KiB of small GPUs
ADDITIVE = {64: Tiles(32, 32, 2, 2), 128: Tiles(32, 32, 2, 2), 256: Tiles(16, 16, 2, 1)}  # of every kernel
PAIRS = {64: Tiles(32, 32, 4, 2), 128: Tiles(32, 32, 4, 2), 256: Tiles(16, 16, 4, 1)}  # weights; a bias's gradient


def tiles_of(table: dict[int, Tiles], widest: int) -> Tiles:
    """Those of the least head size that is enough."""
    return next(tiles for size, tiles in table.items() if widest <= size)
