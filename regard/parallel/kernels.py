"""A block of keys by the native kernels: all rows of a run against all of its keys in one call."""

from __future__ import annotations

import math

from torch import Tensor

from regard.attention import native
from regard.attention.spec import Spec
from regard.parallel.pairs import Slopes, Sums


def statistics(statistic: Tensor, normalizer: str) -> Tensor:
    """What the kernels make weights by, ``[B, H, R]`` float32, of what :meth:`Sums.statistic` gives."""
    return (statistic.reciprocal() if normalizer == "relu" else statistic / math.log(2)).contiguous()


def add(sums: Sums, query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> None:
    """In place, what rows ``[B, H, R, D]`` make of keys ``[B, Hk, W, D]``."""
    if sums.seen is not None:
        known = statistics(sums.statistic(spec.normalizer), spec.normalizer)
        sums.output.add_(native.attend_part(query, key, value, spec, known))
        return
    found = native.empty(*query.shape[:3])
    output = native.attend_part(query, key, value, spec, found)
    sums.merge(output, found.masked_fill(found == math.inf, -math.inf).mul_(math.log(2)))


def add_gradients(
    into: Slopes, query: Tensor, key: Tensor, value: Tensor, grad: Tensor, known: tuple[Tensor, Tensor], spec: Spec
) -> None:
    """In place, those of a block; the arguments are those of :meth:`Slopes.add`."""
    statistic, inner = known
    made_by = statistics(statistic, spec.normalizer)
    found = native.gradients_of_part(grad, query, key, value, inner.contiguous(), made_by, spec)
    for name, sums in {"query": into.query, "key": into.key, "value": into.value}.items():
        sums.add_(found[name])
    for name in spec.learned():
        into.learned[name].add_(found[name])
