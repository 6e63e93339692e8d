"""Which pixels may see each other: along one axis at a time, for a window is a run of rows by a run of columns."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.attention.grid.spec import Border, Sides


def runs(length: int, sides: Sides, border: Border, device: torch.device) -> tuple[Tensor, Tensor]:
    """``[length]`` each: the first place that each place sees, and how many, ``sides.step`` from each other.

    Places a step apart make a group, and see only their own. "zero": of the window what lies in the image. "shift":
    the window moved into the image, so that all see as many (Hassani et al. 2023, "Neighborhood Attention").
    """
    place = torch.arange(length, device=device)
    number, group = place // sides.step, place % sides.step  # of the place in its group
    members = (length - 1 - group) // sides.step + 1
    if sides.before is None and sides.after is None:
        first, stop = torch.zeros_like(number), members
    elif border == "shift":
        width = (sides.before or 0) + (sides.after or 0) + 1  # check refuses a single limit
        first = torch.minimum(number - (sides.before or 0), members - width).clamp_(min=0)
        stop = torch.minimum(first + width, members)
    else:
        first = torch.zeros_like(number) if sides.before is None else (number - sides.before).clamp_(min=0)
        stop = members if sides.after is None else torch.minimum(number + sides.after + 1, members)
    return group + first * sides.step, stop - first


def sees(length: int, sides: Sides, border: Border, device: torch.device) -> Tensor:
    """Bool ``[length, length]``: which places each place sees."""
    first, count = runs(length, sides, border, device)
    steps = torch.arange(length, device=device) - first[:, None]
    return (steps >= 0) & (steps < count[:, None] * sides.step) & (steps % sides.step == 0)


def first_column(length: int, sides: Sides, border: Border, device: torch.device) -> Tensor:
    """``[length]``: where the band begins in which the weights of each place are held; perhaps outside of the image."""
    if border == "zero" and sides.before is not None and sides.after is not None:
        return torch.arange(length, device=device) - sides.before * sides.step
    if sides.before is None or sides.after is None:
        return torch.arange(length, device=device) % sides.step
    return runs(length, sides, border, device)[0]


def band_width(lengths: list[int], sides: Sides) -> int:
    """How many places the band holds along an axis: the window, or the most that there are where it has no limit."""
    if sides.before is None or sides.after is None:
        return -(-max(lengths, default=0) // sides.step)
    return sides.before + sides.after + 1


def table_index(query: Tensor, key: Tensor, width: int, before: int) -> Tensor:
    """``[Q, K]``: the entry of a table for the distance of each key from each query, both given by their places."""
    return (key - query[:, None] + before).clamp_(0, width - 1)
