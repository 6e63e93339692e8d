"""Words a second of `regard predict`, end to end, from a CoNLL-U file to a CoNLL-U file: start, read, label, write.

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
from regard import Labeler
from regard.data import read_examples


def run() -> dict[str, Any]:
    if not EWT.is_dir():
        return {"skipped: no treebank at ../shared/data/ewt": 0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        dev = folder / "dev.conllu"
        dev.write_bytes(gzip.decompress((EWT / "dev.conllu.gz").read_bytes()))
        train = read_examples(EWT / "train.conllu.gz")
        Labeler().fit(train, output=folder / "run", epochs=1, baselines="none", learning_rate=1e-3)
        words = sum(len(example) for example in read_examples(dev))
        command = [sys.executable, "-m", "regard", "predict", str(folder / "run"), str(dev)]

        def predict() -> None:
            subprocess.run([*command, "--output", str(folder / "out.conllu")], check=True, capture_output=True)

        labeler = Labeler.from_folder(folder / "run")
        seconds = in_turns({"command": predict, "in Python": lambda: labeler.predict(dev)}, rounds=3)
    results: dict[str, Any] = {"words": words}
    results["regard predict, CoNLL-U to CoNLL-U with start-up, words/s"] = words / seconds["command"]
    results["Labeler.predict, from the file, words/s"] = words / seconds["in Python"]
    return results
