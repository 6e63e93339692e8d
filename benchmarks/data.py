"""Real sentences to measure on: the EWT treebank where it stands beside the project, else the demo's treebank."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from regard.data import read

EWT = Path(__file__).parents[2] / "shared" / "data" / "ewt"


def sentence_lengths(most: int = 12_000) -> list[int]:
    """Words in each sentence of a treebank."""
    if (EWT / "train.conllu.gz").is_file():
        return [len(example) for example in read(EWT / "train.conllu.gz", goal="labels")][:most]
    with as_file(files("turkish_treebanks")) as folder:
        paths = sorted(Path(folder).rglob("*.conllu"))
        return [len(example) for path in paths for example in read(path, labelled=False, goal="labels")][:most]
