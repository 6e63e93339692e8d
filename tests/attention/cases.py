"""One call of `attend` by its choices, the strategy that draws any of them, and what each implementation must run."""

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


@dataclass(frozen=True)
class Case:
    """Every choice of a call. The tensors follow from it by `make`."""

    score: str = "dot"
    normalizer: str = "softmax"
    window: int | tuple[int | None, int | None] | None = None
    causal: bool = False
    query_start: int = 0
    ragged: bool = False
    lengths: tuple[tuple[int, int], ...] = ((7, 7), (7, 7))  # (queries, keys) of each sequence; dense: all as the first
    key_heads: int = 1
    group: int = 1  # query heads for each key head
    dim: int = 4
    value_dim: int = 4
    scale: float | None = None
    key_mask: bool = False
    bias: tuple[bool, ...] | None = None  # dense: which of the axes B, H, Q, K it has, the others being 1
    table: tuple[int, int] | None = None  # RelativeBias: how far it reaches to the left and to the right
    bias_hides: bool = False  # some −inf in the bias or the table
    dropout_p: float = 0.0
    dtype: torch.dtype = torch.float64
    seed: int = 0

    @property
    def heads(self) -> int:
        return self.key_heads * self.group

    @property
    def sequences(self) -> list[tuple[int, int]]:
        return list(self.lengths) if self.ragged else [self.lengths[0]] * len(self.lengths)

    @property
    def sides(self) -> tuple[int | None, int | None]:
        left, right = self.window if isinstance(self.window, tuple) else (self.window, self.window)
        return left, 0 if self.causal else right


@dataclass
class Call:
    """A case with its tensors: ``leaves`` may need a gradient, ``options`` go to `attend` as they are."""

    case: Case
    leaves: dict[str, Tensor]  # query, key, value; bias, table, weight where the case has them
    options: dict[str, Any] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Call:
        """A copy in another type."""
        return Call(self.case, {name: leaf.to(dtype, copy=True) for name, leaf in self.leaves.items()}, self.options)

    def arguments(self, leaves: dict[str, Tensor]) -> dict[str, Any]:
        """The keyword arguments of `attend`, with these leaves in their places."""
        arguments = dict(self.options)
        if "weight" in leaves:
            arguments["score"] = regard.Additive(leaves["weight"])
        if "table" in leaves and self.case.table is not None:
            arguments["bias"] = regard.RelativeBias(leaves["table"], left=self.case.table[0])
        if "bias" in leaves:
            arguments["bias"] = leaves["bias"]
        return arguments

    def placed(self, implementation: str, leaves: dict[str, Tensor]) -> Call:
        """The call where an implementation runs: kernels of a GPU on it, where there is one."""
        if implementation != "triton" or not torch.cuda.is_available():
            return Call(self.case, leaves, self.options)
        options = {name: x.cuda() if isinstance(x, Tensor) else x for name, x in self.options.items()}
        return Call(self.case, {name: x.cuda() for name, x in leaves.items()}, options)

    def attend(self, implementation: str, leaves: dict[str, Tensor] | None = None) -> Tensor:
        leaves = self.leaves if leaves is None else leaves
        torch.manual_seed(self.case.seed)  # of dropout
        there = self.placed(implementation, leaves)
        inputs = (there.leaves[name] for name in ("query", "key", "value"))
        output = regard.attend(*inputs, implementation=implementation, **there.arguments(there.leaves))
        return output.to(leaves["query"].device)

    def weights(self, implementation: str) -> regard.AttentionWeights:
        torch.manual_seed(self.case.seed)
        there = self.placed(implementation, self.leaves)
        query, key = there.leaves["query"], there.leaves["key"]
        return regard.attention_weights(query, key, implementation=implementation, **there.arguments(there.leaves))

    def run(self, implementation: str) -> dict[str, Tensor]:
        """The output and the gradients of all leaves, for one fixed gradient of the output."""
        return outcome(partial(self.attend, implementation), self.leaves, self.case)

    def by_sequence(self, x: Tensor, *, keys: bool = False) -> list[Tensor]:
        """``query``, ``key`` ... or an output as one ``[H, N_b, D]`` for each sequence, views."""
        if not self.case.ragged:
            return list(x)
        counts = [k if keys else q for q, k in self.case.sequences]
        return [part.transpose(0, 1) for part in torch.split(x, counts)]

    def visible(self) -> list[Tensor]:
        """The contract's own words, one bool ``[H, Q_b, K_b]`` for each sequence: may this query see this key?"""
        case, seen = self.case, []
        left, right = case.sides
        for b, (rows, keys) in enumerate(case.sequences):
            position = case.query_start + torch.arange(rows)[:, None]
            distance = torch.arange(keys) - position  # [Q, K]
            see = torch.ones(case.heads, rows, keys, dtype=torch.bool)
            see &= torch.ones_like(distance, dtype=torch.bool) if left is None else distance >= -left
            see &= torch.ones_like(distance, dtype=torch.bool) if right is None else distance <= right
            if case.key_mask:
                see &= self.options["key_mask"][b]
            if "bias" in self.leaves:
                see &= (self.leaves["bias"] > -math.inf).expand(len(case.lengths), *see.shape)[b]
            if "table" in self.leaves:
                before, after = case.table or (0, 0)
                see &= (self.leaves["table"] > -math.inf)[:, distance.clamp(-before, after) + before]
            seen.append(see)
        return seen


