"""The `audio` front end: recordings → frames of log-mel energies or cepstra → vectors, by a strided convolution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ModelError
from regard.front_ends import Options
from regard.front_ends.audio.augment import Noise, draw_speeds, mask_bands_and_times
from regard.front_ends.audio.cache import Cache
from regard.front_ends.audio.features import MOST_RATE, Settings, frames_of
from regard.front_ends.audio.normalize import REACH, running, utterance
from regard.front_ends.audio.stream import AudioStream, pieces_of
from regard.front_ends.stored import are_numbers, check_vocabulary
from regard.front_ends.windows import windows
from regard.nn import Dropout
from regard.ragged import Ragged, beside, offsets_of, on_device, on_host
from regard.recording import Recording

SPAN = 0.2  # seconds that a network is to guess together: less can be told from the frames around it
LEARNT = 3600.0  # seconds of training data, spread over all, that the mean is taken of


@dataclass(frozen=True, eq=False)
class AudioInputs:
    """Frames ``[F, bins]`` of recordings, and how many times as fast each was played, ``[B]``."""

    frames: Ragged
    speeds: Tensor

    to = on_device


class Audio(nn.Module):
    """Recordings → vectors ``[T, dim]``, one for each ``subsample`` frames: a strided convolution over the frames.

    Vector t is ``W [x_{t·s−s}; …; x_{t·s+2s−1}] + b`` with ``s = subsample``, those of the s frames that it stands for
    and of as many before and after them, where the first and the last frame are repeated at the ends.

    Arguments:
        settings: of the frames.
        mean, std: ``[bins]`` each, of the frames of training data, by which all are scaled.
        dim: width of the vectors out.
        subsample: frames that become one vector.
        normalize: "training", by that alone; "utterance", by mean and deviation of each recording too; "running", by
            those of what has come so far, see :func:`running`.
        dropout: on the vectors out.
        mask: how much of the frames is hidden in training; see :func:`mask_bands_and_times`.
        speed: by which share training recordings are made faster or slower.
        noise: "white", or a folder of recordings, which are mixed into training recordings; None for none.
        cache: a folder that frames are kept in; None for none.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        settings: Settings,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        dim: int,
        subsample: int = 1,
        normalize: str = "training",
        dropout: float = 0.0,
        mask: float = 0.0,
        speed: float = 0.0,
        noise: str | None = None,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self.settings, self.subsample, self.normalize = settings, subsample, normalize
        self.project = nn.Linear(3 * subsample * settings.bins, dim)
        self.dropout = Dropout(dropout)
        self.mask, self.speed = mask, speed
        self.noise = None if noise is None else Noise(noise)
        self.cache = None if cache is None else Cache(cache)

    @property
    def seconds(self) -> float:
        """From one vector to the next."""
        return self.settings.seconds * self.subsample

    @property
    def span(self) -> int:
        """Vectors that a network is to guess together."""
        return max(1, round(SPAN / self.seconds))

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside options to frame and scale in the same way again, ready for JSON."""
        return {"sample_rate": self.settings.sample_rate, "mean": self.mean.tolist(), "std": self.std.tolist()}

    def count(self, recording: Recording) -> int:
        """How many vectors a recording becomes."""
        return -(-self.settings.count(recording.length_at(self.settings.sample_rate)) // self.subsample)

    def split(self, recording: Recording, longest: int) -> list[Recording]:
        """Overlapping parts of at most so many vectors."""
        parts = windows(self.count(recording), longest)
        return [recording.part(start * self.seconds, stop * self.seconds) for start, stop in parts]

    def names(self, recording: Recording) -> list[str]:
        """The time at which each vector's frames begin, in seconds of the file of which the recording may be a part."""
        return [f"{recording.start + number * self.seconds:.2f}" for number in range(self.count(recording))]

    def frames(self, recording: Recording) -> NDArray[np.float32]:
        """``[N, bins]``, of the recording as it is or as it was kept."""
        found = None if self.cache is None else self.cache.find(recording, self.settings)
        if found is None:
            found = frames_of(recording.blocks(self.settings.sample_rate), self.settings)
            if self.cache is not None:
                self.cache.keep(recording, self.settings, found)
        return found

    def encode(self, recordings: Sequence[Recording]) -> AudioInputs:
        """The frames of recordings as one batch, on the CPU; those that are learned from are changed first."""
        speeds, make = [1.0] * len(recordings), self.frames
        if self.training and self.speed:
            recordings, speeds = draw_speeds(recordings, self.speed)
        if self.training and self.noise is not None:
            make = self._noisy_frames
        frames = Ragged.from_list([torch.from_numpy(make(recording)) for recording in recordings])
        return AudioInputs(frames, torch.tensor(speeds, dtype=torch.float64))

    def _noisy_frames(self, recording: Recording) -> NDArray[np.float32]:
        assert self.noise is not None
        rate = self.settings.sample_rate
        return frames_of([self.noise.under(recording.samples(rate), rate)], self.settings)

    @property
    def size(self) -> int:
        """Of :meth:`numbers`."""
        return self.subsample * self.settings.bins

    def numbers(self, inputs: AudioInputs) -> Ragged:
        """``[T, subsample·bins]``, the frames that each vector stands for, brought to one scale."""
        stacked = self.stacked(self.normalized(inputs.frames))
        return stacked.with_values(stacked.values[:, self.size : 2 * self.size])

    def lengths(self, inputs: AudioInputs) -> list[int]:
        """How many vectors each recording becomes."""
        return self._counts(inputs.frames)

    def _counts(self, frames: Ragged) -> list[int]:
        found: list[int] = (-(-on_host(frames.offsets)[0].diff() // self.subsample)).tolist()
        return found

    def stream(self, rate: int | None = None) -> AudioStream:
        """What takes in a recording piece by piece, at a rate in Hz; that of the frames unless it is given.

        Raises:
            ConfigError: frames are scaled by the whole recording.
            DataError: a rate that is none.
        """
        return AudioStream(self, self.settings.sample_rate if rate is None else rate)

    def pieces(self, recording: Recording) -> Iterator[Tensor]:
        """What :meth:`vectors` takes, ``[n, 3·subsample·bins]`` each time, of a recording that is never held whole."""
        return pieces_of(self, recording)

    def context(self) -> tuple[float | None, float | None]:
        """Seconds that a vector hears before and after its own, which are :attr:`seconds` long; None for no end."""
        if self.normalize == "utterance":
            return None, None
        near = (self.settings.seconds * (2 * self.subsample - 1) + self.settings.frame_length * 0.001) / 2
        return near + (REACH - 1) * self.settings.seconds * (self.normalize == "running"), near

    def forward(self, inputs: AudioInputs) -> Ragged:
        """``[T, dim]``, a vector for each ``subsample`` frames."""
        frames = self.normalized(inputs.frames)
        if self.training and self.mask:
            frames = frames.with_values(mask_bands_and_times(frames, self.mask))
        stacked = self.stacked(frames)
        return stacked.with_values(self.vectors(stacked.values))

    def vectors(self, stacked: Tensor) -> Tensor:
        """``[T, 3·subsample·bins]`` → ``[T, dim]``."""
        vectors: Tensor = self.dropout(self.project(stacked))
        return vectors

    def scaled(self, frames: Tensor) -> Tensor:
        """``[F, bins]`` by mean and deviation of the training data."""
        return (frames - self.mean) / self.std

    def normalized(self, frames: Ragged) -> Ragged:
        """``[F, bins]`` by those, and by the recording's own where that is asked for."""
        frames = frames.with_values(self.scaled(frames.values))
        if self.normalize == "training":
            return frames
        return utterance(frames) if self.normalize == "utterance" else running(frames)

    def stacked(self, frames: Ragged) -> Ragged:
        """``[F, bins]`` → ``[T, 3·subsample·bins]``: the frames of each vector, and as many before and after them."""
        s, lengths, counts = self.subsample, frames.lengths, self._counts(frames)
        starts = beside(frames.values, offsets_of(counts))  # [B+1]
        owner = torch.repeat_interleave(starts.diff(), output_size=sum(counts))  # [T]
        place = torch.arange(len(owner), device=owner.device) - starts[owner]  # [T], of each vector in its recording
        around = torch.arange(-s, 2 * s, device=owner.device)
        index = (place[:, None] * s + around).clamp(min=0).minimum(lengths[owner][:, None] - 1)  # [T, 3s]
        rows = F.embedding(index + frames.offsets[owner][:, None], frames.values)  # [T, 3s, bins]
        return Ragged(rows.flatten(1), starts)


def learn(recordings: Iterable[Recording], options: Options) -> Audio:
    """With the rate that most training recordings have, and the mean and deviation of their frames."""
    held = list(recordings)
    rate = options.sample_rate
    if rate is None:
        rate = min(MOST_RATE, Counter(recording.rate for recording in held).most_common(1)[0][0])
    settings = _settings(rate, options)
    every = max(1, round(sum(recording.seconds for recording in held) / LEARNT))
    count, total, squares = 0, np.zeros(settings.bins), np.zeros(settings.bins)
    for recording in held[::every]:
        frames = frames_of(recording.part(0, LEARNT).blocks(rate), settings).astype(np.float64)
        count, total, squares = count + len(frames), total + frames.sum(0), squares + np.square(frames).sum(0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    return _made(settings, mean.tolist(), np.where(std > 1e-3, std, 1.0).tolist(), options)


def restore(vocabulary: dict[str, Any], options: Options) -> Audio:
    """With those of an earlier one."""
    check_vocabulary(
        vocabulary,
        sample_rate=("a number of Hz", lambda rate: type(rate) is int and 0 < rate < 10**7),
        mean=("a list of numbers", are_numbers),
        std=("a list of numbers above 0", lambda std: are_numbers(std) and min(std) > 0),
    )
    settings, mean, std = _settings(vocabulary["sample_rate"], options), vocabulary["mean"], vocabulary["std"]
    if not len(mean) == len(std) == settings.bins:
        raise ModelError(f"mean and std must have {settings.bins} bins, have {len(mean)} and {len(std)}")
    return _made(settings, mean, std, options)


def _settings(rate: int, options: Options) -> Settings:
    return Settings(rate, options.features, options.bins, options.frame_shift, options.frame_length)


def _made(settings: Settings, mean: Sequence[float], std: Sequence[float], options: Options) -> Audio:
    return Audio(
        settings,
        mean,
        std,
        dim=options.dim,
        subsample=options.subsample,
        normalize=options.normalize,
        dropout=options.dropout,
        mask=options.mask_frames,
        speed=options.speed,
        noise=options.noise,
        cache=options.feature_cache,
    )
