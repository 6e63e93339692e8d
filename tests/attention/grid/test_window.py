"""What a place sees along one axis: every short axis, window, dilation and border, against its definition."""

from __future__ import annotations

import itertools

import pytest
import torch

from attention.grid.cases import neighbours
from regard.attention.grid.spec import BORDERS, Border, Sides
from regard.attention.grid.window import band_width, first_column, sees

CPU = torch.device("cpu")
REACHES = (None, 0, 1, 2, 4)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_axis(step: int, border: Border) -> None:
    for before, after, length in itertools.product(REACHES, REACHES, range(9)):
        if border == "shift" and (before is None) != (after is None):
            continue
        sides = Sides(before, after, step)
        seen, width = sees(length, sides, border, CPU), band_width([length], sides)
        for place, first in enumerate(first_column(length, sides, border, CPU).tolist()):
            expected = neighbours(place, length, before, after, step, border)
            assert seen[place].nonzero().flatten().tolist() == expected, (place, length, sides)
            assert set(expected) <= set(range(first, first + width * step, step)), (place, length, sides)
