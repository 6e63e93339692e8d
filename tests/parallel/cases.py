"""Calls over several processes, each beside the one that a single process makes of all rows."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from attention.calls import generator
from attention.cases import Case, make
from attention.tolerances import assert_near
from torch import Tensor

from regard import parallel

WINDOWS = [None, 0, 3, 20, (5, 0), (0, 9), 200, (None, 0), (4, None), (None, 2)]
LENGTHS = [1, 17, 63, 130]


@dataclass(frozen=True)
class Split:
    """A case, and where its rows and keys are cut.

    Arguments:
        shares: how large the part of each process is, in any unit.
    """

    case: Case
    shares: tuple[int, ...]
    implementation: str

    def parts(self, count: int) -> list[int]:
        """Where each process's part of so many rows begins, and where the last ends."""
        ends = list(itertools.accumulate(self.shares, initial=0))
        return [count * end // ends[-1] for end in ends]


def splits(count: int, processes: int) -> Iterator[Split]:
    """So many, over all choices, the same every time, and one that was wrong once."""
    rows = (1, 63, 1, 130, 63, 130)
    keys_ahead = Case(window=200, query_start=7, ragged=True, lengths=tuple((n, n + 7) for n in rows), key_heads=2)
    yield Split(replace(keys_ahead, dtype=torch.float32), (1, 0, 3, 2)[:processes], "auto")
    draw = random.Random(processes)
    for number in range(count):
        lengths = [draw.choice(LENGTHS) for _ in range(draw.choice([1, 2, 3, 6]))]
        ragged = draw.random() < 0.6
        case = Case(
            score=draw.choice(["dot", "dot", "additive"]),
            normalizer=draw.choice(["softmax", "softmax", "relu", "sigmoid"]),
            window=WINDOWS[number % len(WINDOWS)],
            ragged=ragged,
            lengths=tuple((n, n) for n in (lengths if ragged else [lengths[0]] * min(2, len(lengths)))),
            key_heads=draw.choice([1, 2]),
            group=draw.choice([1, 2]),
            value_dim=draw.choice([4, 3]),
            key_mask=not ragged and draw.random() < 0.4,
            table=draw.choice([None, None, (2, 3), (6, 0)]),
            bias_hides=draw.random() < 0.3,
            dropout_p=draw.choice([0.0, 0.0, 0.3]),
            dtype=draw.choice([torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float16]),
            seed=number,
        )
        if draw.random() < 0.15:  # keys of their own
            other = [draw.choice(LENGTHS) for _ in case.lengths]
            own = tuple((q, k) for (q, _), k in zip(case.lengths, other, strict=True))
            case = replace(
                case, lengths=own if ragged else (own[0],) * len(own), query_start=draw.choice([0, 0, 5, 40])
            )
        elif draw.random() < 0.15:
            case = replace(case, lengths=tuple((q, q + 7) for q, _ in case.lengths), query_start=7)
        shares = draw.choice([(1,) * processes, (1, 0, 3, 2)[:processes], (0, 1, 1, 1)[:processes]])
        yield Split(case, shares, draw.choice(["auto", "auto", "blocked"]))


def own_part(x: Tensor, axis: int, starts: Sequence[int], rank: int) -> Tensor:
    return x.narrow(axis, starts[rank], starts[rank + 1] - starts[rank])


def check(split: Split, group: Any) -> None:
    """Values and gradients of this process's part against the definition's, in float64."""
    case, rank = split.case, dist.get_rank(group)
    exact = make(case).to(torch.float64).run("reference")
    call, axis = make(case), 0 if case.ragged else 2
    for name in call.leaves.keys() - {"query", "key", "value"}:  # summed over processes, where halves would lose more
        call.leaves[name] = call.leaves[name].to(torch.promote_types(case.dtype, torch.float32))
    cuts = {name: split.parts(call.leaves[name].shape[axis]) for name in ("query", "key")}
    cuts["value"] = cuts["key"]
    leaves = {
        name: (own_part(x, axis, cuts[name], rank) if name in cuts else x).detach().clone().requires_grad_()
        for name, x in call.leaves.items()
    }
    arguments = call.arguments(leaves)
    if case.key_mask:
        arguments["key_mask"] = own_part(arguments["key_mask"], 1, cuts["key"], rank)
    torch.manual_seed(case.seed if rank == 0 else 1000 + rank)  # of dropout: the first process draws it
    query, key, value = (leaves[name] for name in ("query", "key", "value"))
    output = parallel.attend(query, key, value, group=group, implementation=split.implementation, **arguments)
    grad = torch.randn(exact["output"].shape, dtype=torch.float64, generator=generator(case.seed + 1)).to(case.dtype)
    grad = own_part(grad, axis, cuts["query"], rank)
    gradients = torch.autograd.grad(output, list(leaves.values()), grad)
    for name, actual in {"output": output, **dict(zip(leaves, gradients, strict=True))}.items():
        if name in cuts or name == "output":
            expected = own_part(exact[name], axis, cuts["query" if name == "output" else name], rank)
        else:
            dist.all_reduce(actual, group=group)
            expected = exact[name]
        assert_near(actual, expected, case.dtype, name)
