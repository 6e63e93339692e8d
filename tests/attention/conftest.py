"""How the property tests run: the same examples every time, or, with ``--hypothesis-profile=hunt``, many new ones."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

slow_is_fine = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "attention", derandomize=True, deadline=None, max_examples=80, suppress_health_check=slow_is_fine
)
settings.register_profile("hunt", deadline=None, max_examples=2000, suppress_health_check=slow_is_fine)


if not torch.cuda.is_available():  # before Triton is loaded: its kernels run on the CPU, by its interpreter
    os.environ["TRITON_INTERPRET"] = "1"
if path := os.environ.get("REGARD_TEST_KERNELS"):  # of another build, such as that of `make sanitize`
    spec = importlib.util.spec_from_file_location("_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["regard.attention.native._kernels"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["regard.attention.native._kernels"])


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
