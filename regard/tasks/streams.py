"""A network on sequences that come piece by piece: many streams in one batch, and one that is too long to be held.

What comes out is that of the whole sequence at once, each row as soon as all that it sees has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from regard.errors import ConfigError, ShapeError
from regard.front_ends import Stream as FrontEndStream
from regard.nn import Learned
from regard.nn import Streams as EncoderStreams
from regard.ragged import Ragged, counted

WHOLE = 8000  # vectors of a sequence that is still read at once
Answer = TypeVar("Answer", covariant=True)


class Reader(Protocol[Answer]):
    """What makes answers of the rows of one stream, of the scores that a head gives."""

    def push(self, rows: Tensor) -> Iterable[Answer]:
        """Those that are certain with the next rows, ``[n, labels]`` float32, of which there is at least one."""

    def close(self) -> Iterable[Answer]:
        """Those that still waited for more."""


class Streams(Generic[Answer]):
    """R sequences that come piece by piece and share a batch: answers, each as soon as it is certain.

    Arguments:
        network: ``head(encoder(front_end(x)))`` with a head on each vector by itself.
        count: ``R``.
        reader: makes what makes the answers of one stream.
        rate: of the samples, Hz, where the front end takes sound; its own unless given.

    Raises:
        ConfigError: a front end that reads a sequence whole, or a window that has no end to the right.
        DataError: a rate that is none.
    """

    def __init__(
        self, network: Any, count: int, reader: Callable[[], Reader[Answer]], *, rate: int | None = None
    ) -> None:
        if not hasattr(network.front_end, "stream"):
            raise ConfigError(
                "front_end: a stream is of sound (audio) or of vectors; got one that reads each sequence whole"
            )
        self._network, self._reader, self._rate = network.eval(), reader, rate
        self._ears: list[FrontEndStream] = [network.front_end.stream(rate) for _ in range(count)]
        self._readers = [reader() for _ in range(count)]
        self._state: EncoderStreams = network.encoder.start(count)

    def __repr__(self) -> str:
        return f"Streams({counted(len(self), 'stream')}{'' if self._rate is None else f' at {self._rate} Hz'})"

    @torch.inference_mode()
    def push(self, pieces: Sequence[Any]) -> list[list[Answer]]:
        """What is certain now of each stream.

        Arguments:
            pieces: of each stream what its front end takes, samples ``[N]`` or rows ``[N, C]``; None for nothing.

        Raises:
            ShapeError: there are more or fewer pieces than streams.
            DataError: a piece that the front end does not take; then none was taken in.
        """
        if len(pieces) != len(self):
            raise ShapeError(
                f"pieces must have one for each of the {len(self)} streams, got {len(pieces)}; "
                "give None for a stream of which nothing came"
            )
        for ear, piece in zip(self._ears, pieces, strict=True):  # all, before any takes its own
            ear.check(piece)
        rows = [ear.push(piece) for ear, piece in zip(self._ears, pieces, strict=True)]
        return self._answers(rows, [False] * len(self))

    @torch.inference_mode()
    def close(self, numbers: Iterable[int] | None = None) -> list[list[Answer]]:
        """All that was still to come of streams that end. In the place of each a new one can begin.

        Arguments:
            numbers: of the streams, from 0, in whose order the answers are; None for all.

        Raises:
            ShapeError: there is no stream of such a number; then none was closed.
        """
        closed = list(range(len(self)) if numbers is None else numbers)
        if not all(0 <= number < len(self) for number in closed):
            raise ShapeError(f"numbers must be those of streams, from 0 to {len(self) - 1}, got {closed}")
        ends = [number in closed for number in range(len(self))]
        rows = [ear.close() if ended else ear.push(None) for ear, ended in zip(self._ears, ends, strict=True)]
        answers = self._answers(rows, ends)
        for number in closed:
            answers[number] += self._readers[number].close()
            self._readers[number], self._ears[number] = self._reader(), self._network.front_end.stream(self._rate)
        return [answers[number] for number in closed]

    def __len__(self) -> int:
        """The number of streams, R."""
        return len(self._ears)

    def _answers(self, rows: list[Tensor], ends: Sequence[bool]) -> list[list[Answer]]:
        if not any(ends) and not any(map(len, rows)):
            return [[] for _ in rows]
        scores = _extended(self._network, self._state, rows, ends)
        return [list(reader.push(x)) if len(x) else [] for reader, x in zip(self._readers, scores, strict=True)]


class Stream(Generic[Answer]):
    """One of :class:`Streams` by itself."""

    def __init__(self, streams: Streams[Answer]) -> None:
        self._streams = streams

    def __repr__(self) -> str:
        return f"Stream(of {self._streams!r})"

    def push(self, piece: Any) -> list[Answer]:
        """What is certain with the next samples ``[N]`` or rows ``[N, C]``."""
        return self._streams.push([piece])[0]

    def close(self) -> list[Answer]:
        """All that was still to come. What is pushed then begins a new stream."""
        return self._streams.close()[0]


def takes_pieces(network: Any) -> bool:
    """Whether a sequence can be as long as one likes: every window ends to both sides, and no table of positions."""
    encoder = network.encoder
    ends = None not in encoder.reach and not isinstance(encoder.positions, Learned)
    return ends and hasattr(network.front_end, "pieces")


def is_read_in_pieces(network: Any, count: Callable[[], int]) -> bool:
    """Whether a sequence is so long that it is not read at once, and need not be; ``count`` gives its vectors."""
    return takes_pieces(network) and count() > WHOLE


@torch.inference_mode()
def in_pieces(network: Any, items: Any) -> Tensor:
    """``[N, labels]``, what a network that :func:`takes_pieces` makes of one sequence, which it never holds whole."""
    state, scores = network.encoder.start(1), []
    for rows in network.front_end.pieces(items):
        scores += _extended(network, state, [rows], [False])
    return torch.cat([*scores, *_extended(network, state, [rows[:0]], [True])])


def _extended(network: Any, state: EncoderStreams, rows: list[Tensor], ends: Sequence[bool]) -> list[Tensor]:
    """The scores of each stream, ``[n, labels]`` float32, that are certain with its next rows."""
    vectors = network.front_end.vectors(torch.cat(rows))
    batch = Ragged.from_lengths(vectors, [len(some) for some in rows])
    out: Ragged = network.encoder.extend(batch, state, torch.tensor(ends, device="cpu"))
    return out.with_values(network.head(out.values).float()).unbind()
