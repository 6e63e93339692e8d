"""How the property tests run: the same examples every time, or, with ``--hypothesis-profile=hunt``, many new ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

slow_is_fine = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "attention", derandomize=True, deadline=None, max_examples=80, suppress_health_check=slow_is_fine
)
settings.register_profile("hunt", deadline=None, max_examples=2000, suppress_health_check=slow_is_fine)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(config.getoption("--hypothesis-profile") or "attention")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """The arrays here are too small for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
