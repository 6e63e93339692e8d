"""One call of `attend2d` by its choices, the strategy that draws any of them, and a plain oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

import regard
from attention.calls import CHOICES as COMMON
from attention.calls import DTYPES, Draw, outcome

Sides = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class Case:
    """Every choice of a call. The tensors follow from it by `make`."""

    sizes: tuple[tuple[int, int], ...] = ((5, 6), (5, 6))  # of each image; dense: all as the first
    ragged: bool = False
    window: int | tuple[int | None, ...] | None = 1
    dilation: int | tuple[int, int] = 1
    border: str = "zero"
    score: str = "dot"
    normalizer: str = "softmax"
    key_heads: int = 1
    group: int = 1  # query heads for each key head
    dim: int = 4
    value_dim: int = 4
    scale: float | None = None
    bias: tuple[bool, ...] | None = None  # dense: which of the axes B, H, N, N it has, the others being 1
    tables: tuple[int, int, int, int] | None = None  # GridBias: how far it reaches up, down, left and right
    bias_hides: bool = False  # some −inf in the bias or the tables
    dropout_p: float = 0.0
    dtype: torch.dtype = torch.float64
    seed: int = 0

    @property
    def heads(self) -> int:
        return self.key_heads * self.group

    @property
    def images(self) -> list[tuple[int, int]]:
        return list(self.sizes) if self.ragged else [self.sizes[0]] * len(self.sizes)

    @property
    def sides(self) -> Sides:
        if not isinstance(self.window, tuple):
            return (self.window,) * 4
        given = self.window if len(self.window) == 4 else tuple(side for side in self.window for _ in range(2))
        up, down, left, right = given
        return up, down, left, right

    @property
    def steps(self) -> tuple[int, int]:
        return self.dilation if isinstance(self.dilation, tuple) else (self.dilation, self.dilation)


@dataclass
class Call:
    """A case with its tensors: ``leaves`` may need a gradient, ``options`` go to `attend2d` as they are."""

    case: Case
    leaves: dict[str, Tensor]  # query, key, value; bias, rows, columns, weight where the case has them
    options: dict[str, Any] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Call:
        """A copy in another type."""
        return Call(self.case, {name: leaf.to(dtype, copy=True) for name, leaf in self.leaves.items()}, self.options)

    def arguments(self, leaves: dict[str, Tensor]) -> dict[str, Any]:
        arguments = dict(self.options)
        if "weight" in leaves:
            arguments["score"] = regard.Additive(leaves["weight"])
        if self.case.tables is not None:
            up, _, left, _ = self.case.tables
            arguments["bias"] = regard.GridBias(leaves["rows"], leaves["columns"], up=up, left=left)
        if "bias" in leaves:
            arguments["bias"] = leaves["bias"]
        return arguments

    def attend(self, implementation: str, leaves: dict[str, Tensor] | None = None) -> Tensor:
        leaves = self.leaves if leaves is None else leaves
        torch.manual_seed(self.case.seed)  # of dropout
        query, key, value = leaves["query"], leaves["key"], leaves["value"]
        return regard.attend2d(query, key, value, implementation=implementation, **self.arguments(leaves))

    def weights(self, implementation: str) -> regard.GridWeights:
        torch.manual_seed(self.case.seed)
        query, key = self.leaves["query"], self.leaves["key"]
        return regard.attention_weights2d(query, key, implementation=implementation, **self.arguments(self.leaves))

    def run(self, implementation: str) -> dict[str, Tensor]:
        """The output and the gradients of all leaves, for one fixed gradient of the output."""
        attend = self.oracle if implementation == "oracle" else partial(self.attend, implementation)
        return outcome(attend, self.leaves, self.case)

    def by_sequence(self, x: Tensor, *, keys: bool = False) -> list[Tensor]:  # of the same pixels
        """``query``, ``key`` ... or an output as one ``[H, N_b, D]`` for each image, views."""
        if not self.case.ragged:
            return list(x)
        return [part.transpose(0, 1) for part in torch.split(x, [rows * columns for rows, columns in self.case.images])]

    def bias_of(self, image: int, leaves: dict[str, Tensor]) -> Tensor:
        """``[H, N, N]``."""
        (rows, columns), case = self.case.images[image], self.case
        if "bias" in leaves:
            return leaves["bias"].expand(len(case.sizes), case.heads, rows * columns, rows * columns)[image]
        bias = torch.zeros(case.heads, rows * columns, rows * columns, dtype=leaves["query"].dtype)
        if case.tables is None:
            return bias
        up, down, left, right = case.tables
        place = torch.arange(rows * columns)
        vertical, horizontal = (x - x[:, None] for x in (place // max(columns, 1), place % max(columns, 1)))
        by_row = leaves["rows"][:, vertical.clamp(-up, down) + up]
        return by_row + leaves["columns"][:, horizontal.clamp(-left, right) + left]

    def visible(self) -> list[Tensor]:
        """The contract's own words, one bool ``[H, N_b, N_b]`` for each image: may this pixel see that one?"""
        return [self._visible(image, self.leaves) for image in range(len(self.case.sizes))]

    def _visible(self, image: int, leaves: dict[str, Tensor]) -> Tensor:
        (rows, columns), case = self.case.images[image], self.case
        up, down, left, right = case.sides
        vertical, horizontal = (torch.zeros(n, n, dtype=torch.bool) for n in (rows, columns))
        for row in range(rows):
            vertical[row, neighbours(row, rows, up, down, case.steps[0], case.border)] = True
        for column in range(columns):
            horizontal[column, neighbours(column, columns, left, right, case.steps[1], case.border)] = True
        hides = self.bias_of(image, leaves) == -math.inf
        return torch.kron(vertical, horizontal) & ~hides

    def oracle(self, leaves: dict[str, Tensor]) -> Tensor:
        """The output from formulas, image by image, without dropout."""
        case, outputs = self.case, []
        parts = zip(*(self.by_sequence(leaves[name]) for name in ("query", "key", "value")), strict=True)
        for image, (query, key, value) in enumerate(parts):
            key, value = (x.repeat_interleave(case.group, 0) for x in (key, value))
            if "weight" in leaves:
                scores = torch.einsum("hqkd,hd->hqk", torch.tanh(query[:, :, None] + key[:, None]), leaves["weight"])
            else:
                scale = 1 / math.sqrt(case.dim) if case.scale is None else case.scale
                scores = torch.einsum("hqd,hkd->hqk", query, key) * scale
            see, bias = self._visible(image, leaves), self.bias_of(image, leaves)
            scores = scores + bias.masked_fill(~see, 0)
            count = see.sum(-1, keepdim=True).clamp(min=1)
            if case.normalizer == "softmax":
                blind = ~see.any(-1, keepdim=True)
                weights = torch.softmax(scores.masked_fill(~see & ~blind, -math.inf), -1) * see
            elif case.normalizer == "relu":
                weights = scores.clamp(min=0) * see / count
            else:
                weights = torch.sigmoid(scores - count.to(scores.dtype).log()) * see
            outputs.append(weights @ value)
        if not case.ragged:
            return torch.stack(outputs)
        return torch.cat([x.transpose(0, 1) for x in outputs])


