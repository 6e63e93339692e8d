"""Networks whose weights are not drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import regard
from regard.nn import Pooling
from regard.nn.undrawn import undrawn


def test_nothing_is_drawn() -> None:
    state = torch.get_rng_state()
    with undrawn():
        made = nn.ModuleList([nn.Linear(3, 4), nn.Embedding(5, 6), nn.Conv1d(2, 3, 4), nn.LayerNorm(7)])
        nn.init.xavier_uniform_(made[0].weight)
        made.append(Pooling("query", dim=8, heads=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert [tuple(x.shape) for x in made.parameters()][:3] == [(4, 3), (4,), (5, 6)]
    nn.Linear(3, 4)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("front_end", ["words", "characters"])
def test_opening_a_run_loads_no_compiler(tmp_path: Path, front_end: str) -> None:
    """PyTorch loads its own, Triton with it, and what it reckons with, to draw numbers on "meta"."""
    model = regard.Labeler(front_end=front_end, dim=8, depth=1, heads=2)
    model.fit([(["a", "b"], ["A", "B"])] * 3, output=tmp_path / "run", epochs=1, average=0, quiet=True)
    code = f"import sys, regard; print(regard.load({str(tmp_path / 'run')!r}).predict([['a', 'b']])); "
    code += "print([name for name in ('torch._dynamo', 'triton', 'sympy') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[1] == "[]"
