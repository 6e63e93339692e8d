"""A call that finds no memory raises, in any thread, and the process goes on."""

from __future__ import annotations

import os
import sys

import pytest
from forked import Forked

from regard.attention import native

pytestmark = [
    pytest.mark.skipif(native._kernels is None, reason=native.NOT_BUILT),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does"),
    pytest.mark.skipif("REGARD_TEST_KERNELS" in os.environ, reason="the address sanitizer needs all address space"),
]

# Inputs that are small, or one row expanded, whose workspace is large; `spare` MiB are left to the call.
SCRIPT = """
import resource, torch, regard
from pathlib import Path

torch.set_num_threads({threads})
def attend(*inputs, **options):
    return regard.attend(*inputs, implementation="native", **options)
def expanded(batch, rows, dim):
    return torch.zeros(1, 1, 1, dim).expand(batch, 1, rows, dim)
def leaves(batch, rows, dim, dtype):
    return [torch.randn(batch, 1, rows, dim).to(dtype).requires_grad_() for _ in range(3)]
small = leaves(8, 300, 16, torch.float32)
def run():
    return torch.autograd.grad(attend(*small, window=20).sum(), small)
expected = run()  # its threads are running by now
{prepare}
pages = int(Path("/proc/self/statm").read_text().split()[0])
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ({spare} << 20), most))
try:
    {call}
except MemoryError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
assert all(torch.equal(a, b) for a, b in zip(run(), expected))
"""
CALLS = {
    "forward": ("x = expanded(4, 400, 1 << 18)", 100, "attend(x, x, x[..., :1], window=4)"),
    "weights": ("x = expanded(4, 400, 1 << 18)", 100, "regard.attention_weights(x, x, window=4)"),
    "backward": (
        "x = leaves(4, 2, 1 << 18, torch.float32); y = attend(*x).sum()",
        100,
        "torch.autograd.grad(y, x)",
    ),
    "sums": (
        "x = leaves(1, 1 << 17, 64, torch.bfloat16); y = attend(*x, window=1).sum()",
        80,
        "torch.autograd.grad(y, x)",
    ),
}


@pytest.mark.parametrize(("name", "threads"), [("forward", 1), *((name, 2) for name in CALLS)])
def test_raises_memory_error(name: str, threads: int) -> None:
    prepare, spare, call = CALLS[name]
    script = SCRIPT.format(prepare=prepare, spare=spare, call=call, threads=threads)
    process = Forked("-c", script)
    assert process.end() == 0, process.err
    assert "no memory for" in process.out, process.out + process.err
    assert "shorter sequences" in process.out
