"""A recording that comes piece by piece, as the rows that become vectors: the same as of the whole recording.

What is remembered does not grow: samples that a frame or the resampler still needs, the frames that the next vector
shares with the last one, and with ``normalize="running"`` those that its mean is taken of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.front_ends.audio.features import Array, Frames, frames_in_blocks
from regard.front_ends.audio.normalize import Running, Whole
from regard.recording import Recording, Resampler, channel, checked_rate

if TYPE_CHECKING:
    from regard.front_ends.audio import Audio

AT_ONCE = 1000  # frames of a cache that are read at once


class AudioStream:
    """Samples of one recording, from −1 to 1 or integers as in a wav, to rows ``[n, 3·subsample·bins]``.

    Over all pieces the rows are those of :meth:`Audio.stacked`, each as soon as the samples that it is made of are
    there.

    Arguments:
        audio: the front end.
        rate: of the samples, Hz.

    Raises:
        ConfigError: frames are scaled by the whole recording.
        DataError: a rate that is none.
    """

    def __init__(self, audio: Audio, rate: int) -> None:
        if audio.normalize == "utterance":
            raise ConfigError(
                "normalize: utterance scales by the whole recording, which a stream does not have; "
                "train with normalize=training or running"
            )
        self.rate = checked_rate(rate)
        self._resampler = Resampler(self.rate, audio.settings.sample_rate)
        self._frames = Frames(audio.settings)
        self._stack = Stack(audio, None if audio.normalize == "training" else Running())

    def check(self, samples: Any) -> Array:
        """Samples ``[N]``, or ``[N, channels]`` which are mixed into one, of any number; None for nothing.

        Raises:
            DataError: another shape or type, or numbers that are not finite.
        """
        if samples is None:
            return np.zeros(0, np.float32)
        return channel(samples, self._resampler.taken, self.rate)

    def push(self, samples: Any) -> Tensor:
        """Takes in what :meth:`check` takes."""
        return self._stack.push(self._frames.push(self._resampler.push(self.check(samples))))

    def close(self) -> Tensor:
        """What was still waiting for samples that do not come; nothing where none came at all."""
        if not self._resampler.taken:
            return self._stack.close()
        rows = self._stack.push(self._frames.push(self._resampler.close()))
        return torch.cat([rows, self._stack.push(self._frames.close()), self._stack.close()])


class Stack:
    """Frames ``[n, bins]`` of one recording, scaled, to the rows of :meth:`Audio.stacked`.

    Arguments:
        audio: the front end.
        normalize: frames that were scaled by training data, by those of the recording too; None for no more.
    """

    def __init__(self, audio: Audio, normalize: Callable[[Tensor], Tensor] | None) -> None:
        self._audio, self._normalize = audio, normalize
        self._held = audio.mean.new_empty(0, len(audio.mean))  # from ``subsample`` before the next vector's first frame
        self._frames = 0  # that came

    def push(self, frames: Array) -> Tensor:
        """``[n, bins]`` → ``[n', 3·subsample·bins]``: those vectors that have all their frames now."""
        if not len(frames):
            return self._ready()
        scaled = self._audio.scaled(torch.from_numpy(frames).to(self._held.device))
        if self._normalize is not None:
            scaled = self._normalize(scaled)
        if not self._frames:
            self._held = scaled[:1].expand(self._audio.subsample, -1)
        self._frames += len(scaled)
        self._held = torch.cat([self._held, scaled])
        return self._ready()

    def close(self) -> Tensor:
        """Those that were waiting for frames that do not come, in the place of which the last one stands."""
        s = self._audio.subsample
        if self._frames:
            short = (1 - (-self._frames // s)) * s - self._frames
            self._held = torch.cat([self._held, self._held[-1:].expand(short, -1)])
        return self._ready()

    def _ready(self) -> Tensor:
        s, (F, bins) = self._audio.subsample, self._held.shape
        count = max(0, F // s - 2)
        if not count:
            return self._held.new_empty(0, 3 * s * bins)
        rows = self._held.unfold(0, 3 * s, s).transpose(1, 2).flatten(1)  # [count, 3s·bins]
        self._held = self._held[count * s :]
        return rows


def pieces_of(audio: Audio, recording: Recording) -> Iterator[Tensor]:
    """The rows of :meth:`Audio.stacked`, ``[n, 3·subsample·bins]`` each time, of a recording of any length."""
    normalize: Callable[[Tensor], Tensor] | None = None
    if audio.normalize == "running":
        normalize = Running()
    elif audio.normalize == "utterance":
        device = audio.mean.device
        normalize = Whole(audio.scaled(torch.from_numpy(frames).to(device)) for frames in _frames(audio, recording))
    stack = Stack(audio, normalize)
    for frames in _frames(audio, recording):
        yield stack.push(frames)
    yield stack.close()


def _frames(audio: Audio, recording: Recording) -> Iterator[Array]:
    """``[n, bins]`` each, of the recording as it is or as it was kept."""
    if audio.cache is None:
        return frames_in_blocks(recording.blocks(audio.settings.sample_rate), audio.settings)
    whole = audio.frames(recording)
    return iter(np.split(whole, range(AT_ONCE, len(whole), AT_ONCE)))
