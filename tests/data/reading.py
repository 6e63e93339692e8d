"""What tests of files share: writing to memory, reading back, and examples as values that can be compared."""

import io
import tempfile
from pathlib import Path

import numpy as np

from regard import data
from regard.data import Example, writable_formats


def plain(examples):
    """Items and goals; arrays as lists."""
    return [
        (example.items.tolist() if isinstance(example.items, np.ndarray) else example.items, example.goal)
        for example in examples
    ]


def placed(examples):
    """The same, each with its place."""
    return [
        (*values, example.place.source, example.place.line, list(example.place.item_lines or ()))
        for values, example in zip(plain(examples), examples, strict=True)
    ]


def written(rows, *, goal, format, **names):
    """The bytes of a file with these items and goals."""
    examples = [items if isinstance(items, Example) else Example(items) for items, _ in rows]
    answers = [told if isinstance(told, dict) else {goal: told} for _, told in rows]
    if writable_formats(goal)[format].medium == "bytes":
        out = io.BytesIO()
        data.write(examples, answers, out, format=format, goal=goal, **names)
        return out.getvalue()
    text = io.StringIO(newline="")
    data.write(examples, answers, text, format=format, goal=goal, **names)
    return text.getvalue().encode()


def read_back(content, name="a", **options):
    """What is read of a file with that content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return plain(data.read(path, **options))
