"""The options of a call over images: as they are given, and as every implementation reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypedDict, get_args, get_type_hints

from torch import Tensor

from regard.attention.spec import Additive, Normalizer, Spec, read_sequences, type_in_schema, zero_of
from regard.errors import ShapeError
from regard.ragged import shape_of

Border = Literal["zero", "shift"]
BORDERS: tuple[Border, ...] = get_args(Border)
Side = int | None  # None for no limit
Window2d = int | tuple[Side, Side] | tuple[Side, Side, Side, Side] | None
Size = tuple[int, int] | Tensor | Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class GridBias:
    """A bias that depends on nothing but the head and how many rows and columns the key stands from the query.

    ``bias[h, q, k] = rows[h, Δrow + up] + columns[h, Δcolumn + left]`` with Δ = the key's − the query's, in pixels.
    Distances beyond a table take its first or last entry.

    Arguments:
        rows: ``[H, up+down+1]``, may need a gradient; −inf in it means "may not see".
        columns: ``[H, left+right+1]``, likewise.
        up: rows that the table reaches above the query; None puts the query in the middle.
        left: columns that the table reaches before the query; None puts the query in the middle.

    >>> import torch
    >>> bias = GridBias(torch.zeros(4, 13), torch.zeros(4, 7))
    >>> bias.up, bias.left
    (6, 3)
    """

    rows: Tensor
    columns: Tensor
    up: int | None = None
    left: int | None = None

    def __repr__(self) -> str:
        rows, columns = shape_of(self.rows), shape_of(self.columns)
        return f"GridBias(rows {rows}, columns {columns}, up {self.up}, left {self.left})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "up", zero_of(self.rows, self.up, "GridBias rows", ("up", "down")))
        object.__setattr__(self, "left", zero_of(self.columns, self.left, "GridBias columns", ("left", "right")))


class Attend2dOptions(TypedDict, total=False):
    """What :func:`regard.attend2d` takes by keyword, where it also says what each means and defaults to."""

    size: Size
    window: Window2d
    dilation: int | tuple[int, int]
    border: str
    score: str | Additive
    normalizer: str
    offsets: Tensor | None
    bias: Tensor | GridBias | None
    scale: float | None
    dropout_p: float


class Sides(NamedTuple):
    """How far a pixel sees along one axis: so many neighbours before and after it, ``step`` pixels from each other."""

    before: int | None
    after: int | None
    step: int


class GridSpec(NamedTuple):
    """All of a call but query, key and value, checked and frozen; its fields are the operator's arguments, in order.

    The pixel in row r and column c of an image may see those in rows ``r + i·row_step`` and columns
    ``c + j·column_step``, with i from −up to down and j from −left to right where ``border`` is "zero"; where it is
    "shift", both runs are moved into the image. −inf in a bias or a table hides more.
    """

    additive_weight: Tensor | None  # [H, D] of an additive score; None: the scaled dot product
    bias: Tensor | None  # broadcastable to [B, H, N, N]
    row_table: Tensor | None  # [H, L] of a GridBias
    column_table: Tensor | None
    offsets: Tensor | None  # [B+1], on the CPU; None: the dense layout
    sizes: Tensor | None  # [B, 2] with offsets, on the CPU
    seed: Tensor | None  # [1] int64, on the CPU; None: no dropout
    row_table_up: int  # the table's entry of distance 0
    column_table_left: int
    rows: int  # of every image in the dense layout
    columns: int
    up: int | None
    down: int | None
    left: int | None
    right: int | None
    row_step: int
    column_step: int
    border: Border
    normalizer: Normalizer
    scale: float
    dropout_p: float

    def learned(self) -> dict[str, Tensor]:
        """What may need a gradient beside query, key and value, by name, where it is given."""
        return {name: x for name, x in zip(LEARNED, self, strict=False) if isinstance(x, Tensor)}

    def of_sequences(self) -> Spec | None:
        """The same as a call of :func:`regard.attend`, if each pixel sees all of its image and no table is added."""
        limits = (self.up, self.down, self.left, self.right)
        if limits != (None,) * 4 or (self.row_step, self.column_step) != (1, 1) or self.row_table is not None:
            return None
        return Spec(
            additive_weight=self.additive_weight,
            bias=self.bias,
            table=None,
            offsets=self.offsets,
            key_offsets=None,
            key_mask=None,
            seed=self.seed,
            table_left=0,
            normalizer=self.normalizer,
            left=None,
            right=None,
            query_start=0,
            scale=self.scale,
            dropout_p=self.dropout_p,
        )

    @property
    def vertical(self) -> Sides:
        """Along a column."""
        return Sides(self.up, self.down, self.row_step)

    @property
    def horizontal(self) -> Sides:
        """Along a row."""
        return Sides(self.left, self.right, self.column_step)


SCHEMA = {name: type_in_schema(hint) for name, hint in get_type_hints(GridSpec).items()}
LEARNED = GridSpec._fields[:4]


class Image(NamedTuple):
    """One image of a ragged batch, or all of a dense one: where its pixels begin, and its size."""

    start: int
    rows: int
    columns: int


def images_of(query: Tensor, spec: GridSpec) -> tuple[Image, ...]:
    """The images of a call, as their pixels stand in query; one for all of a dense batch."""
    if spec.offsets is None or spec.sizes is None:
        return (Image(0, int(spec.rows), int(spec.columns)),)
    sequences = read_sequences(spec.offsets, None, len(query), len(query))
    return _checked(tuple((q0, q1) for q0, q1, _, _ in sequences), tuple(spec.sizes.flatten().tolist()))


@lru_cache(maxsize=64)
def _checked(rows: tuple[tuple[int, int], ...], sizes: tuple[int, ...]) -> tuple[Image, ...]:
    images = []
    for b, (start, stop) in enumerate(rows):
        height, width = sizes[2 * b : 2 * b + 2]
        if height < 0 or width < 0 or height * width != stop - start:
            raise ShapeError(
                f"size[{b}] must be (rows, columns) of the {stop - start} pixels that offsets give image {b}, "
                f"got ({height}, {width}), which are {height * width}"
            )
        images.append(Image(start, height, width))
    return tuple(images)
