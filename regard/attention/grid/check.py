"""Arguments in, a `GridSpec` out; whatever does not fit is refused here, by name."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.attention.check import (
    FURTHEST,
    check_bias,
    check_choices,
    check_inputs,
    check_offsets,
    check_shapes,
    check_table,
    choices_of,
    sides_of,
)
from regard.attention.grid.spec import BORDERS, Attend2dOptions, GridBias, GridSpec, Side
from regard.attention.spec import shown, under_autocast, whole
from regard.errors import ConfigError, ShapeError
from regard.ragged import on_host


def check(
    query: Tensor, key: Tensor, value: Tensor, options: Attend2dOptions
) -> tuple[Tensor, Tensor, Tensor, GridSpec]:
    """What is computed with: query, key and value as autocast has them, and the frozen description of the call.

    Arguments:
        options: all of them.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigError: a choice that does not exist.
    """
    bias, offsets, border = options["bias"], options["offsets"], options["border"]
    check_inputs(query, key, value, options["score"], offsets=offsets)
    query, key, value = under_autocast(query, key, value)
    check_shapes(query, key, value, ragged=offsets is not None)
    if offsets is not None and query.shape[0] != key.shape[0]:
        raise ShapeError(
            f"query and key must have the same pixels, got {query.shape[0]} and {key.shape[0]} rows; "
            "attention between images is regard.attend's, with key_offsets"
        )
    check_offsets(query, key, offsets, None)
    check_choices(query, options)
    rows, columns, sizes = _size(query, key, options["size"], offsets)
    up, down, left, right = window_sides(options["window"])
    row_step, column_step = _dilation(options["dilation"])
    if border not in BORDERS:
        raise ConfigError(f"border must be one of {', '.join(BORDERS)}; got {border!r}")
    if border == "shift" and ((up is None) != (down is None) or (left is None) != (right is None)):
        raise ConfigError(
            'border="shift" moves a window of one width: along an axis the window must have both limits or none, '
            f"got {shown(options['window'])}"
        )
    grid = bias if isinstance(bias, GridBias) else None
    if grid is None:
        check_bias(query, key, bias, ragged=offsets is not None, relative="GridBias")
    else:
        check_table(query, grid.rows, "GridBias rows")
        check_table(query, grid.columns, "GridBias columns")
    spec = GridSpec(
        **choices_of(query, options),
        bias=bias if isinstance(bias, Tensor) else None,
        row_table=None if grid is None else grid.rows,
        column_table=None if grid is None else grid.columns,
        offsets=None if offsets is None else _on_host(offsets),
        sizes=sizes,
        row_table_up=0 if grid is None else grid.up or 0,
        column_table_left=0 if grid is None else grid.left or 0,
        rows=rows,
        columns=columns,
        up=up,
        down=down,
        left=left,
        right=right,
        row_step=row_step,
        column_step=column_step,
        border=border,
    )
    return query, key, value, spec


def _size(query: Tensor, key: Tensor, size: object, offsets: Tensor | None) -> tuple[int, int, Tensor | None]:
    """Rows and columns of a dense batch's images; of a ragged one ``[B, 2]``, on the CPU."""
    if offsets is None:
        pair = size if isinstance(size, tuple | list) and len(size) == 2 else (None, None)
        rows, columns = whole(pair[0]), whole(pair[1])
        if rows is None or columns is None or rows < 0 or columns < 0:
            raise ShapeError(
                f"size must be (rows, columns) of every image, got {shown(size)}; ragged batches have offsets"
            )
        if not query.shape[2] == key.shape[2] == rows * columns:
            raise ShapeError(
                f"query and key must have rows · columns = {rows} · {columns} = {rows * columns} pixels, "
                f"got {query.shape[2]} and {key.shape[2]}; images are row-major"
            )
        return rows, columns, None
    if not isinstance(size, Tensor):
        pairs = list(size) if isinstance(size, tuple | list) else [size]
        if not all(isinstance(p, tuple | list) and len(p) == 2 and None not in map(whole, p) for p in pairs):
            raise ShapeError(f"size must be [B, 2] or a list of (rows, columns), one for each image, got {shown(size)}")
        size = torch.tensor(pairs, dtype=torch.int64, device="cpu").view(-1, 2)
    expected = [offsets.shape[0] - 1, 2]
    if list(size.shape) != expected or size.dtype not in (torch.int64, torch.int32):
        raise ShapeError(
            f"size must be int64 of shape [B, 2] = {expected}, (rows, columns) of each image that offsets tell apart; "
            f"got {size.dtype} of shape {list(size.shape)}"
        )
    if size.is_meta and not query.is_meta:
        raise ShapeError(f"size must hold numbers, got a tensor on meta, which has none; make it on {query.device}")
    return 0, 0, _on_host(size)


def _on_host(numbers: Tensor) -> Tensor:
    return numbers if numbers.is_cpu else on_host(numbers)[0]


def window_sides(window: object) -> tuple[Side, Side, Side, Side]:
    """How many pixels up, down, left and right may be seen; None for no limit."""
    rule = "(vertical, horizontal), or (up, down, left, right), each such a number or None"
    sides = sides_of(window, 2, 4, rule=rule)
    up, down, left, right = sides if len(sides) == 4 else (sides[0], sides[0], sides[1], sides[1])
    return up, down, left, right


def _dilation(dilation: object) -> tuple[int, int]:
    given = dilation if isinstance(dilation, tuple | list) else (dilation, dilation)
    steps = [whole(step) for step in given]
    if len(steps) != 2 or steps[0] is None or steps[1] is None or min(steps[0], steps[1]) < 1:
        raise ConfigError(
            f"dilation must be a whole number from 1, or (vertical, horizontal), got {shown(dilation)}; "
            "it is how many pixels apart the neighbours of a window are"
        )
    return min(steps[0], FURTHEST), min(steps[1], FURTHEST)
