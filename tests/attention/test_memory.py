"""Peak memory of `blocked` and `native`: linear in N, and never all pairs, nor a vector for each pair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attention.peak_memory import SIZES


@pytest.mark.skipif("REGARD_TEST_KERNELS" in os.environ, reason="the address sanitizer holds what was freed")
@pytest.mark.parametrize("implementation", ["blocked", "native"])
def test_peak_memory(implementation: str) -> None:
    script = Path(__file__).with_name("peak_memory.py")
    result = subprocess.run([sys.executable, script, implementation], capture_output=True, text=True, check=True)
    for name, (small, large) in json.loads(result.stdout).items():
        size = SIZES[name]
        assert large <= size.limit, f"{name}: {large:.0f} MiB"
        linear = size.large / size.small * max(small, 10) + 20
        assert large <= linear, f"{name}: {small:.0f} MiB, then {large:.0f} MiB"
