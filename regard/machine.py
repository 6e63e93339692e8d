"""What the machine has."""

from __future__ import annotations

import math
import os


def memory() -> float:
    """Bytes of memory that the machine has, as far as the system tells."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
