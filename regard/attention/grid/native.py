"""C++ kernels for the CPU: windows of any size and dilation, every normalizer, at the machine's speed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.attention import native
from regard.attention.grid.lattice import lattices
from regard.attention.grid.spec import GridSpec, images_of

GIVEN = ("query", "key", "value")
MOST = 1 << 12  # keys in a window, whose scores are held for a few vectors of queries; products of matrices gain beyond


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    if (sequences := spec.of_sequences()) is not None:
        return native.refusals(query, key, value, sequences)
    reasons = native.refusals_of_inputs(query, key, value)
    if query.dtype in (torch.bfloat16, torch.float16) and query.shape[1] != key.shape[1]:
        reasons.append(f"query heads share keys whose gradients would be summed in {query.dtype}")
    if spec.additive_weight is not None:
        reasons.append("the score is additive")
    if spec.bias is not None:
        reasons.append("there is a bias tensor")
    if spec.seed is not None:
        reasons.append("there is dropout")
    if spec.up is None or spec.down is None or spec.left is None or spec.right is None:
        reasons.append("a side of the window has no limit")
    elif (spec.up + spec.down + 1) * (spec.left + spec.right + 1) > MOST:
        reasons.append(f"the window holds more than {MOST} keys")
    if spec.border == "shift":
        reasons.append('the border is "shift"')
    return reasons


def attend(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, N, Dv]`` or ``[T, H, Dv]``; what :func:`gradients` needs beside it, ``[B, H, N]``."""
    window = _Window.of(query, spec)
    if (sequences := spec.of_sequences()) is not None:
        return native.attend(query, key, value, sequences)
    call = _call(query, key, value, spec, window)
    output = native.empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    saved = native.empty(*saved_shape(query))
    call.output, call.statistics = native.array(output), saved.data_ptr()
    call.grid_forward()
    return output, saved


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: GridSpec
) -> dict[str, Tensor]:
    """The gradients of query, key, value and what is learned."""
    if (sequences := spec.of_sequences()) is not None:
        return native.gradients(grad, query, key, value, output, saved, sequences)
    window, learned = _Window.of(query, spec), spec.learned()
    call = _call(query, key, value, spec, window)
    call.statistics, call.grad = saved.data_ptr(), native.array(grad)
    found = {name: native.empty(*x.shape, dtype=x.dtype) for name, x in zip(GIVEN, (query, key, value), strict=True)}
    call.by_query, call.by_key, call.by_value = (native.array(x) for x in found.values())
    if learned:
        by_row, by_column = (native.zeros(call.grid_runs(), query.shape[1], n) for n in (window.high, window.wide))
        call.row_table_parts, call.table_parts = by_row.data_ptr(), by_column.data_ptr()
    call.grid_backward()
    if learned:
        for (name, index), parts in zip(window.entries(spec).items(), (by_row, by_column), strict=True):
            table = torch.zeros(learned[name].shape, dtype=torch.float32, device="cpu")
            found[name] = table.index_add_(1, index, parts.sum(0)).to(learned[name].dtype)
    return found


def saved_shape(query: Tensor) -> tuple[int, ...]:
    """``[B, H, N]``, a number for each pixel; B is 1 in a ragged batch."""
    return native.saved_shape(query)


class _Window(NamedTuple):
    """How far pixels see at most, in steps: no further than there are any."""

    up: int
    down: int
    left: int
    right: int

    @classmethod
    def of(cls, query: Tensor, spec: GridSpec) -> _Window:
        images = images_of(query, spec)
        rows = max((image.rows - 1 for image in images), default=0)
        columns = max((image.columns - 1 for image in images), default=0)
        sides = zip((spec.up, spec.down, spec.left, spec.right), (rows, rows, columns, columns), strict=True)
        return cls(*(max(0, min(side or 0, most)) for side, most in sides))

    @property
    def high(self) -> int:
        """Rows."""
        return self.up + self.down + 1

    @property
    def wide(self) -> int:
        """Columns."""
        return self.left + self.right + 1

    def entries(self, spec: GridSpec) -> dict[str, Tensor]:
        """Of each table of a :class:`GridBias`, those for the rows or columns of the window."""
        assert spec.row_table is not None
        assert spec.column_table is not None
        rows = torch.arange(-self.up, self.down + 1, device="cpu") * spec.row_step + spec.row_table_up
        columns = torch.arange(-self.left, self.right + 1, device="cpu") * spec.column_step + spec.column_table_left
        return {
            "row_table": rows.clamp_(0, spec.row_table.shape[1] - 1),
            "column_table": columns.clamp_(0, spec.column_table.shape[1] - 1),
        }


def _call(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec, window: _Window) -> Any:
    """The call for the kernels, all but what they write."""
    call = native.new_call(query, key, value, spec.normalizer, spec.scale)
    call.up, call.down, call.left, call.right = window
    learned = spec.learned()
    if learned:
        tables = [learned[name].detach().float().index_select(1, index) for name, index in window.entries(spec).items()]
        call.row_table, call.table = (x.data_ptr() for x in tables)
        call.table_width, call.tensors = window.wide, tables
    for lattice in lattices(images_of(query, spec), spec):
        (start, _, width), (rows, columns) = lattice.image, lattice.size
        call.image(
            start=start + lattice.row * width + lattice.column,
            rows=rows,
            columns=columns,
            row_step=lattice.row_step * width,
            column_step=lattice.column_step,
        )
    return call
