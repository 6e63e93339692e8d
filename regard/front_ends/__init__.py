"""Front ends: raw items in, vectors out. One row each in one table, which loads nothing until a front end is made.

A front end's module has ``learn(sequences, options)`` and ``restore(vocabulary, options)``; both give a `FrontEnd`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regard.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Row:
    """A front end in the table.

    Arguments:
        name: what ``--front-end`` calls it.
        items: the kinds of items that it takes, the one that it prefers first: "text", "words", "vectors",
            "recordings", "images".
        module: where its ``learn`` and ``restore`` are.
        target: whether a new sequence can be written in its tokens.
        per_item: the goal of learning a label for each of its vectors: "labels", "segments" where those are times, or
            "mask" where they are pixels.
        grid: whether its vectors stand in rows and columns.
    """

    name: str
    items: tuple[str, ...]
    module: str
    target: bool = False
    per_item: str = "labels"
    grid: bool = False


FRONT_ENDS = {
    row.name: row
    for row in (
        Row("words", ("words",), "regard.front_ends.words"),
        Row("subwords", ("text", "words"), "regard.front_ends.subwords", target=True),
        Row("characters", ("text", "words"), "regard.front_ends.characters", target=True),
        Row("symbols", ("text", "words"), "regard.front_ends.symbols", target=True),
        Row("vectors", ("vectors",), "regard.front_ends.vectors"),
        Row("audio", ("recordings",), "regard.front_ends.audio", per_item="segments"),
        Row("pixels", ("images",), "regard.front_ends.image.pixels", per_item="mask", grid=True),
        Row("patches", ("images",), "regard.front_ends.image.patches", per_item="mask", grid=True),
    )
}


class FrontEnd(Protocol):
    """Raw items in, vectors out; any front end goes with any task. Each is an ``nn.Module`` too."""

    def encode(self, sequences: Sequence[Any]) -> Any:
        """Raw sequences as one batch with ``.to(device)``, on the CPU."""

    def __call__(self, inputs: Any) -> Ragged:
        """The batch as vectors ``[T, dim]``."""

    def count(self, sequence: Any) -> int:
        """How many vectors a sequence becomes."""

    def split(self, sequence: Any, longest: int) -> list[Any]:
        """Overlapping parts of a sequence, of at most so many vectors."""

    def names(self, sequence: Any) -> list[str] | None:
        """What each vector of a sequence stands for."""

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside weights to build it again, ready for JSON."""


class Stream(Protocol):
    """A sequence that comes piece by piece; the front ends `vectors` and `audio` have a ``stream(rate)`` that is one.

    They have ``vectors(rows)`` too, the rest of the way, and ``pieces(sequence)``, the same rows of one that is long.
    """

    def check(self, piece: Any) -> Any:
        """Refuses what :meth:`push` does not take; None stands for nothing."""

    def push(self, piece: Any) -> Tensor:
        """The next rows, ``[n, C]``: those for which enough has come."""

    def close(self) -> Tensor:
        """What still waited for more, ``[n, C]``."""


class Options(Protocol):
    """The options that front ends read; see `regard.training.config`."""

    @property
    def dim(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def implementation(self) -> str: ...
    @property
    def tokenizer(self) -> str | None: ...
    @property
    def subword_model(self) -> str: ...
    @property
    def subwords(self) -> int: ...
    @property
    def lowercase(self) -> bool: ...
    @property
    def case(self) -> bool: ...
    @property
    def sample_rate(self) -> int | None: ...
    @property
    def features(self) -> str: ...
    @property
    def bins(self) -> int: ...
    @property
    def frame_shift(self) -> float: ...
    @property
    def frame_length(self) -> float: ...
    @property
    def subsample(self) -> int: ...
    @property
    def normalize(self) -> str: ...
    @property
    def mask_frames(self) -> float: ...
    @property
    def speed(self) -> float: ...
    @property
    def noise(self) -> str | None: ...
    @property
    def feature_cache(self) -> str | None: ...
    @property
    def patch_size(self) -> int: ...
    @property
    def patch_stride(self) -> int | None: ...
    @property
    def image_size(self) -> int | tuple[int, int] | None: ...
    @property
    def stem(self) -> str: ...
    @property
    def class_token(self) -> bool: ...
    @property
    def flip(self) -> bool: ...
    @property
    def shift(self) -> int: ...
    @property
    def crop(self) -> float: ...
    @property
    def color(self) -> float: ...


def items_of(name: str, *, per_item: bool) -> str:
    """The kind of items that a front end is given; where each has a label of its own, words and not a text.

    >>> items_of("subwords", per_item=False), items_of("subwords", per_item=True)
    ('text', 'words')
    """
    items = FRONT_ENDS[name].items
    return items[-1] if per_item else items[0]


def learn_front_end(name: str, sequences: Iterable[Any], options: Options) -> nn.Module:
    """A front end with the vocabulary, or the scale, of training data."""
    front_end: nn.Module = import_module(FRONT_ENDS[name].module).learn(sequences, options)
    return front_end


def restore_front_end(name: str, vocabulary: Any, options: Options) -> nn.Module:
    """A front end with what ``vocabulary()`` of an earlier one gave.

    Raises:
        ModelError: it is not that.
    """
    front_end: nn.Module = import_module(FRONT_ENDS[name].module).restore(vocabulary, options)
    return front_end
