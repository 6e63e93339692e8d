"""What `attend2d` promises beside its values: derivatives, traced networks, the same bits, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from regard import UnsupportedError

from ..tolerances import assert_near
from .cases import Case, make

DENSE = Case(sizes=((5, 4), (5, 4)), window=(1, 2), tables=(2, 1, 1, 1), key_heads=2)
RAGGED = replace(DENSE, ragged=True, sizes=((2, 3), (1, 1), (4, 2)))
CALLS = {
    "native": ("native", replace(DENSE, dtype=torch.float32)),
    "native, ragged": ("native", replace(RAGGED, dtype=torch.float32, dilation=2)),
    "blocked": ("blocked", replace(DENSE, border="shift")),
    "blocked, ragged": ("blocked", replace(RAGGED, score="additive")),
    "auto": ("auto", replace(DENSE, dtype=torch.float32, tables=None, bias=(True, False, True, True))),
}


@pytest.mark.parametrize("case", [DENSE, replace(RAGGED, border="shift", dilation=2), replace(DENSE, score="additive")])
@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_gradcheck(case: Case, implementation: str) -> None:
    call = make(case)
    leaves = {name: leaf.requires_grad_() for name, leaf in call.leaves.items()}

    def output(*given: Tensor) -> Tensor:
        return call.attend(implementation, dict(zip(leaves, given, strict=True)))

    assert torch.autograd.gradcheck(output, tuple(leaves.values()), fast_mode=True)
    assert torch.autograd.gradgradcheck(output, tuple(leaves.values()), fast_mode=True)


@pytest.mark.parametrize("name", CALLS)
def test_fullgraph(name: str) -> None:
    implementation, case = CALLS[name]
    call = make(case)
    torch.compiler.reset()  # or other shapes than those of the call before would be taken for any

    def attend(query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any]) -> Tensor:
        return regard.attend2d(query, key, value, implementation=implementation, **options) * 2

    leaves = {name: leaf.clone().requires_grad_() for name, leaf in call.leaves.items()}
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    output = compiled(leaves["query"], leaves["key"], leaves["value"], call.arguments(leaves)) / 2
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(case.seed + 1), dtype=torch.float64)
    found = torch.autograd.grad(output, list(leaves.values()), gradient.to(output.dtype))
    exact = call.to(torch.float64).run("reference")
    for what, actual in {"output": output, **dict(zip(leaves, found, strict=True))}.items():
        assert_near(actual, exact[what], case.dtype, what)


@pytest.mark.parametrize("name", CALLS)
def test_the_same_bits_twice(name: str) -> None:
    implementation, case = CALLS[name]
    call = make(replace(case, dropout_p=0.0 if implementation == "native" else 0.2))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = call.run(implementation), call.run(implementation)
    finally:
        torch.set_num_threads(threads)
    for what, x in first.items():
        assert torch.equal(x, second[what]), what


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # from PyTorch's own rules
def test_transforms() -> None:
    x = torch.randn(2, 1, 1, 12, 4)

    def attend(x: Tensor, implementation: str = "auto") -> Tensor:
        return regard.attend2d(x, x, x, size=(3, 4), window=1, implementation=implementation)

    torch.testing.assert_close(torch.func.vmap(attend)(x), torch.stack([attend(each) for each in x]))
    tangent = torch.func.jvp(attend, (x[0],), (x[1],))[1]
    assert_near(tangent, torch.func.jvp(lambda x: attend(x, "reference"), (x[0],), (x[1],))[1].double(), torch.float32)
    for name in ("blocked", "native"):
        with pytest.raises(UnsupportedError, match=r"torch\.func\.vmap is under way"):
            torch.func.vmap(lambda x, name=name: attend(x, name))(x)


def test_meta_and_strides() -> None:
    x = torch.zeros(1, 2, 12, 4, device="meta")
    assert regard.attend2d(x, x, x, size=(3, 4), window=1).shape == x.shape
    y = torch.randn(1, 12, 2, 8).transpose(1, 2)[..., ::2]
    expected = regard.attend2d(*[y.contiguous()] * 3, size=(3, 4), window=1, implementation="reference")
    for name in ("blocked", "native"):
        assert_near(regard.attend2d(y, y, y, size=(3, 4), window=1, implementation=name), expected.double(), y.dtype)


def test_autocast() -> None:
    x = torch.randn(1, 2, 12, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = regard.attend2d(x, x, x, size=(3, 4), window=1)
    assert_near(output, regard.attend2d(*[x.double()] * 3, size=(3, 4), window=1), torch.bfloat16)
    assert output.dtype == torch.bfloat16


@pytest.mark.skipif("REGARD_TEST_KERNELS" in os.environ, reason="the address sanitizer holds what was freed")
@pytest.mark.parametrize("implementation", ["blocked", "native"])
def test_memory_is_that_of_pixels_by_window(implementation: str) -> None:
    """All pairs of 96 × 96 pixels would be 9,216² · 4 bytes = 324 MiB; inputs and gradients are 5 MiB."""
    script = Path(__file__).with_name("peak_memory.py")
    done = subprocess.run([sys.executable, script, implementation], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) < 60
