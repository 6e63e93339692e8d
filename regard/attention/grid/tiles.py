"""A strip of an image cut into tiles: each holds some queries and the rectangle of keys that some of them sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from regard.attention.dropout import keep_mask
from regard.attention.grid.spec import Border, GridSpec, Sides
from regard.attention.grid.window import first_column, runs, table_index
from regard.attention.reference import Pairs, over_pairs

Places = tuple[slice, slice, slice, slice]  # of an image, heads, rows, columns


@dataclass(frozen=True, eq=False)
class Piece:
    """Tiles side by side: ``queries`` in tiles of ``tile`` columns, with the keys from ``before`` to ``after`` of each.

    Arguments:
        queries, keys: their places in ``[A, H, rows, columns, …]``.
        size: rows and columns of the image.
        tile, before, after: columns; those of the keys that lie outside the image are filled up.
        careful: whether NaN or Inf may be there.
    """

    spec: GridSpec
    size: tuple[int, int]
    queries: Places
    keys: Places
    tile: int
    before: int
    after: int
    careful: bool

    @property
    def tiles(self) -> int:
        """How many."""
        first, stop = self.queries[3].start, self.queries[3].stop
        return int(-(-(stop - first) // self.tile))

    def of_rows(self, x: Tensor) -> Tensor:
        """``[a, H, rows, columns, D]`` of the queries → ``[a · tiles, H, Q, D]``, filled up with zeros."""
        missing = self.tiles * self.tile - x.shape[3]
        x = torch.unflatten(functional.pad(x, (0, 0, 0, missing)), 3, (self.tiles, self.tile))
        return x.permute(0, 3, 1, 2, 4, 5).flatten(3, 4).flatten(0, 1)

    def of_keys(self, x: Tensor) -> Tensor:
        """``[a, Hk, rows, columns, D]`` of the keys → ``[a · tiles, Hk, K, D]``, filled up with zeros."""
        first = self.queries[3].start - self.before
        last = self.queries[3].start + self.tiles * self.tile + self.after
        x = functional.pad(x, (0, 0, self.keys[3].start - first, last - self.keys[3].stop))
        x = x.unfold(3, self.tile + self.before + self.after, self.tile)  # [a, Hk, rows, tiles, D, columns]
        return x.permute(0, 3, 1, 2, 5, 4).flatten(3, 4).flatten(0, 1)

    def to_rows(self, x: Tensor) -> Tensor:
        """``[a · tiles, H, Q, D]`` → ``[a, H, rows, columns, D]`` of the queries."""
        columns = self.queries[3].stop - self.queries[3].start
        x = torch.unflatten(torch.unflatten(x, 2, (-1, self.tile)), 0, (-1, self.tiles))
        return x.permute(0, 2, 3, 1, 4, 5).flatten(3, 4)[:, :, :, :columns]

    def places(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows of the queries and of the keys, ``[rows]``; their columns, ``[tiles, columns]``; some outside."""
        first = self.queries[3].start + torch.arange(self.tiles, device=device)[:, None] * self.tile
        within = torch.arange(self.tile + self.before + self.after, device=device)
        rows = [torch.arange(x.start, x.stop, device=device) for x in (self.queries[2], self.keys[2])]
        return *rows, first + within[: self.tile], first - self.before + within

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, learned: dict[str, Tensor], keep: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Output ``[a · tiles, H, Q, Dv]`` and weights ``[a · tiles, H, Q, K]``, of the parts of an image."""
        images, heads = query.shape[:2]
        query = self.of_rows(query)
        key, value = (self.of_keys(x).repeat_interleave(heads // x.shape[1], 1) for x in (key, value))
        visible, bias = self.visible(query.device), query.new_zeros(1)
        if visible.shape[0] > 1:
            visible = visible.repeat(images, 1, 1, 1)
        if "row_table" in learned:
            bias = self.bias_of_tables(learned["row_table"], learned["column_table"])
        if "bias" in learned:
            bias = self.bias_of_tensor(learned["bias"].expand(images, *[-1] * 5))
        if learned.keys() & {"row_table", "bias"}:
            visible = visible & (bias != -math.inf)
        options = self.spec._replace(additive_weight=learned.get("additive_weight"))
        return over_pairs(query, key, value, Pairs(visible, bias, keep, self.careful), options)

    def visible(self, device: torch.device) -> Tensor:
        """Bool ``[tiles, 1, Q, K]``."""
        row, key_row, column, key_column = self.places(device)
        vertical = _seen(row, key_row, self.size[0], self.spec.vertical, self.spec.border)  # [rows, rows]
        horizontal = _seen(column, key_column, self.size[1], self.spec.horizontal, self.spec.border)
        seen = vertical[:, None, :, None] & horizontal[:, None, :, None, :]  # [tiles, rows, columns, rows, columns]
        return seen.flatten(3, 4).flatten(1, 2)[:, None]

    def keep(self, numbers: Tensor, planes: Tensor) -> Tensor | None:
        """Bool ``[a · tiles, H, Q, K]``: what dropout keeps.

        Arguments:
            numbers: int64 ``[A, 1, rows, columns, 1]``, which row of the batch each pixel is.
            planes: int64 ``[A, H]``.
        """
        if self.spec.seed is None:
            return None
        a, heads = self.queries[0], planes.shape[1]
        rows = self.of_rows(numbers[a, :, *self.queries[2:]]).flatten(1).repeat_interleave(heads, 0)
        keys = self.of_keys(numbers[a, :, *self.keys[2:]]).flatten(1).repeat_interleave(heads, 0)
        own = planes[a].repeat_interleave(self.tiles, 0).flatten()
        kept = keep_mask(int(self.spec.seed), own, rows, keys, self.spec.dropout_p)
        return torch.unflatten(kept, 0, (-1, heads))

    def bias_of_tables(self, row_table: Tensor, column_table: Tensor) -> Tensor:
        """``[1, H, Q, K]``: the same for all tiles."""
        spec = self.spec
        row, key_row, column, key_column = self.places(row_table.device)
        by_row = _from_table(row_table, row, key_row, spec.row_step, spec.row_table_up)
        by_column = _from_table(column_table, column[0], key_column[0], spec.column_step, spec.column_table_left)
        return (by_row[:, :, None, :, None] + by_column[:, None, :, None]).flatten(3, 4).flatten(1, 2)[None]

    def band(self, weights: Tensor, height: int, width: int) -> Tensor:
        """``[a · tiles, H, Q, K]`` → ``[a · tiles, H, Q, height · width]``: the window of each query."""
        spec, device = self.spec, weights.device
        row, key_row, column, key_column = self.places(device)
        rows = _band_index(row, key_row[:1], self.size[0], spec.vertical, spec.border, height)
        columns = _band_index(column, key_column[:, :1], self.size[1], spec.horizontal, spec.border, width)
        beyond = len(key_row), key_column.shape[1]
        inside = (rows >= 0) & (rows < beyond[0]), (columns >= 0) & (columns < beyond[1])
        both = inside[0][:, None, :, None] & inside[1][:, None, :, None, :]  # [tiles, rows, columns, height, width]
        index = rows[:, None, :, None] * beyond[1] + columns[:, None, :, None, :]
        index = torch.where(both, index, 0).flatten(3, 4).flatten(1, 2)[:, None]  # [tiles, 1, Q, W]
        index, both = (x.repeat(len(weights) // self.tiles, 1, 1, 1) for x in (index, both.view(index.shape)))
        index = index.expand(-1, weights.shape[1], -1, -1)
        return weights.gather(-1, index).masked_fill_(~both, 0)

    def part_of_bias(self, bias: Tensor) -> Tensor:
        """``[B, H, rows, columns, rows, columns]``, any of them 1, → the part of these queries and keys, a view."""
        places = (self.queries[0], slice(None), *self.queries[2:], *self.keys[2:])
        return bias[tuple(slice(None) if n == 1 else place for n, place in zip(bias.shape, places, strict=True))]

    def bias_of_tensor(self, part: Tensor) -> Tensor:
        """``[a, H, rows, columns, rows, columns]``, any of the last four 1 → ``[a · tiles, H, Q, K]``."""
        sizes = [place.stop - place.start for place in (*self.queries[2:], *self.keys[2:])]
        part = part.expand(*part.shape[:2], *sizes)
        first = self.queries[3].start - self.before
        last = self.queries[3].start + self.tiles * self.tile + self.after
        missing = self.tiles * self.tile - sizes[1]
        part = functional.pad(part, (self.keys[3].start - first, last - self.keys[3].stop, 0, 0, 0, missing))
        part = torch.unflatten(part, 3, (self.tiles, self.tile))  # [a, H, rows, tiles, columns, rows, all columns]
        part = part.unfold(6, self.tile + self.before + self.after, self.tile).diagonal(dim1=3, dim2=6)
        return part.permute(0, 6, 1, 2, 3, 4, 5).flatten(5, 6).flatten(3, 4).flatten(0, 1)


class _Axis:
    """One axis of an image: what a run of its places sees."""

    def __init__(self, length: int, sides: Sides, border: Border) -> None:
        first, count = runs(length, sides, border, torch.device("cpu"))
        self.length, self._first, self._stop = length, first.tolist(), (first + count).tolist()
        limits = None if sides.before is None or sides.after is None else (sides.before, sides.after)
        self.more = length if limits is None else sum(limits)  # how many more places a run sees than it has, at most
        width = self.more + 1
        # What every run has on both sides, wherever it lies; None: it sees all, perhaps.
        self.beside = limits if limits is None or border == "zero" else (width - 1, width - 1)
        tile = 4
        while tile < min(width, 16):
            tile *= 2
        self.tile = min(tile, length)

    def seen_by(self, own: slice) -> slice:
        """What some of a run of places sees."""
        return slice(self._first[own.start], self._stop[own.stop - 1])


def pieces(size: tuple[int, int], spec: GridSpec, images: int, scores: int, *, careful: bool) -> Iterator[Piece]:
    """All of so many images of one size, with up to so many scores of a head at a time, or those of one tile."""
    vertical = _Axis(size[0], near(spec.vertical), spec.border)
    horizontal = _Axis(size[1], near(spec.horizontal), spec.border)
    high, wide = vertical.tile, horizontal.tile

    def of_tile() -> int:
        return high * min(high + vertical.more, size[0]) * wide * min(wide + horizontal.more, size[1])

    while of_tile() > scores and high * wide > 1:
        high, wide = (high // 2, wide) if high >= wide else (high, wide // 2)
    beside = horizontal.beside
    if beside is not None and wide + sum(beside) >= size[1]:
        beside = None
    tiles = 1 if beside is None else max(1, min(scores // of_tile(), -(-size[1] // wide)))
    together = max(1, scores // (of_tile() * tiles))
    for image in _parts(images, together):
        for rows in _parts(size[0], high):
            for columns in _parts(size[1], wide * tiles):
                queries = (image, slice(None), rows, columns)
                if beside is None:  # one tile, with what it sees
                    keys = horizontal.seen_by(columns)
                    tile, ends = columns.stop - columns.start, (columns.start - keys.start, keys.stop - columns.stop)
                else:
                    tile, ends = wide, beside
                    stop = columns.start + -(-(columns.stop - columns.start) // wide) * wide
                    keys = slice(max(columns.start - beside[0], 0), min(stop + beside[1], size[1]))
                yield Piece(
                    spec, size, queries, (image, slice(None), vertical.seen_by(rows), keys), tile, *ends, careful
                )


def _parts(length: int, step: int) -> Iterator[slice]:
    for first in range(0, length, step):
        yield slice(first, min(first + step, length))


def near(sides: Sides) -> Sides:
    """The same in a lattice, whose neighbours are one apart."""
    return sides._replace(step=1)


def _seen(place: Tensor, key: Tensor, length: int, sides: Sides, border: Border) -> Tensor:
    """``[…, Q]`` and ``[…, K]`` → bool ``[…, Q, K]``: which keys each place sees; none from outside."""
    first, count = runs(length, near(sides), border, place.device)
    inside = place.clamp(max=length - 1)
    low, high = first[inside][..., None], (first + count)[inside][..., None]
    return (key[..., None, :] >= low) & (key[..., None, :] < high) & (place[..., None] < length)


def _band_index(place: Tensor, first_key: Tensor, length: int, sides: Sides, border: Border, width: int) -> Tensor:
    """``[…, Q, width]``: which key of a rectangle each column of the band is, along one axis."""
    first = first_column(length, near(sides), border, place.device)[place.clamp(max=length - 1)]
    return first[..., None] - first_key[..., None] + torch.arange(width, device=place.device)


def _from_table(table: Tensor, place: Tensor, key: Tensor, step: int, before: int) -> Tensor:
    """``[H, Q, K]``; its gradient adds up in one order."""
    index = table_index(place * step, key * step, table.shape[1], before)
    return torch.unflatten(table.index_select(1, index.flatten()), 1, index.shape)
