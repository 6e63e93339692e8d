"""Numbers that tell examples apart, so that many can be compared while none is held."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.data.items import identity_of
from regard.data.records import Example, Items
from regard.image import Image
from regard.recording import Recording

Keys = NDArray[np.uint64]  # [N]


def key_of(content: bytes) -> int:
    """A number of 64 bits: two of ten million contents share one with a chance of 1 to 370,000."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def goal_key(example: Example) -> int:
    """The same for goals that are the same."""
    goal = example.goal
    return key_of(identity_of(goal) if isinstance(goal, Image) else repr(goal).encode())


def source_of(items: Items) -> Items:
    """The whole recording of a part; other items are whole."""
    return replace(items, first=0, length=0) if isinstance(items, Recording) else items


def source_keys(examples: Iterable[Example]) -> Keys:
    """``[N]``, the same for examples of the same items, and for parts of one recording."""
    return as_keys(array("Q", (key_of(identity_of(source_of(example.items))) for example in examples)))


def as_keys(numbers: array[int]) -> Keys:
    """An array of the memory that the numbers have."""
    return np.frombuffer(numbers, dtype=np.uint64) if numbers else np.zeros(0, np.uint64)


def whole_key(items: Items) -> int:
    """Of a recording, by all of its file; :func:`regard.data.items.identity_of` looks at its ends."""
    if isinstance(items, Recording) and items.held is None:
        about = f"{items.rate} {items.first} {items.length} ".encode()
        return key_of(about + hashlib.sha256(Path(items.name).read_bytes()).digest())
    return key_of(identity_of(items))
