"""What a call works on, in one form for both layouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeVar

import torch
from torch import Tensor

from regard.attention.spec import Sequences, Spec, compute_dtype, sequences_of

Number = TypeVar("Number", int, Tensor)
HIDING = {"table", "bias"}  # what may hold −inf


@dataclass(frozen=True, eq=False)
class Ill:
    """What held NaN or Inf: vectors of which an element did; of the values, each by itself."""

    query: Tensor  # [P, G, Nq, 1]
    key: Tensor  # [P, Nk, 1]
    value: Tensor  # [P, Nk, Dv]
    grad: Tensor | None  # [P, G, Nq, 1]


@dataclass(frozen=True, eq=False)
class Operands:
    """Of one call, cast to what sums are held in: the plane axis P is batch · key heads, G the query heads of each."""

    query: Tensor  # [P, G, Nq, D]
    key: Tensor  # [P, Nk, D]
    value: Tensor  # [P, Nk, Dv]
    grad: Tensor | None  # [P, G, Nq, Dv]
    learned: dict[str, Tensor]  # "additive_weight" [P, G, D], "table" of a relative bias [P, G, L]
    spec: Spec
    key_heads: int
    sequences: Sequences
    hides: bool  # whether −inf in a bias, or a mask, may hide all keys of a row
    ill: Ill | None = None  # None: what is hidden need not be kept out of sums

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, spec: Spec, grad: Tensor | None = None) -> Self:
        """From the arguments of :func:`regard.attend`."""
        dtype, key_heads = compute_dtype(query.dtype), key.shape[1]
        ragged = spec.offsets is not None

        def by_plane(x: Tensor) -> Tensor:
            return _planes(x.to(dtype), key_heads, ragged=ragged)  # [P, G or 1, N, …]

        def by_head(x: Tensor) -> Tensor:
            """``[H, …]`` → ``[P, G, …]``."""
            x = x.to(dtype).view(key_heads, -1, x.shape[1])
            return x if ragged else x.repeat(query.shape[0], 1, 1)

        learned = spec.learned()
        hiding = [learned[name] for name in HIDING & learned.keys()]
        return cls(
            query=by_plane(query),
            key=by_plane(key)[:, 0],
            value=by_plane(value)[:, 0],
            grad=None if grad is None else by_plane(grad),
            learned={name: by_head(x) for name, x in learned.items() if name != "bias"},
            spec=spec,
            key_heads=key_heads,
            sequences=sequences_of(query, key, spec),
            hides=spec.key_mask is not None or any(not free_to_read(x) or bool(x.isneginf().any()) for x in hiding),
        )

    def carefully(self) -> Self:
        """With 0 in the place of NaN and Inf, for 0 · NaN is NaN, and told whose they were."""
        grad = self.grad
        return replace(
            self,
            query=_cleaned(self.query),
            key=_cleaned(self.key),
            value=_cleaned(self.value),
            grad=None if grad is None else _cleaned(grad),
            ill=Ill(
                query=_are_ill(self.query),
                key=_are_ill(self.key),
                value=~self.value.isfinite(),
                grad=None if grad is None else _are_ill(grad),
            ),
        )

    @property
    def heads(self) -> int:
        """Of queries."""
        return self.key_heads * self.query.shape[1]

    def head_of(self, plane: Number, group: int) -> Number:
        """The query head that is number ``group`` of a plane; of one plane or of many."""
        return plane % self.key_heads * self.query.shape[1] + group

    def planes_of(self, x: Tensor) -> Tensor:
        """``[B, H, N, …]`` or ``[T, H, …]`` → ``[P, G, N, …]``; a view, where x is contiguous."""
        return _planes(x, self.key_heads, ragged=self.spec.offsets is not None)


def free_to_read(x: Tensor) -> bool:
    """Whether nobody waits where a number of a tensor decides what is done next, as all would for a GPU."""
    return x.device.type == "cpu"


def _are_ill(x: Tensor) -> Tensor:
    """``[…, D]`` → ``[…, 1]``."""
    return ~x.isfinite().all(-1, keepdim=True)


def _cleaned(x: Tensor) -> Tensor:
    return torch.nan_to_num(x, 0.0, 0.0, 0.0)


def _planes(x: Tensor, key_heads: int, *, ragged: bool) -> Tensor:
    """``[B, H, N, D]`` or ``[T, H, D]`` → ``[P, G, N, D]``, a view where the strides allow it."""
    if ragged:
        return x.view(x.shape[0], key_heads, x.shape[1] // key_heads, x.shape[2]).permute(1, 2, 0, 3)
    return x.reshape(x.shape[0] * key_heads, x.shape[1] // key_heads, *x.shape[2:])
