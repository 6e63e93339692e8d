"""Some of the examples of a sequence: those that are not damaged, a part that is held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from regard.data.bad import BadRecords
from regard.data.records import Example
from regard.errors import DataError
from regard.image import Image
from regard.recording import Recording

AT_ONCE = 256  # files that are looked through together


class Chosen(Sequence[Example]):
    """Some of the examples of a sequence, which are read when they are asked for if those are."""

    def __init__(self, examples: Sequence[Example], numbers: Sequence[int] | NDArray[np.int64]) -> None:
        self._examples, self._numbers = examples, numbers

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | Sequence[Example]:
        if isinstance(place, slice):
            return Chosen(self._examples, self._numbers[place])
        return self._examples[int(self._numbers[place])]

    def __len__(self) -> int:
        return len(self._numbers)


def undamaged(examples: Sequence[Example], bad: BadRecords) -> Sequence[Example]:
    """Examples without those whose files of sound, or images, are damaged: each is unpacked once, to its end."""
    numbers: list[int] = []
    for number, error in enumerate(_in_parallel(_damage, examples)):
        if error is None:
            numbers.append(number)
        else:
            bad.take(error)
    return examples if len(numbers) == len(examples) else Chosen(examples, numbers)


def _in_parallel(
    function: Callable[[Example], DataError | None], examples: Iterable[Example]
) -> Iterator[DataError | None]:
    rest = iter(examples)
    with ThreadPoolExecutor() as pool:
        while some := list(islice(rest, AT_ONCE)):
            yield from pool.map(function, some)


def _damage(example: Example) -> DataError | None:
    """What is wrong with the file of an example, if anything is; where a list names it, with the line of that."""
    try:
        items, goal = example.items, example.goal
        if isinstance(items, Image):
            items.at_size(1, 1).pixels(1)
        elif isinstance(items, Recording):
            for _ in items.own_blocks():
                pass
        if isinstance(goal, Image):
            goal.numbers()
    except DataError as error:
        if example.place.line is None and example.place.number is None:
            return error
        return example.place.error(error.expected, f"{error.found}, in '{error.path}'")
    return None
