"""What the cases of sequences and of images share: outputs with gradients, tensors from a seed, choices to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from attention.tolerances import assert_near

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


class Grouped(OfCase, Protocol):
    """Beside it, how many query heads there are for each key head."""

    @property
    def group(self) -> int: ...


def outcome(attend: Callable[[Leaves], Tensor], leaves: Leaves, case: OfCase) -> Leaves:
    """The output and the gradients of all leaves, for one fixed gradient of the output, rounded as the case is."""
    leaves = {name: leaf.detach().clone().requires_grad_() for name, leaf in leaves.items()}
    output = attend(leaves)
    gradient = torch.randn(output.shape, dtype=torch.float64, generator=generator(case.seed + 1)).to(case.dtype)
    gradients = torch.autograd.grad(output, list(leaves.values()), gradient.to(output.dtype))
    return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


class AnyCall(Protocol):
    """A call of either function; of images each is a sequence of its own."""

    leaves: Leaves

    @property
    def case(self) -> Grouped: ...
    def to(self, dtype: torch.dtype) -> Self: ...
    def run(self, implementation: str) -> Leaves: ...
    def by_sequence(self, x: Tensor, *, keys: bool = False) -> list[Tensor]: ...
    def visible(self) -> list[Tensor]: ...


def assert_blind_rows_are_zero(call: AnyCall, actual: Leaves) -> None:
    """Of the output and of the gradient: rows that see nothing."""
    for name in ("output", "query"):
        for rows, see in zip(call.by_sequence(actual[name]), call.visible(), strict=True):
            assert (rows[~see.any(-1)] == 0).all(), name


def infect(
    call: AnyCall, poison: float, random: torch.Generator, *, in_queries: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Poisons some keys and values in place, and some queries; says which rows and whose gradients may show it."""
    group = call.case.group
    queries = call.by_sequence(call.leaves["query"])
    keys, values = (call.by_sequence(call.leaves[name], keys=True) for name in ("key", "value"))
    ill_rows, ill_keys = [], []
    for query, key, value, see in zip(queries, keys, values, call.visible(), strict=True):
        bad_key = torch.rand(key.shape[:2], generator=random) < 0.15  # [Hk, K]
        bad_key |= ~see.unflatten(0, (-1, group)).any(1).any(1)  # all that nobody sees
        bad_row = torch.rand(query.shape[:2], generator=random) < (0.1 if in_queries else 0)  # [H, Q]
        key[bad_key] = value[bad_key] = poison
        query[bad_row] = poison
        ill_row = bad_row | (see & bad_key.repeat_interleave(group, 0)[:, None]).any(-1)
        ill_rows.append(ill_row)
        ill_keys.append((see & ill_row[..., None]).unflatten(0, (-1, group)).any(1).any(1))
    return ill_rows, ill_keys


def assert_poison_stays(clean: AnyCall, implementation: str, poison: float, *, in_queries: bool) -> None:
    """Where it may be seen: all else is as it is without."""
    case, dirty = clean.case, clean.to(clean.case.dtype)
    ill_rows, ill_keys = infect(dirty, poison, generator(case.seed), in_queries=in_queries)
    expected, actual = clean.run(implementation), dirty.run(implementation)
    for names, ills, keys in ((("output", "query"), ill_rows, False), (("key", "value"), ill_keys, True)):
        for name in names:
            parts = (call.by_sequence(x[name], keys=keys) for call, x in ((clean, expected), (dirty, actual)))
            for want, got, ill in zip(*parts, ills, strict=True):
                assert_near(got[~ill], want[~ill], case.dtype, name)
    if not any(ill.any() for ill in ill_rows):
        for name in actual.keys() - {"output", "query", "key", "value"}:
            assert_near(actual[name], expected[name], case.dtype, name)


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
