"""Nothing of a call waits for a GPU: no number decides what is done next, and nothing is sent in a way that blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import regard
from attention.calls import assert_poison_stays
from attention.cases import RUNS, Case, make
from attention.test_property import _compare
from attention.tolerances import assert_near
from regard import Ragged
from regard.attention import blocked, sdpa
from regard.attention.api import DEFAULTS
from regard.attention.blocked import operands
from regard.attention.blocked.cut import cut
from regard.attention.check import check
from regard.ragged import beside

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
TABLE = [
    replace(
        Case(dtype=torch.float32, lengths=((40, 40), (40, 40)), key_heads=2, group=2),
        score=score,
        normalizer=normalizer,
        window=window,
        dropout_p=dropout_p,
        key_mask=extra == "key_mask",
        bias=(True, False, True, True) if extra == "bias" else None,
        table=(2, 2) if extra == "table" else None,
    )
    for score, normalizer, window, extra, dropout_p in itertools.product(
        ("dot", "additive"),
        ("softmax", "relu", "sigmoid"),
        (None, (2, 1), (None, 0)),
        ("", "key_mask", "bias", "table"),
        (0.0, 0.2),
    )
]
FEW = 7  # one in so many of the table, which divides no count of choices, so that all meet all others
RAGGED = [
    replace(case, ragged=True, lengths=lengths)
    for case in TABLE
    if not case.key_mask and case.bias is None
    for lengths in (((5, 5), (0, 0), (17, 17), (300, 300)), ((3, 5), (2, 0), (1, 2)))
][::FEW]
DENSE = TABLE[::FEW]


class Watch(TorchDispatchMode):
    """Notes whatever makes a GPU's host wait, of tensors that are not on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        away = any(not x.is_cpu for x in tensors)
        name = func.overloadpacket.__name__
        if away and name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique", "masked_select"):
            self.seen.append(name)
        out = func(*args, **kwargs)
        if name in ("_to_copy", "copy_") and len({x.device for x in (*tensors, out)}) > 1:
            blocks = not (kwargs.get("non_blocking") or args[2:3] == (True,))
            if blocks or out.is_cpu:
                self.seen.append(f"{name} to {out.device}")
        return out


@pytest.fixture
def _no_pieces_left() -> Iterator[None]:
    cut.cache_clear()
    yield
    cut.cache_clear()


@pytest.mark.usefixtures("_no_pieces_left")
@pytest.mark.parametrize("cases", [DENSE, RAGGED], ids=["dense", "ragged"])
def test_blocked_asks_for_no_number(cases: list[Case]) -> None:
    """On meta there are none: whoever reads one fails. Sequences are told on the CPU, as `attend` tells them."""
    for case in cases:
        call = make(case)
        leaves = {name: x.to("meta") for name, x in call.leaves.items()}
        options = DEFAULTS | call.arguments(leaves)
        if case.key_mask:
            options["key_mask"] = options["key_mask"].to("meta")
        query, key, value, spec = check(leaves["query"], leaves["key"], leaves["value"], options)
        with Watch() as watch:
            output, saved = blocked.attend(query, key, value, spec)
            gradients = blocked.gradients(output, query, key, value, output, saved, spec)
            weights = blocked.weights(query, key, spec)
        assert output.is_meta
        assert all(x.is_meta for x in (*gradients.values(), weights.values, weights.first, weights.key_lengths))
        assert watch.seen == [], case


def _as_on_a_gpu(patch: pytest.MonkeyPatch, budget: int) -> None:
    """What is computed for a GPU, here: all with care, in pieces of its own kind."""
    patch.setattr(blocked, "GPU_BUDGET", budget)
    for module in (blocked, operands):
        patch.setattr(module, "free_to_read", lambda x: False)


@given(case=RUNS["blocked"])
@pytest.mark.parametrize("budget", [900, 1 << 24])
def test_what_a_gpu_computes_is_the_same(case: Case, budget: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _as_on_a_gpu(patch, budget)
        _compare(case, "blocked")


@settings(max_examples=settings().max_examples // 2)
@given(case=RUNS["blocked"].filter(lambda case: case.dtype in (torch.float64, torch.float32)))
def test_poison_on_a_gpu(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _as_on_a_gpu(patch, 1 << 24)
        assert_poison_stays(make(case), "blocked", torch.nan, in_queries=True)


def _on_gpu(case: Case, *, known: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The leaves and the options of a call; known: whether the CPU knows the offsets that the GPU has."""
    call = make(case)
    leaves = {name: x.cuda().requires_grad_() for name, x in call.leaves.items()}
    options = call.arguments(leaves)
    for name, x in options.items():
        if name.endswith("offsets"):
            options[name] = beside(leaves["query"], x) if known else x.cuda()
        elif isinstance(x, Tensor) and name != "bias":
            options[name] = x.cuda()
    return leaves, options


def _does(implementation: str, case: Case) -> bool:
    call = make(case)
    query, key, value = (call.leaves[name] for name in ("query", "key", "value"))
    given = check(query, key, value, DEFAULTS | call.arguments(call.leaves))
    return implementation != "sdpa" or not sdpa.refusals(*given)


@GPU
@pytest.mark.parametrize(
    ("implementation", "known"),
    [("blocked", True), ("sdpa", True), ("triton", True), ("triton", False), ("auto", False)],
)
def test_a_gpu_is_never_waited_for(implementation: str, known: bool) -> None:
    """Nor for offsets that are new to it, but by `blocked`, which cuts by them."""
    cases = TABLE if implementation == "sdpa" else [*DENSE, *RAGGED]
    for case in filter(partial(_does, implementation), cases):
        for mode in ("default", "error"):  # at first there is something to set up
            leaves, options = _on_gpu(case, known=known)
            torch.cuda.set_sync_debug_mode(mode)
            try:
                torch.manual_seed(case.seed)
                output = regard.attend(
                    leaves["query"], leaves["key"], leaves["value"], implementation=implementation, **options
                )
                gradients = torch.autograd.grad(output.square().sum(), list(leaves.values()))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        exact = make(case).to(torch.float64)
        doubles = {name: x.requires_grad_() for name, x in exact.leaves.items()}
        expected = exact.attend("reference", doubles)
        assert_near(output.cpu(), expected, torch.float32)
        by = torch.autograd.grad(expected.square().sum(), list(doubles.values()))
        for name, actual, exact_gradient in zip(leaves, gradients, by, strict=True):
            assert_near(actual.cpu(), exact_gradient, torch.float32, name)


@GPU
def test_offsets_on_a_gpu_are_read_once_by_blocked() -> None:
    x = torch.randn(8, 2, 4, device="cuda", requires_grad=True)
    offsets, key_offsets = torch.tensor([0, 3, 8]).cuda(), torch.tensor([0, 4, 8]).cuda()

    def call() -> None:
        output = regard.attend(x, x, x, offsets=offsets, key_offsets=key_offsets, window=2, implementation="blocked")
        output.sum().backward()

    call()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()  # nor for another layer, nor for a batch that was made on the CPU
        batch = Ragged.from_lengths(x, [3, 5])
        regard.attend(batch.values, x, x, offsets=batch.offsets, window=2, implementation="blocked").sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    offsets.copy_(torch.tensor([0, 2, 8]))  # another number, another reading
    moved = regard.attend(x, x, x, offsets=offsets, key_offsets=key_offsets, window=2, implementation="blocked")
    told = {"offsets": offsets.cpu(), "key_offsets": key_offsets.cpu()}
    host = regard.attend(x, x, x, **told, window=2, implementation="blocked")
    assert torch.equal(moved, host)
