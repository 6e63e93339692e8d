"""What the machine has, and which of the processes of a launch this is."""

from __future__ import annotations

import math
import os


def memory() -> float:
    """Bytes of memory that the machine has, as far as the system tells."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processes() -> int:
    """How many a launcher such as ``torchrun`` started together, this one among them; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))
