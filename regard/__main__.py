"""``python -m regard`` and the ``regard`` command."""

from __future__ import annotations

import gc
import sys

from regard.cli import run


def main() -> None:
    code = run(sys.argv[1:])
    gc.freeze()  # what is alive goes with the process; searching it for cycles first takes a quarter of a second
    sys.exit(code)


if __name__ == "__main__":
    main()
