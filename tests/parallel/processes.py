"""Starts processes that run worker.py together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_together(processes: int, folder: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """Their exit codes, and what each of them found."""
    worker = Path(__file__).with_name("worker.py")
    running = [
        subprocess.Popen(
            [sys.executable, str(worker), str(rank), str(processes), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(processes)
    ]
    codes = [process.wait(timeout=300) for process in running]
    return codes, [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]
