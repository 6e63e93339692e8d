"""The table of implementations: one row each, all of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from regard.attention import blocked, native, reference, sdpa, triton
from regard.attention.spec import Spec
from regard.attention.weights import AttentionWeights


class Described(Protocol):
    """What is known of every call beside query, key and value, whatever else there is."""

    @property
    def offsets(self) -> Tensor | None: ...


S = TypeVar("S", bound=Described)  # a description of one call: Spec
W = TypeVar("W")  # what holds the weights


@dataclass(frozen=True)
class Implementation(Generic[S, W]):
    """What an implementation consists of. Where PyTorch differentiates it, ``gradients`` and ``saved_shape`` are None.

    Arguments:
        refusals: of ``(query, key, value, spec)``: every reason why it cannot do the call; none if it can.
        attend: of the same: the output, and what ``gradients`` needs beside it.
        weights: of ``(query, key, spec)``; None where they are never held.
        gradients: of ``(grad, query, key, value, output, saved, spec)``: those of query, key, value, and of
            ``spec.learned()``, by name and in this order.
        saved_shape: of ``(query,)``: the shape of what ``attend`` saves, which is float32.
        mute: of ``(saved, spec)``, some rows of what ``attend`` saved, in place: they weigh no key any more in
            ``gradients``; None where nothing is saved of rows.
    """

    refusals: Callable[[Tensor, Tensor, Tensor, S], list[str]]
    attend: Callable[[Tensor, Tensor, Tensor, S], tuple[Tensor, Tensor | None]]
    weights: Callable[[Tensor, Tensor, S], W] | None
    gradients: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, S], dict[str, Tensor]] | None = None
    saved_shape: Callable[[Tensor], tuple[int, ...]] | None = None
    mute: Callable[[Tensor, S], object] | None = None


# From the plainest to the fastest: "auto" asks from the bottom up.
IMPLEMENTATIONS: dict[str, Implementation[Spec, AttentionWeights]] = {
    "reference": Implementation(reference.refusals, reference.attend, reference.weights),
    "blocked": Implementation(
        blocked.refusals, blocked.attend, blocked.weights, blocked.gradients, blocked.saved_shape
    ),
    "sdpa": Implementation(sdpa.refusals, sdpa.attend, None),
    "triton": Implementation(
        triton.refusals, triton.attend, triton.weights, triton.gradients, triton.saved_shape, native.mute
    ),
    "native": Implementation(
        native.refusals, native.attend, native.weights, native.gradients, native.saved_shape, native.mute
    ),
}
