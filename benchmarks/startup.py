"""How long a user waits for nothing: `regard --help`, and `import regard` beside `import torch`.

python -m benchmarks startup
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from benchmarks.timing import in_turns


def run() -> dict[str, Any]:
    def python(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    seconds = in_turns(
        {
            "regard --help": lambda: python("-m", "regard", "--help"),
            "import torch": lambda: python("-c", "import torch"),
            "import torch, regard, and all of its names": lambda: python("-c", "import torch; from regard import *"),
            "import torch, regard": lambda: python("-c", "import torch, regard; regard.attend"),
        },
        rounds=5,
    )
    return {f"{name}, s": value for name, value in seconds.items()}