def neighbours(place: int, length: int, before: int | None, after: int | None, step: int, border: str) -> list[int]:
    """What a place sees along one axis, by its definition: of those a multiple of `step` away, counted."""
    group = list(range(place % step, length, step))
    own = group.index(place)
    first = 0 if before is None else own - before
    stop = len(group) if after is None else own + after + 1
    if border == "shift" and before is not None and after is not None:
        while first < 0:
            first, stop = first + 1, stop + 1
        while stop > len(group) and first > 0:
            first, stop = first - 1, stop - 1
    return group[max(first, 0) : stop]


def make(case: Case) -> Call:
    """The tensors of a case, from its seed."""
    draw = Draw(case)
    B, H, Hk = len(case.sizes), case.heads, case.key_heads
    options: dict[str, Any] = {"normalizer": case.normalizer, "window": case.window, "dilation": case.dilation}
    options |= {"border": case.border, "scale": case.scale, "dropout_p": case.dropout_p}
    pixels = [rows * columns for rows, columns in case.images]
    if case.ragged:
        options |= {"size": torch.tensor(case.sizes), "offsets": torch.tensor([0, *pixels]).cumsum(0)}
        shapes = [(sum(pixels), H, case.dim), (sum(pixels), Hk, case.dim), (sum(pixels), Hk, case.value_dim)]
    else:
        options["size"] = case.sizes[0]
        shapes = [(B, H, pixels[0], case.dim), (B, Hk, pixels[0], case.dim), (B, Hk, pixels[0], case.value_dim)]
    leaves = draw.leaves(shapes)
    if case.bias is not None:
        full = (B, H, pixels[0], pixels[0])
        leaves["bias"] = draw.bias(*(n if has else 1 for n, has in zip(full, case.bias, strict=True)))
    if case.tables is not None:
        up, down, left, right = case.tables
        leaves |= {"rows": draw.bias(H, up + down + 1), "columns": draw.bias(H, left + right + 1)}
    return Call(case, leaves, options)


