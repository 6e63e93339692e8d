"""Who attended to whom in images, as large as the window and no larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from regard.attention.grid.spec import GridSpec, Image, images_of
from regard.attention.grid.window import band_width, first_column
from regard.attention.spec import whole
from regard.attention.weights import entropy, heaviest, mean
from regard.errors import ShapeError
from regard.ragged import counted, shape_of


@dataclass(frozen=True, eq=False)
class GridWeights:
    """The weights of one call of attention over images, held as a window.

    Column ``i · width + j`` of pixel q belongs to the pixel in row ``first_row[q] + i · dilation[0]`` and column
    ``first_column[q] + j · dilation[1]`` of its image. Columns outside the image, and pixels that q may not see,
    weigh 0. Along an axis without a limit the band is as long as the longest image.

    Arguments:
        values: dense ``[B, H, N, height · width]``; ragged ``[T, H, height · width]``.
        first_row, first_column: ``[N]`` or ``[T]`` int64; negative where the window sticks out of the image.
        width: of the window.
        dilation: how many rows and columns its neighbours are apart.
        sizes: ``[B, 2]`` int64 on the CPU, rows and columns of each image.
        offsets: ragged: ``[B+1]`` on the CPU; None: dense.
    """

    values: Tensor
    first_row: Tensor
    first_column: Tensor
    width: int
    dilation: tuple[int, int]
    sizes: Tensor
    offsets: Tensor | None = None

    def __repr__(self) -> str:
        """Its layout and sizes, and no tensor of it."""
        layout = "dense" if self.offsets is None else "ragged"
        return f"GridWeights({layout}, {counted(len(self.sizes), 'image')}, values {shape_of(self.values)})"

    def dense(self) -> Tensor | list[Tensor]:
        """Every pair: ``[B, H, N, N]``, or a list of ``[H, N_b, N_b]`` of a ragged batch. Memory O(N²)."""
        if self.offsets is None:
            rows, columns = self._grids[0].tolist()
            return self._spread(self.values, slice(None), rows, columns)
        parts = []
        for start, (rows, columns) in zip(self.offsets.tolist(), self.sizes.tolist(), strict=False):
            pixels = slice(start, start + rows * columns)
            parts.append(self._spread(self.values[pixels].transpose(0, 1), pixels, rows, columns))
        return parts

    def row(self, query: int | tuple[int, int], image: int = 0) -> Tensor:
        """``[H, rows, columns]``: what one pixel gave to each pixel of its image.

        Arguments:
            query: number of the pixel in its image, row-major, or its (row, column); negative counts from the end.
            image: which one of the batch.
        """
        if not -len(self.sizes) <= image < len(self.sizes):
            raise ShapeError(f"image must be one of the batch's {len(self.sizes)}, got {image}")
        rows, columns = self.sizes[image].tolist()
        place = _place(query, rows, columns)
        if place is None:
            raise ShapeError(f"query must be one of the {rows} · {columns} pixels of image {image}, got {query}")
        if self.offsets is None:
            values = self.values[image, :, place]
        else:
            place += int(self.offsets[image % len(self.sizes)])
            values = self.values[place]
        return self._spread(values[:, None], slice(place, place + 1), rows, columns).view(-1, rows, columns)

    def top(self, k: int) -> tuple[Tensor, Tensor]:
        """The k heaviest pixels that each one sees: their weights and their numbers in the image, heaviest first.

        Pixels are numbered row-major. Both ``[B, H, N, k]`` or ``[T, H, k]``. Where fewer than k weigh anything, weight
        0 stands at number −1.
        """
        return heaviest(self.values, k, self._numbers)

    def entropy(self) -> Tensor:
        """How widely each pixel looks, ``−Σ p·ln p`` in nats with p the weights divided by their sum; 0 for no weight.

        ``[B, H, N]`` or ``[T, H]``.
        """
        return entropy(self.values)

    def distance(self) -> Tensor:
        """How far each pixel looks, the mean of its distance from what it sees in pixels; 0 for no weight.

        ``√(Δrow² + Δcolumn²)``, under the weights divided by their sum. ``[B, H, N]`` or ``[T, H]``.
        """
        rows, columns = self._keys(slice(None))  # [N, W] each
        row, column = self._places
        away = torch.hypot((rows - row[:, None]).double(), (columns - column[:, None]).double())
        return mean(self.values, self._by_pixel(away))

    @property
    def _grids(self) -> Tensor:
        """``[n, 2]``: rows and columns of the images whose pixels are told of; where none is, of any that fits."""
        if self.offsets is not None:
            return self.sizes
        return self.sizes[:1] if len(self.sizes) else torch.tensor([[len(self.first_row), 1]], device="cpu")

    @property
    def _places(self) -> tuple[Tensor, Tensor]:
        """Row and column of each pixel."""
        device = self.values.device
        rows, columns = ([torch.zeros(0, dtype=torch.int64, device=device)] for _ in range(2))
        for high, wide in self._grids.tolist():
            rows.append(torch.arange(high, device=device).repeat_interleave(wide))
            columns.append(torch.arange(wide, device=device).repeat(high))
        return torch.cat(rows), torch.cat(columns)

    def _numbers(self, index: Tensor) -> Tensor:
        """Columns ``[B, H, N, k]`` or ``[T, H, k]`` → the number in its image of the pixel that each belongs to."""
        first_row, first_column = (self._by_pixel(x[:, None]) for x in (self.first_row, self.first_column))
        row = first_row + index // self.width * self.dilation[0]
        wide = torch.repeat_interleave(self._grids[:, 1], self._grids.prod(1)).to(index.device)
        return row * self._by_pixel(wide[:, None]) + first_column + index % self.width * self.dilation[1]

    def _by_pixel(self, x: Tensor) -> Tensor:
        """``[N, n]`` or ``[T, n]`` beside ``values``, whose pixels stand after the heads, or before them."""
        return x if self.offsets is None else x[:, None]

    def _keys(self, pixels: slice) -> tuple[Tensor, Tensor]:
        """``[n, W]`` each: row and column of the pixel that each column of these rows belongs to."""
        index = torch.arange(self.values.shape[-1], device=self.values.device)
        rows = self.first_row[pixels, None] + index // self.width * self.dilation[0]
        return rows, self.first_column[pixels, None] + index % self.width * self.dilation[1]

    def _spread(self, values: Tensor, pixels: slice, rows: int, columns: int) -> Tensor:
        """``[..., n, W]`` → ``[..., n, rows · columns]``."""
        row, column = self._keys(pixels)
        index = _pixel_numbers(row, column, rows, columns).expand(values.shape)
        return values.new_zeros(*values.shape[:-1], rows * columns + 1).scatter(-1, index, values)[..., :-1]


def _place(query: int | tuple[int, int], rows: int, columns: int) -> int | None:
    """The number of a pixel in its image, given by it or by row and column; None where it is none of them."""
    number = whole(query)
    if number is not None:
        return number % (rows * columns) if -rows * columns <= number < rows * columns else None
    pair = [whole(x) for x in query] if isinstance(query, tuple | list) else []
    if len(pair) != 2 or pair[0] is None or pair[1] is None:
        return None
    if not (-rows <= pair[0] < rows and -columns <= pair[1] < columns):
        return None
    return pair[0] % rows * columns + pair[1] % columns


def _pixel_numbers(row: Tensor, column: Tensor, rows: int, columns: int) -> Tensor:
    """The number of a pixel in its image; outside of it, one past its last."""
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return torch.where(inside, row * columns + column, rows * columns)


def window_weights(values: Tensor, query: Tensor, spec: GridSpec) -> GridWeights:
    """``values [B, H, N, W]`` or ``[T, H, W]`` with what they mean."""
    images, device = images_of(query, spec), query.device
    firsts = [first_places(image, spec, device) for image in images] or [(torch.zeros(0, device=device).long(),) * 2]
    sizes = spec.sizes
    if sizes is None:
        sizes = torch.tensor([[spec.rows, spec.columns]], device="cpu").expand(len(query), -1)
    return GridWeights(
        values,
        torch.cat([rows for rows, _ in firsts]),
        torch.cat([columns for _, columns in firsts]),
        window_size(images, spec)[1],
        (spec.row_step, spec.column_step),
        sizes,
        spec.offsets,
    )


def first_places(image: Image, spec: GridSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """``[N]`` each: the row and the column of each pixel's first column in the band."""
    row = first_column(image.rows, spec.vertical, spec.border, device)
    column = first_column(image.columns, spec.horizontal, spec.border, device)
    return row.repeat_interleave(image.columns), column.repeat(image.rows)


