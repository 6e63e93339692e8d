"""``python -m regard`` and the ``regard`` command."""

from __future__ import annotations

import sys

from regard.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
