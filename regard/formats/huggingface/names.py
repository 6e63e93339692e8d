"""Tensors of other programs by name and shape, and which of ours they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from regard.errors import ModelError

State = dict[str, Tensor]
Names = dict[str, tuple[str, ...]]  # ours → theirs, whose rows stand below each other in ours
Shapes = dict[str, tuple[int, ...]]
Parts = dict[str, tuple[tuple[str, ...], tuple[int, ...]]]  # ours → theirs, and the shape of our weight
Layout = tuple[Names, Shapes]  # ours → theirs, and the shapes of theirs


def weights_and_biases(parts: Names) -> Names:
    return {
        f"{ours}.{kind}".removeprefix("."): tuple(f"{name}.{kind}" for name in theirs)
        for ours, theirs in parts.items()
        for kind in ("weight", "bias")
    }


def linear(name: str, rows: int, *columns: int) -> Shapes:
    """Of a matrix, or a convolution, and its bias."""
    return {f"{name}.weight": (rows, *columns), f"{name}.bias": (rows,)}


def norm(name: str, dim: int) -> Shapes:
    return linear(name, dim)


def layout(parts: Parts) -> Layout:
    """Of the weights and biases of parts.

    >>> layout({"dense": (("one", "two"), (6, 5))})[1]
    {'one.weight': (3, 5), 'one.bias': (3,), 'two.weight': (3, 5), 'two.bias': (3,)}
    """
    shapes: Shapes = {}
    for theirs, (rows, *columns) in parts.values():
        for name in theirs:
            shapes |= linear(name, rows // len(theirs), *columns)
    return weights_and_biases({ours: theirs for ours, (theirs, _) in parts.items()}), shapes


def to_ours(names: Names, tensors: Mapping[str, Tensor]) -> State:
    """Their tensors under our names."""
    return {ours: torch.cat([tensors[name] for name in theirs]) for ours, theirs in names.items()}


def to_theirs(part: str, names: Names, shapes: Shapes, state: State | None, *, program: str) -> State:
    """Tensors of one part under their names, all of them and no others, in the right shapes.

    Raises:
        ModelError: the first that is not.
    """
    state = state or {}
    expected = {
        ours: (sum(shapes[name][0] for name in theirs), *shapes[theirs[0]][1:]) for ours, theirs in names.items()
    }
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        asked, given = (_shape(shapes.get(wrong[0])) for shapes in (expected, found))
        raise ModelError(
            f"{part}: its tensors must be those of the options and labels, first wrong at '{wrong[0]}': "
            f"{program} has {asked}, got {given}"
        )
    return {
        name: tensor
        for ours, theirs in names.items()
        for name, tensor in zip(theirs, state[ours].chunk(len(theirs)), strict=True)
    }


def _shape(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else str(list(shape))