def window_size(images: Sequence[Image], spec: GridSpec) -> tuple[int, int]:
    """Rows and columns of the band."""
    height = band_width([image.rows for image in images], spec.vertical)
    return height, band_width([image.columns for image in images], spec.horizontal)


def from_dense(dense: Sequence[Tensor], query: Tensor, spec: GridSpec) -> GridWeights:
    """From the weights of every pair: one ``[B, H, N, N]``, or with offsets one ``[1, H, N_b, N_b]`` for each image."""
    images = images_of(query, spec)
    height, width = window_size(images, spec)
    index = torch.arange(height * width, device=query.device)
    bands = []
    for image, w in zip(images, dense, strict=True):
        row, column = first_places(image, spec, query.device)
        row = row[:, None] + index // max(width, 1) * spec.row_step
        column = column[:, None] + index % max(width, 1) * spec.column_step
        numbers = _pixel_numbers(row, column, image.rows, image.columns).expand(*w.shape[:-1], -1)
        bands.append(functional.pad(w, (0, 1)).gather(-1, numbers))  # [B, H, N, W]
    if spec.offsets is None:
        return window_weights(bands[0], query, spec)
    nothing = query.new_zeros(0, query.shape[1], height * width)
    return window_weights(torch.cat([nothing, *(band[0].transpose(0, 1) for band in bands)]), query, spec)
