"""Predictions that are wrong: where they stand, what is true and what was said, as rows of a table."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.data import Example
from regard.errors import ConfigError
from regard.files import atomic_write
from regard.image import Image
from regard.recording import Recording

ENDINGS = (".tsv", ".csv", ".jsonl")
Row = dict[str, Any]


def check_ending(path: str | Path) -> None:
    """Refuses a file of which the name does not tell how it is written.

    Raises:
        ConfigError: the names that do.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ConfigError(f"errors: a name that ends in .tsv, .csv or .jsonl, got '{path}'")


def place_of(example: Example, item: int | None = None) -> Row:
    """Where an example, or an item of it from 0, stands: file and line, or which one it is."""
    place = example.place
    line = place.line if item is None or place.item_lines is None else place.item_lines[item]
    told = {"file": place.source, "line": line, "number": place.number}
    told["item"] = None if item is None else item + 1
    return {name: value for name, value in told.items() if value is not None}


def items_of(example: Example) -> Row:
    """The text, the words, or the path of sound or image; vectors are left out."""
    items = example.items
    if isinstance(items, Recording):
        return {"audio": str(items.path)}
    if isinstance(items, Image):
        return {"image": str(items.path)}
    if isinstance(items, np.ndarray):
        return {}
    return {"text": items if isinstance(items, str) else " ".join(items)}


def write_wrong(rows: Iterable[Row], path: str | Path) -> None:
    """Writes a table with a header, or objects, by the ending of the file; those of the highest score come first."""
    ordered = sorted(rows, key=lambda row: -row["score"])
    names = list(dict.fromkeys(name for row in ordered for name in row)) or ["gold", "guess", "score"]
    kind = Path(path).suffix.lower()
    with atomic_write(path) as file:
        if kind == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered)
        elif kind == ".csv":
            table = csv.DictWriter(file, names, lineterminator="\n")
            table.writeheader()
            table.writerows(ordered)
        else:  # which has no quotes
            cells = ([re.sub(r"[\t\r\n]", " ", str(row.get(name, ""))) for name in names] for row in ordered)
            file.writelines("\t".join(row) + "\n" for row in [names, *cells])


def wrong_labels(examples: Sequence[Example], guessed: Sequence[str], chances: Sequence[float]) -> Iterator[Row]:
    """A row for each sequence with a wrong label."""
    for example, guess, chance in zip(examples, guessed, chances, strict=True):
        if guess != example.goal:
            told = {"gold": example.goal, "guess": guess, "score": round(chance, 6)}
            yield place_of(example) | told | items_of(example)


def wrong_texts(examples: Sequence[Example], guessed: Sequence[str], scores: Sequence[float]) -> Iterator[Row]:
    """A row for each sequence with a wrong text, with the symbols (words, phonemes) that are to be edited."""
    import jiwer

    for example, guess, score in zip(examples, guessed, scores, strict=True):
        if guess != example.goal:
            edits = jiwer.process_words(example.goal, guess)
            count = edits.substitutions + edits.deletions + edits.insertions
            told = {"gold": example.goal, "guess": guess, "errors": count, "score": round(score, 6)}
            yield place_of(example) | told | items_of(example)
