"""What the cases of sequences and of images share: outputs with gradients, tensors from a seed, choices to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
Leaves = dict[str, Tensor]  # what may need a gradient, by name

CHOICES: dict[str, SearchStrategy[Any]] = {
    "score": st.sampled_from(["dot", "additive"]),
    "normalizer": st.sampled_from(["softmax", "relu", "sigmoid"]),
    "ragged": st.booleans(),
    "key_heads": st.integers(1, 2),
    "dim": st.sampled_from([1, 3, 4, 8]),
    "value_dim": st.sampled_from([1, 4, 5]),
    "scale": st.none() | st.sampled_from([0.3, 0.0, -0.5]),
    "bias": st.none() | st.tuples(*[st.booleans()] * 4),
    "bias_hides": st.booleans(),
    "dtype": st.sampled_from(DTYPES),
    "seed": st.integers(0, 1000),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class OfCase(Protocol):
    """What the tensors of any case follow from."""

    @property
    def score(self) -> str: ...
    @property
    def heads(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def seed(self) -> int: ...
    @property
    def bias_hides(self) -> bool: ...


def outcome(attend: Callable[[Leaves], Tensor], leaves: Leaves, case: OfCase) -> Leaves:
    """The output and the gradients of all leaves, for one fixed gradient of the output, rounded as the case is."""
    leaves = {name: leaf.detach().clone().requires_grad_() for name, leaf in leaves.items()}
    output = attend(leaves)
    gradient = torch.randn(output.shape, dtype=torch.float64, generator=generator(case.seed + 1)).to(case.dtype)
    gradients = torch.autograd.grad(output, list(leaves.values()), gradient.to(output.dtype))
    return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


class Draw:
    """Tensors of a case, from its seed."""

    def __init__(self, case: OfCase) -> None:
        self.case, self.random = case, generator(case.seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=self.random).to(self.case.dtype)

    def leaves(self, shapes: Sequence[tuple[int, ...]]) -> Leaves:
        """Query, key and value, and the weight of an additive score."""
        leaves = {name: self.normal(*shape) for name, shape in zip(("query", "key", "value"), shapes, strict=True)}
        if self.case.score == "additive":
            leaves["weight"] = self.normal(self.case.heads, self.case.dim)
        return leaves

    def bias(self, *shape: int) -> Tensor:
        """Of which some are −inf where it hides."""
        x = self.normal(*shape)
        return x.masked_fill(torch.rand(shape, generator=self.random) < 0.3, -math.inf) if self.case.bias_hides else x

    def mask(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.random) < 0.6
