"""What all examples of one source must have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regard.data.example import Example
from regard.data.records import Place
from regard.errors import DataError


def alike(examples: Iterable[Example], path: str | None, *, labelled: bool) -> Iterator[Example]:
    """Passes examples on while all are texts, or all words, or all arrays of as many channels.

    Raises:
        DataError: one that differs, or nothing to use at all.
    """
    kind: str | None = None
    number = 0
    for number, example in enumerate(examples, 1):
        if len(example):
            here = kind_of(example)
            if kind is None:
                kind = here
            if here != kind:
                place = Place(path, example.line, None if example.line is not None else number)
                raise place.error(f"{kind} as before", here)
        yield example
    if path is not None and not number:
        found = "an empty file, or nothing but blank lines, comments and a header"
        raise DataError("at least one sequence", found, path=path)
    if labelled and kind is None:
        raise DataError("labelled items", "only empty sequences" if number else "no examples", path=path)


def kind_of(example: Example) -> str:
    """What the items of an example are.

    >>> kind_of(Example("The dog")), kind_of(Example(["The", "dog"]))
    ('texts', 'words')
    """
    if isinstance(example.items, str):
        return "texts"
    return "words" if isinstance(example.items, list) else f"arrays [N, {example.items.shape[1]}]"
