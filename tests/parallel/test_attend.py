"""Attention over several processes is attention: the same values and gradients, whatever the choices."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from parallel.processes import found_by, once, run_together
from parallel.worker import CALLS, CHECKS
from regard import parallel
from regard.errors import ConfigError

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What four processes found, started once for all checks."""
    codes, found = found_by(4, once(tmp_path_factory, "four", lambda folder: run_together(4, folder)))
    assert codes == [0, -9, 0, 0]  # the second is killed at last
    return found


def test_values_and_gradients_are_those_of_one_process(four: Found) -> None:
    """Of every score, normalizer, window and layout, over 2 and 4 processes, with parts that are unequal or empty."""
    failed = [(name, why) for found in four for name, why in found.items() if name.startswith("call") and why]
    assert not failed, "\n\n".join(f"{name}\n{why}" for name, why in failed[:3])
    assert all(sum(name.startswith("call") for name in found) == 2 * (CALLS + 1) for found in four)


@pytest.mark.parametrize("name", CHECKS)
def test_in_four_processes(four: Found, name: str) -> None:
    failed = [found[name] for found in four if found[name] is not None]
    assert not failed, failed[0]


def test_a_killed_process_ends_the_others_with_one_line(four: Found) -> None:
    assert ["a killed process" in found for found in four] == [True, False, True, True]
    failed = [found["a killed process"] for found in four if found.get("a killed process") is not None]
    assert not failed, failed[0]


def test_without_processes_there_is_one_line() -> None:
    x = torch.zeros(1, 1, 4, 2)
    with pytest.raises(ConfigError, match=r"group: the processes of torch.distributed are wanted, got none"):
        parallel.attend(x, x, x)
