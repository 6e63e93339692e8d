"""A recording: a file, a part of one, or samples in memory. It is read piece by piece, as one channel at one rate."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError, UnsupportedError

BLOCK = 10.0  # seconds that are read at once
LARGEST_BLOCK = 1 << 22  # numbers, whatever rate and channels a damaged header tells
EXPECTED = "a sound file (wav, flac, ogg, mp3, ...)"
EMPTY = "an empty one"
INSTALL = "sound needs soundfile, soxr and kaldi-native-fbank: pip install 'regard[audio]'"
_CUT_OFF = re.compile(r"data : (\d+) \(should be (\d+)\)")  # what libsndfile notes of a wav that lost its end
_LEFT_OVER = re.compile(r"Length : (\d+)\n.*\ndata : (\d+)\n.*Exiting parser", re.DOTALL)  # of what stands behind
MOST_LEFT_OVER = 4096  # bytes that some programs leave there; more are samples of which a damaged header does not tell
RATES = (100, 10**7)  # Hz, least and most: a header that tells another is damaged, and might make years of a second
UNKNOWN_SIZE = (0, 2**31 - 1)  # bytes from which on a header does not mean it: whoever wrote it did not know the end


@dataclass(frozen=True, eq=False)
class Recording:
    """Sound, read when it is wanted: of a file what its header says is held, and a part of it is no copy.

    Made by :meth:`from_file` and :meth:`from_samples`.

    Arguments:
        rate: samples a second, Hz.
        length: samples of each channel.
        path: of the file, as messages name it too; None for samples.
        first: the sample of the file, or of those in memory, with which it begins.
        held: samples ``[N, channels]`` float32, or the bytes of a file; None for a file on disk.
    """

    rate: int
    length: int
    path: str | None = None
    first: int = 0
    held: NDArray[np.float32] | bytes | None = field(default=None, repr=False)

    @classmethod
    def from_file(cls, path: str | Path, *, content: bytes | None = None) -> Recording:
        """A file of any kind that `soundfile` reads; all channels are mixed into one.

        Arguments:
            content: the file's bytes, where they are in memory; ``path`` is then a name for messages.

        Raises:
            DataError: no such file, none of sound, damaged, cut off, or without a sample.
            UnsupportedError: the libraries for sound are not installed.
        """
        name = os.fspath(path)
        with _open(name, content) as sound:
            _check_whole(sound.extra_info, name)
            if not sound.frames:
                raise DataError("a recording of at least one sample", EMPTY, path=name)
            return cls(checked_rate(sound.samplerate, name), sound.frames, name, 0, content)

    @classmethod
    def from_samples(cls, samples: Any, rate: int) -> Recording:
        """Samples ``[N]``, or ``[N, channels]`` which are mixed into one: floats from −1 to 1, or integers as in a wav.

        >>> Recording.from_samples(np.zeros(8000, np.int16), 8000).seconds
        1.0

        Raises:
            DataError: another shape or type, none at all, numbers that are not finite, or a rate that is none.
        """
        array, rate = np.asarray(samples), checked_rate(rate)
        if not array.size:
            found = f"{array.dtype} of shape {list(array.shape)}"
            raise DataError("samples [N] or [N, channels], at least one, of numbers", found)
        held = _channels(array, 0, rate)
        return cls(rate, len(held), None, 0, held)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.length / self.rate

    @property
    def start(self) -> float:
        """The second of the file, or of the samples in memory, at which it begins."""
        return self.first / self.rate

    @property
    def name(self) -> str:
        """As messages call it."""
        return "a recording in memory" if self.path is None else self.path

    def length_at(self, rate: float) -> int:
        """Samples that it has at another rate."""
        return round(self.length * rate / self.rate)

    def part(self, start: float, stop: float) -> Recording:
        """What lies between two times, in seconds from its beginning."""
        first, last = (min(self.length, max(0, round(second * self.rate))) for second in (start, stop))
        return replace(self, first=self.first + first, length=max(0, last - first))

    def at_speed(self, speed: float) -> Recording:
        """The same played so many times as fast, which raises its pitch too."""
        return replace(self, rate=round(self.rate * speed))

    def blocks(self, rate: float) -> Iterator[NDArray[np.float32]]:
        """Its samples as one channel ``[n]`` at ``rate``, from −1 to 1, a few seconds at once: ``length_at(rate)``.

        Raises:
            DataError: the file is damaged, has fewer samples than it said, or some that are not finite.
        """
        resampler = Resampler(self.rate, rate)
        for block in self.own_blocks():
            yield resampler.push(block)
        yield resampler.close()

    def samples(self, rate: float | None = None) -> NDArray[np.float32]:
        """All of them, ``[N]``, at its own rate unless another is given."""
        return np.concatenate([*self.blocks(self.rate if rate is None else rate), np.zeros(0, np.float32)])

    def identity(self) -> str:
        """Tells it from another, as far as can be told without reading all of a file: its ends and its size."""
        about = [self.rate, self.first, self.length]
        if isinstance(self.held, np.ndarray):
            return f"{about} {self.held.tobytes().hex()}"
        if self.held is not None:
            return f"{about} {self.held.hex()}"
        with Path(self.name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            ends = file.read(4096)
            file.seek(max(0, size - 4096))
            return f"{about} {size} {(ends + file.read()).hex()}"

    def __len__(self) -> int:
        """Samples of each channel."""
        return self.length

    def own_blocks(self, seconds: float = BLOCK) -> Iterator[NDArray[np.float32]]:
        """Its samples as one channel ``[n]`` at its own rate, so many seconds at once; see :meth:`blocks`."""
        size = max(1, round(seconds * self.rate))
        if isinstance(self.held, np.ndarray):
            for start in range(self.first, self.first + self.length, size):
                yield _mixed(self.held[start : min(start + size, self.first + self.length)])
            return
        with _open(self.name, self.held) as sound:
            if self.first:
                sound.seek(self.first)
            done, size = 0, max(1, min(size, LARGEST_BLOCK // sound.channels))
            while done < self.length:
                block = sound.read(min(size, self.length - done), dtype="float32", always_2d=True)
                if not len(block):
                    found = f"one that ends after {(self.first + done) / self.rate:.2f} s; fetch it again"
                    raise DataError(
                        f"a file of {sound.frames / self.rate:.2f} s, as its header says", found, path=self.name
                    )
                _check_finite(block, self.first + done, self.rate, self.name)
                done += len(block)
                yield _mixed(block)


class Resampler:
    """Samples at another rate, as they come in: the same however they are cut into blocks.

    Arguments:
        rate: Hz that they have.
        wanted: Hz that they get; N samples become ``round(N · wanted / rate)``.
    """

    def __init__(self, rate: int, wanted: float) -> None:
        self.rate, self.wanted = rate, wanted
        self.taken = self._given = 0  # samples in and out
        self._stream = None
        if wanted != rate:
            self._stream = libraries("soxr")[0].ResampleStream(rate, wanted, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes in samples ``[N]``; gives those that need none of what follows."""
        self.taken += len(samples)
        ready: NDArray[np.float32] = samples if self._stream is None else self._stream.resample_chunk(samples)
        self._given += len(ready)
        return ready

    def close(self) -> NDArray[np.float32]:
        """Those that waited for what does not come."""
        left = round(self.taken * self.wanted / self.rate) - self._given
        if self._stream is None or left <= 0:
            return np.zeros(0, np.float32)
        last: NDArray[np.float32] = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)[:left]
        return np.pad(last, (0, left - len(last)))  # it may round the other way