side = st.none() | st.sampled_from([0, 1, 2, 3, 6])
limited = st.sampled_from([0, 1, 2, 3, 6])
step = st.integers(1, 3)
length = st.sampled_from([1, 2, 3, 5, 8, 11])

CHOICES: dict[str, SearchStrategy[Any]] = COMMON | {
    "sizes": st.lists(st.tuples(length, length) | st.sampled_from([(1, 19), (19, 1), (0, 3)]), min_size=1, max_size=4),
    "window": st.none() | side | st.tuples(side, side) | st.tuples(*[side] * 4) | st.tuples(*[limited] * 4),
    "dilation": st.just(1) | step | st.tuples(step, step),
    "border": st.sampled_from(["zero", "shift"]),
    "group": st.integers(1, 2),
    "tables": st.none() | st.tuples(*[st.integers(0, 4)] * 4),
    "dropout_p": st.just(0.0),
}


@st.composite
def cases(draw: st.DrawFn, **fixed: SearchStrategy[Any]) -> Case:
    """Any case that the contract allows, with some choices drawn otherwise."""
    case = Case(**{name: draw(strategy) for name, strategy in {**CHOICES, **fixed}.items()})
    if case.border == "shift":  # which takes both limits along an axis, or none
        up, down, left, right = case.sides
        missing = (None in (up, down), None in (left, right))
        sides = (
            (None, None) if none else pair for none, pair in zip(missing, ((up, down), (left, right)), strict=True)
        )
        case = replace(case, window=tuple(side for pair in sides for side in pair))
    return replace(
        case,
        sizes=tuple(case.sizes) if case.ragged else tuple(case.sizes[:1] * min(len(case.sizes), 2)),
        bias=None if case.ragged or case.tables is not None else case.bias,
        scale=None if case.score == "additive" else case.scale,
    )


NATIVE: dict[str, SearchStrategy[Any]] = {
    "window": limited | st.tuples(limited, limited) | st.tuples(*[limited] * 4),
    "border": st.just("zero"),
    "score": st.just("dot"),
    "bias": st.none(),
    "dtype": st.sampled_from(DTYPES[1:]),
}
# What each implementation must run.
RUNS: dict[str, SearchStrategy[Case]] = {
    "reference": cases(),
    "blocked": cases(),
    "native": cases(**NATIVE).map(
        lambda case: case if case.dtype == torch.float32 else replace(case, group=1, key_heads=case.heads)
    ),
    "auto": cases(),
}
