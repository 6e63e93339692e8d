"""What a sequence says that comes piece by piece, symbol by symbol."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from regard.decoding.ctc import Greedy
from regard.tasks.transcribe.network import TranscriptNetwork

HALF = "\ufffd"  # at the end of a text of subwords of bytes, which end within a character


class Written(NamedTuple):
    """A symbol and when it begins, from ``start`` to ``end``: a vector, in seconds of sound, else counted in vectors.

    ``text`` has the blank before it, if there is one. Subwords that are parts of one character are told together.
    """

    start: float
    end: float
    text: str


class TranscriptReader:
    """The symbols that the likeliest path spells, of rows of scores ``[n, V]``."""

    def __init__(self, network: TranscriptNetwork) -> None:
        self._network, self._seconds = network, getattr(network.front_end, "seconds", None)
        self._greedy = Greedy(blank=network.blank)
        self._before: list[int] = []  # symbols of the last text, which may tell how the next one is written
        self._held: list[tuple[int, int]] = []  # that make no whole character yet, each with its vector

    def push(self, rows: Tensor) -> list[Written]:
        written = []
        for found in self._greedy.push(self._network.log_probs(rows).cpu().numpy()):
            self._held.append(found)
            text = self._text()
            if not text.endswith(HALF):
                written.append(self._written(text))
        return written

    def close(self) -> list[Written]:
        return [self._written(self._text())] if self._held else []

    def _written(self, text: str) -> Written:
        frame = self._held[0][1]
        self._before, self._held = [symbol for symbol, _ in self._held], []
        return Written(self._time(frame), self._time(frame + 1), text)

    def _text(self) -> str:
        """Of the symbols that are held."""
        text = self._network.target.text
        both, alone = text([*self._before, *(symbol for symbol, _ in self._held)]), text(self._before)
        return str(both.removeprefix(alone))

    def _time(self, frame: int) -> float:
        return frame if self._seconds is None else round(frame * self._seconds, 6)