def channel(samples: Any, before: int, rate: int) -> NDArray[np.float32]:
    """Samples ``[N]``, or ``[N, channels]`` which are mixed into one, as :meth:`Recording.from_samples` takes them.

    Arguments:
        before: how many came before them, for messages.

    Raises:
        DataError: another shape or type, or numbers that are not finite.
    """
    return _mixed(_channels(samples, before, rate))


def checked_rate(rate: Any, path: str | None = None) -> int:
    """A rate in Hz.

    Arguments:
        path: of the file that tells it, for messages.

    Raises:
        DataError: it is none that sound has.
    """
    least, most = RATES
    if not isinstance(rate, int | np.integer) or not least <= rate <= most:
        raise DataError(f"a rate in Hz, a whole number from {least} to {most:,}", f"{rate!r}", path=path)
    return int(rate)


def libraries(*names: str) -> list[ModuleType]:
    """The modules for sound.

    Raises:
        UnsupportedError: one is not installed, and how to install it.
    """
    from importlib import import_module

    try:
        return [import_module(name) for name in names]
    except (ImportError, OSError):  # soundfile raises the latter without libsndfile
        raise UnsupportedError(INSTALL) from None


@contextmanager
def _open(name: str, content: bytes | None) -> Iterator[Any]:
    """A file of sound; what goes wrong while it is read is told in one line."""
    (soundfile,) = libraries("soundfile")
    if content is None and not Path(name).is_file():
        raise DataError(EXPECTED, "a folder" if Path(name).is_dir() else "nothing of that name", path=name)
    try:
        with soundfile.SoundFile(name if content is None else io.BytesIO(content)) as sound:
            yield sound
    except soundfile.SoundFileError as error:
        found = str(getattr(error, "error_string", error)).strip().rstrip(".").lower()
        raise DataError(EXPECTED, f"one that cannot be read ({found})", path=name) from None


def _check_whole(notes: str, path: str) -> None:
    """Refuses a wav that lost its end, or of which its header tells a part; ``notes`` are those of libsndfile."""
    cut, left = _CUT_OFF.search(notes), _LEFT_OVER.search(notes)
    if cut is not None and UNKNOWN_SIZE[0] < int(cut[1]) < UNKNOWN_SIZE[1]:
        raise DataError("a whole wav file", f"{cut[2]} of its {cut[1]} bytes; fetch it again", path=path)
    if left is not None and int(left[1]) - int(left[2]) > MOST_LEFT_OVER:
        found = f"a header that tells of {left[2]} of its {left[1]} bytes; fetch it again"
        raise DataError("a whole wav file", found, path=path)


def _channels(samples: Any, before: int, rate: int) -> NDArray[np.float32]:
    """``[N, channels]``."""
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf" or array.shape[1:] == (0,):
        raise DataError("samples [N] or [N, channels] of numbers", f"{array.dtype} of shape {list(array.shape)}")
    floats = _as_floats(array.reshape(len(array), -1 if array.size else 1))
    _check_finite(floats, before, rate, None)
    return floats


def _as_floats(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers from −1 to 1; those of 8 bits have no sign, as in a wav."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return ((samples - half if samples.dtype.kind == "u" else samples) / half).astype(np.float32)


def _mixed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """``[N, channels]`` → ``[N]``, their mean."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(1, dtype=np.float32)


def _check_finite(samples: NDArray[np.float32], before: int, rate: int, path: str | None) -> None:
    if not np.isfinite(samples).all():
        place, column = np.argwhere(~np.isfinite(samples))[0].tolist()
        found = f"{samples[place, column]} at {(before + place) / rate:.3f} s"
        raise DataError("finite samples", found, path=path)
