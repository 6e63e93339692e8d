"""``python -m regard`` and the ``regard`` command."""

from __future__ import annotations

import ctypes
import gc
import sys

from regard.cli import run
from regard.streams import settle


def main() -> None:
    settle()
    keep_freed_memory()
    code = run(sys.argv[1:])
    if "triton" not in sys.modules:  # PyTorch loads it where it is installed; at the end it complains of what is alive
        gc.freeze()  # that goes with the process; searching it for cycles first takes a quarter of a second
    sys.exit(code)


def keep_freed_memory() -> None:
    """What one step frees the next one takes: glibc gives large blocks back, and the system clears each page anew.

    A fifth of a Transformer's training on the CPU went there. Other C libraries have no ``mallopt``.
    """
    trim_threshold, mmap_max = -1, -4  # as malloc.h has them
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)  # never


if __name__ == "__main__":
    main()
