"""Words a second of `regard predict`, end to end, from a CoNLL-U file to a CoNLL-U file: start, read, label, write.

Of a short file, EWT dev, and of a long one, EWT train: half of the short one's time is `import torch`.

    python -m benchmarks prediction

With the default network. Its speed does not depend on what it learned, so it is trained for a moment only.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import EWT
from benchmarks.timing import in_turns
from regard import Labeler, load
from regard.data import read


def run() -> dict[str, Any]:
    if not EWT.is_dir():
        return {"skipped: no treebank at ../shared/data/ewt": 0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        words: dict[str, int] = {}
        for name in ("dev", "train"):
            (folder / f"{name}.conllu").write_bytes(gzip.decompress((EWT / f"{name}.conllu.gz").read_bytes()))
            words[name] = sum(len(example) for example in read(folder / f"{name}.conllu", goal="labels"))
        Labeler().fit(folder / "train.conllu", output=folder / "run", epochs=1, baselines="none")
        labeler = load(folder / "run")

        def command(name: str) -> None:
            arguments = ["predict", folder / "run", folder / f"{name}.conllu", "--output", folder / "out.conllu"]
            subprocess.run([sys.executable, "-m", "regard", *map(str, arguments)], check=True, capture_output=True)

        seconds = in_turns(
            {
                "dev": lambda: command("dev"),
                "train": lambda: command("train"),
                "in Python": lambda: labeler.predict(folder / "dev.conllu"),
                "import torch": lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True),
            },
            rounds=5,
        )
    return {
        "regard predict, start-up included, 25,147 words, words/s": words["dev"] / seconds["dev"],
        "regard predict, start-up included, 204,577 words, words/s": words["train"] / seconds["train"],
        "Labeler.predict, from the file of 25,147 words, words/s": words["dev"] / seconds["in Python"],
        "share of the short file's time that `import torch` alone takes": seconds["import torch"] / seconds["dev"],
    }
