"""Starts processes that run worker.py together."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from forked import Forked


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that the first of all of pytest's own processes fills, for all of them."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "filled").exists():
            folder.mkdir(exist_ok=True)
            fill(folder)
            (folder / "filled").touch()
    return folder


def run_together(processes: int, folder: Path) -> None:
    """What each of them finds is in the folder, and their exit codes."""
    worker = Path(__file__).with_name("worker.py")
    running = [Forked(worker, str(rank), str(processes), folder) for rank in range(processes)]
    (folder / "codes.json").write_text(json.dumps([process.end(300) for process in running]))


def found_by(processes: int, folder: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """Their exit codes, and what each of them found."""
    told = [json.loads((folder / f"{name}.json").read_text()) for name in ("codes", *range(processes))]
    return told[0], told[1:]
