"""What positions stand for: words of a text, moments of a recording, patches of an image, rows of an array."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from regard.viewer.page.pack import ROWS, Bytes

BANDS = 64  # of a spectrogram
RANGE = 70.0  # decibels below the loudest that can still be seen
SPAN = 0.025  # seconds, of one window
FINE = 0.005  # seconds, from one row to the next, where all of them are but few
MOST_ROWS = 30_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Axis:
    """The positions of one sequence.

    Arguments:
        kind: what they are.
        count: how many.
        names: what each stands for; None: their numbers.
        labels: what was predicted for each; ``scores`` how surely, ``gold`` what is true.
        seconds: of a recording: from one position to the next; ``start``, the time of the first.
        media: a wav, or a png.
        rows: what is drawn of each position, bytes ``[N, C]``: a numpy array, or what gives one for a slice. Of a
            recording the loudest above and below zero, then a spectrogram; of vectors their values.
        low, high: of vectors: what the bytes 0 and 255 stand for.
        frequency: Hz, the highest of the spectrogram.
        per: rows for each position, where they are finer.
        grid: rows and columns of patches; ``stride``, the pixels between them; ``before``, vectors before them.
    """

    kind: Literal["text", "audio", "image", "vectors"]
    count: int
    names: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    scores: Sequence[float] | None = None
    gold: Sequence[str] | None = None
    seconds: float | None = None
    start: float | None = None
    media: bytes | None = None
    rows: Any = None
    channels: int | None = None
    low: float | None = None
    high: float | None = None
    frequency: float | None = None
    per: int | None = None
    grid: tuple[int, int] | None = None
    stride: int | None = None
    before: int | None = None

    def meta(self, name: str) -> dict[str, Any]:
        """What the page is told at once; the rest are blocks."""
        told: dict[str, Any] = {"kind": self.kind, "count": self.count}
        plain = ("names", "labels", "scores", "gold", "seconds", "start", "channels", "low", "high", "frequency")
        for field in (*plain, "per", "grid", "stride", "before"):
            value = getattr(self, field)
            if value is not None:
                told[field] = list(value) if isinstance(value, (list, tuple)) else value
        if self.media is not None:
            told["media"] = f"media/{name}"
        if self.rows is not None:
            told["values"] = f"values/{name}"
        return told

    @property
    def row_count(self) -> int:
        return self.count * (self.per or 1)

    def block(self, level: int, number: int) -> Bytes:
        """``[rows, C]``: up to 4,096 rows at a level, each the largest of ``2^level``."""
        step = 1 << level
        part = slice(number * ROWS * step, (number + 1) * ROWS * step)
        if isinstance(self.rows, Spectrogram):
            return self.rows[part.start : part.stop : step]
        rows = np.asarray(self.rows[part])
        return rows if level == 0 else np.maximum.reduceat(rows, np.arange(0, len(rows), step), axis=0)

    def named(self, **answers: Any) -> Axis:
        """The same with ``labels``, ``scores`` or ``gold``."""
        return replace(self, **answers)


def text_axis(names: Sequence[str]) -> Axis:
    """Words, or other pieces of a text."""
    return Axis(kind="text", count=len(names), names=list(names))


def audio_axis(samples: npt.NDArray[np.float32], rate: int, *, count: int, seconds: float, start: float = 0.0) -> Axis:
    """A recording.

    Arguments:
        samples: ``[n]``, from −1 to 1.
        rate: Hz.
        count: positions, of which one stands for ``seconds``.
        start: the time of the first in the recording from which the samples are.
    """
    per = max(1, min(round(seconds / FINE), MOST_ROWS // max(1, count)))
    shown = Spectrogram(np.asarray(samples, np.float32), rate, count * per, seconds / per)
    return Axis(
        kind="audio",
        count=count,
        seconds=seconds,
        start=start,
        media=as_wav(samples, rate),
        rows=shown,
        channels=2 + BANDS,
        frequency=rate / 2,
        per=per,
    )


def image_axis(picture: npt.NDArray[np.float32], *, grid: tuple[int, int], stride: int, before: int = 0) -> Axis:
    """An image.

    Arguments:
        picture: ``[rows, columns, C]`` from 0 to 1, as the network read it.
        grid: rows and columns of patches.
        stride: pixels from one to the next.
        before: vectors before those of the patches: 1, that of the class, or 0.
    """
    count = before + grid[0] * grid[1]
    return Axis(kind="image", count=count, media=as_png(picture), grid=grid, stride=stride, before=before)


def vectors_axis(values: npt.NDArray[np.float32], names: Sequence[str] | None = None) -> Axis:
    """Rows of numbers ``[N, C]``: sensors over time, say."""
    values = np.nan_to_num(np.asarray(values, np.float32))
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    rows = np.rint(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)
    told = {"channels": rows.shape[1], "low": low, "high": high}
    return Axis(kind="vectors", count=len(rows), names=names, rows=rows, **told)


class Spectrogram:
    """``[N, 2 + bands]`` bytes of a recording, made of the slices that are asked for: an hour is never held.

    A row is the loudest sample above zero and below it, then the loudness of bands that are as wide as the ear's, from
    low to high, in decibels below a sine as loud as the loudest sample. A slice with a step joins so many positions
    into one row: the loudest of all its samples, and of its sound at up to four places.
    """

    def __init__(self, samples: npt.NDArray[np.float32], rate: int, count: int, seconds: float) -> None:
        self.samples, self.count, self.step = samples, count, seconds * rate
        self.span = max(16, round(SPAN * rate))
        self.peak = float(np.abs(samples).max(initial=0.0)) or 1.0
        self.window = np.hanning(self.span).astype(np.float32)
        edges = 700 * (np.exp(np.linspace(0, _mel(rate / 2), BANDS + 1) / 1127) - 1)
        self.bins = np.minimum(np.round(edges[:-1] / rate * self.span).astype(int), self.span // 2)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> Bytes:
        positions = np.arange(*rows.indices(self.count))
        joined = rows.step or 1
        found = np.zeros((len(positions), 2 + BANDS), np.uint8)
        for start in range(0, len(positions), 1024):  # rows whose windows are held at a time
            some = positions[start : start + 1024]
            part = found[start : start + 1024]
            part[:, :2] = self._loudest(some, joined)
            for place in np.linspace(0, joined - 1, min(4, joined)).astype(int):
                np.maximum(part[:, 2:], self._bands(np.minimum(some + place, self.count - 1)), out=part[:, 2:])
        return found

    def _loudest(self, positions: npt.NDArray[np.int64], joined: int) -> Bytes:
        """``[n, 2]``: above and below zero, among the samples of so many positions from each of these on."""
        ends = (np.append(positions, positions[-1] + joined) * self.step).astype(int).clip(0, len(self.samples))
        part = np.append(self.samples[ends[0] : ends[-1]], np.float32(0))  # so that even the last has a sample
        sides = [np.maximum.reduceat(part * sign, ends[:-1] - ends[0]) for sign in (1, -1)]
        return np.rint(255 * np.stack(sides, 1).clip(0) / self.peak).astype(np.uint8)

    def _bands(self, positions: npt.NDArray[np.int64]) -> Bytes:
        """``[n, bands]``: how loud each band is in the middle of these positions."""
        middle = ((positions + 0.5) * self.step).astype(int) - self.span // 2
        index = middle[:, None] + np.arange(self.span)
        pieces = np.zeros(index.shape, np.float32)
        inside = (index >= 0) & (index < len(self.samples))
        pieces[inside] = self.samples[index[inside]]
        power = np.maximum.reduceat(np.abs(np.fft.rfft(pieces * self.window)), self.bins, axis=1)
        decibels = 20 * np.log10(np.maximum(power / (self.peak * self.window.sum() / 2), 1e-9))
        loud: Bytes = np.rint(255 * (1 + decibels / RANGE).clip(0, 1)).astype(np.uint8)
        return loud


def _mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


def as_wav(samples: npt.NDArray[np.float32], rate: int) -> bytes:
    """Sound in 16 bits, which every browser plays."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.asarray(samples).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def as_png(picture: npt.NDArray[np.float32]) -> bytes:
    """An image ``[rows, columns, C]`` from 0 to 1; of other numbers of channels than 1 and 3 their mean."""
    from PIL import Image

    pixels = np.asarray(picture, np.float32)
    if pixels.shape[2] not in (1, 3):
        pixels = pixels.mean(2, keepdims=True)
    whole = np.rint(255 * np.nan_to_num(pixels).clip(0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).save(buffer, "png")
    return buffer.getvalue()
