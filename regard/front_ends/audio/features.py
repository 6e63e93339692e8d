"""Frames of sound: log-mel energies or cepstra (MFCC) of short pieces that overlap, as samples come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.errors import ConfigError
from regard.recording import libraries

MOST_RATE = 16_000  # Hz that are kept unless asked for: speech holds little above half of it
MEL_BANDS = 40  # of which cepstra are made, at least
FULL_SCALE = 32768.0  # of samples, as Kaldi has them
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Settings:
    """What frames are made of.

    Arguments:
        sample_rate: Hz to which recordings are brought.
        features: "log-mel" or "mfcc".
        bins: mel bands, or cepstra.
        frame_shift: ms from one frame to the next.
        frame_length: ms that a frame sees.

    Raises:
        ConfigError: sizes that do not go together.
    """

    sample_rate: int
    features: str = "log-mel"
    bins: int = 40
    frame_shift: float = 10.0
    frame_length: float = 25.0

    def __post_init__(self) -> None:
        if self.shift < 1 or self.frame_length < self.frame_shift:
            raise ConfigError(
                f"frame_shift: at least one sample, and no more than a frame of {self.frame_length} ms is long; got "
                f"{self.frame_shift} ms at {self.sample_rate} Hz"
            )

    @property
    def shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_rate * self.frame_shift * 0.001)

    @property
    def seconds(self) -> float:
        """From one frame to the next."""
        return self.shift / self.sample_rate

    def count(self, samples: int) -> int:
        """Frames of so many samples: one for each ``shift``, around its middle; at least one."""
        return max(1, (samples + self.shift // 2) // self.shift)


class Frames:
    """The frames of one recording, ``[n, bins]`` each time: those that the samples so far are enough for.

    They are Kaldi's, without dither, mirrored at both ends; what comes in one block or in many gives the same.

    >>> settings = Settings(8000)
    >>> frames = Frames(settings)
    >>> len(frames.push(np.zeros(4000, np.float32))), len(frames.close()), settings.count(4000)
    (49, 1, 50)
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        (kaldi,) = libraries("kaldi_native_fbank")
        mfcc = settings.features == "mfcc"
        options = kaldi.MfccOptions() if mfcc else kaldi.FbankOptions()
        options.frame_opts.samp_freq = settings.sample_rate
        options.frame_opts.frame_shift_ms = settings.frame_shift
        options.frame_opts.frame_length_ms = settings.frame_length
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = False
        options.mel_opts.num_bins = max(MEL_BANDS, settings.bins) if mfcc else settings.bins
        if mfcc:
            options.num_ceps = settings.bins
        try:
            self._computer = kaldi.OnlineMfcc(options) if mfcc else kaldi.OnlineFbank(options)
        except ValueError as error:
            raise ConfigError(
                f"bins: so many bands of a frame of {settings.frame_length} ms at {settings.sample_rate} Hz are "
                f"narrower than it can tell apart, got {settings.bins} ({str(error).rstrip('.').lower()}); take fewer"
            ) from None
        self._samples = self._given = 0

    def push(self, samples: Array) -> Array:
        """Takes in samples ``[N]`` from −1 to 1 at the rate of the settings."""
        self._samples += len(samples)
        if len(samples):
            self._computer.accept_waveform(self.settings.sample_rate, samples * FULL_SCALE)
        return self._ready()

    def close(self) -> Array:
        """What was still waiting for samples that do not come."""
        short = self.settings.shift - self.settings.shift // 2 - self._samples
        if short > 0:  # less than makes a frame
            self.push(np.zeros(short, np.float32))
        self._computer.input_finished()
        return self._ready()

    def _ready(self) -> Array:
        ready = self._computer.num_frames_ready
        rows = [self._computer.get_frame(number) for number in range(self._given, ready)]
        frames = np.array(rows, np.float32).reshape(len(rows), self.settings.bins)
        self._computer.pop(ready - self._given)
        self._given = ready
        return frames


def frames_in_blocks(blocks: Iterable[Array], settings: Settings) -> Iterator[Array]:
    """The frames of samples that come in blocks, ``[n, bins]`` each time."""
    frames = Frames(settings)
    for block in blocks:
        yield frames.push(block)
    yield frames.close()


def frames_of(blocks: Iterable[Array], settings: Settings) -> Array:
    """All of them, ``[N, bins]``."""
    return np.concatenate([*frames_in_blocks(blocks, settings)])