def make(case: Case) -> Call:
    """The tensors of a case, from its seed."""
    draw = Draw(case)
    B, H, Hk = len(case.lengths), case.heads, case.key_heads
    options: dict[str, Any] = {"normalizer": case.normalizer, "window": case.window, "causal": case.causal}
    options |= {"query_start": case.query_start, "scale": case.scale, "dropout_p": case.dropout_p}
    if case.ragged:
        rows, keys = [sum(lengths) for lengths in zip((0, 0), *case.lengths, strict=True)]
        shapes = [(rows, H, case.dim), (keys, Hk, case.dim), (keys, Hk, case.value_dim)]
        offsets = torch.tensor([(0, 0), *case.lengths]).cumsum(0)
        options["offsets"] = offsets[:, 0].contiguous()
        if any(q != k for q, k in case.lengths):
            options["key_offsets"] = offsets[:, 1].contiguous()
    else:
        rows, keys = case.lengths[0]
        shapes = [(B, H, rows, case.dim), (B, Hk, keys, case.dim), (B, Hk, keys, case.value_dim)]
    leaves = draw.leaves(shapes)
    if case.bias is not None:
        leaves["bias"] = draw.bias(*(n if has else 1 for n, has in zip((B, H, rows, keys), case.bias, strict=True)))
    if case.table is not None:
        leaves["table"] = draw.bias(H, sum(case.table) + 1)
    if case.key_mask:
        options["key_mask"] = draw.mask(B, keys)
    return Call(case, leaves, options)


side = st.none() | st.sampled_from([0, 1, 2, 5, 17, 64])
length = st.sampled_from([0, 1, 2, 3, 7, 13, 16, 17, 33, 63, 111])

CHOICES: dict[str, SearchStrategy[Any]] = COMMON | {
    "window": st.none() | side | st.tuples(side, side),
    "causal": st.booleans(),
    "query_start": st.just(0) | st.sampled_from([1, 5, 40]),
    "lengths": st.lists(st.tuples(length, length), min_size=1, max_size=5).map(tuple),
    "group": st.integers(1, 3),
    "key_mask": st.booleans(),
    "table": st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
    "dropout_p": st.just(0.0) | st.sampled_from([0.0, 0.25]),
}


@st.composite
def cases(draw: st.DrawFn, **fixed: SearchStrategy[Any]) -> Case:
    """Any case that the contract allows, with some choices drawn otherwise."""
    case = Case(**{name: draw(strategy) for name, strategy in {**CHOICES, **fixed}.items()})
    lengths = case.lengths
    if draw(st.booleans()):  # self-attention
        lengths = tuple((q, q) for q, _ in lengths)
    if not case.ragged:
        lengths = lengths[:2]
    return replace(
        case,
        lengths=lengths,
        key_mask=case.key_mask and not case.ragged,
        bias=None if case.ragged or case.table is not None else case.bias,
        scale=None if case.score == "additive" else case.scale,
    )


def refuses(implementation: str, case: Case) -> dict[str, bool]:
    """Every reason that an implementation may refuse a call for, as its message words it, and whether it holds here."""
    if implementation == "native":
        return {"float64 has no kernel": case.dtype == torch.float64, "there is a bias tensor": case.bias is not None}
    if implementation == "triton":
        return {"float64 has no kernel": case.dtype == torch.float64}
    if implementation != "sdpa":
        return {}
    left, right = case.sides
    causal = (left, right) == (None, 0) and case.query_start == 0
    sizes = [math.prod(lengths) for lengths in case.sequences]
    return {
        "the score is additive": case.score == "additive",
        f"the normalizer is {case.normalizer}": case.normalizer != "softmax",
        "the window is truncated": (left, right) != (None, None) and not causal,
        "the batch is ragged": case.ragged,
        "there is a key_mask": case.key_mask,
        "there is a bias": case.bias is not None or case.table is not None,
        "there is dropout": case.dropout_p > 0,
        "float64 has no fused kernel": case.dtype == torch.float64,
        "value's last axis differs from key's": case.value_dim != case.dim,
        "there are no queries or no keys": not any(sizes),
        "scale": causal and case.scale is not None and case.scale <= 0,  # PyTorch's CPU kernel gives NaN for these
    }


# What each implementation must run.
RUNS: dict[str, SearchStrategy[Case]] = {
    "reference": cases(),
    "blocked": cases(),
    "auto": cases(),
    "native": cases(dtype=st.sampled_from(DTYPES[1:]), bias=st.none()),
    "sdpa": cases(
        score=st.just("dot"),
        normalizer=st.just("softmax"),
        window=st.sampled_from([None, (None, 0)]),
        query_start=st.just(0),
        ragged=st.just(False),
        key_mask=st.just(False),
        bias=st.none(),
        table=st.none(),
        dropout_p=st.just(0.0),
        dtype=st.sampled_from(DTYPES[1:]),
    )
    .filter(lambda case: not any(refuses("sdpa", replace(case, value_dim=case.dim)).values()))
    .map(lambda case: replace(case, value_dim=case.dim)),
}
