"""The kernels for GPUs are compiled here, for several of them: what the interpreter takes, the compiler need not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")
LEAST = 99 * 1024  # bytes of shared memory that a program may have on any GPU from Ampere on
CASES = {"80": ("bias", "table", "long"), "90": ("window", "ragged"), "100": ("window",)}


@pytest.mark.parametrize("capability", CASES)
def test_kernels_are_compiled(capability: str, tmp_path: Path) -> None:
    script, root = Path(__file__).with_name("compile_kernels.py"), str(Path(__file__).parents[2])
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": root}
    command = [sys.executable, str(script), capability, *CASES[capability]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert {name for name, _ in found} >= {"forward", "by_query", "by_key", "band"}
    if capability == "80":
        assert "by_bias" in {name for name, _ in found}
        assert max(shared for _, shared in found) <= LEAST
