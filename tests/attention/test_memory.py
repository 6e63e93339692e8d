"""Peak memory of `blocked` and `native`: linear in N, and never all pairs, nor a vector for each pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .peak_memory import SIZES


@pytest.fixture(scope="module", params=["blocked", "native"])
def measured(request: pytest.FixtureRequest) -> dict[str, tuple[float, float]]:
    script = Path(__file__).with_name("peak_memory.py")
    result = subprocess.run([sys.executable, script, request.param], capture_output=True, text=True, check=True)
    numbers: dict[str, tuple[float, float]] = json.loads(result.stdout)
    return numbers


@pytest.mark.parametrize("name", SIZES)
def test_peak_memory(name: str, measured: dict[str, tuple[float, float]]) -> None:
    size, (small, large) = SIZES[name], measured[name]
    assert large <= size.limit, f"{large:.0f} MiB"
    assert large <= size.large / size.small * max(small, 10) + 20, f"{small:.0f} MiB, then {large:.0f} MiB"
