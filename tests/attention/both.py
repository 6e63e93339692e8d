"""A call of either function from its case, for what both promise in the same words."""

from __future__ import annotations

from attention import cases
from attention.grid import cases as grid_cases

Case = cases.Case
GridCase = grid_cases.Case


def make(case: Case | GridCase) -> cases.Call | grid_cases.Call:
    """The tensors of a case, from its seed."""
    return grid_cases.make(case) if isinstance(case, GridCase) else cases.make(case)
