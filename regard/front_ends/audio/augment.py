"""What is changed of recordings while a network learns: their speed, noise under them, bands and times that are hidden.

All randomness is PyTorch's, which a training seeds at every step, so that one that was resumed draws the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import ConfigError
from regard.files import SOUND_ENDINGS
from regard.ragged import Ragged, on_host, sent
from regard.recording import Recording

WHITE = "white"
NOISY_SHARE = 0.5  # of the recordings
QUIETEST, LOUDEST = 30.0, 5.0  # dB that noise lies below the recording
BAND_MASKS, BAND_SHARE = 2, 0.25  # how many are hidden, and the largest share of all bands that one hides
TIME_SHARE, TIME_MOST = 0.1, 40  # of a recording, and frames, that one mask hides at most
FRAMES_A_MASK = 200


def faster(recording: Recording, change: float) -> tuple[Recording, float]:
    """The recording slower by ``change``, as it is, or faster by it, each as likely; and its new speed.

    Ko et al. 2015, "Audio Augmentation for Speech Recognition": it is played at another rate, so that pitch moves too.
    """
    speed = 1.0 + change * (int(torch.randint(3, ())) - 1)
    return recording.at_speed(speed), speed


class Noise:
    """Mixes noise into half of the recordings, from 5 to 30 dB below them.

    Arguments:
        source: "white", or a folder of recordings, in which a place is drawn.

    Raises:
        ConfigError: a folder that there is not, or without recordings.
    """

    def __init__(self, source: str) -> None:
        self.files: list[Path] = []
        if source != WHITE:
            self.files = sorted(path for path in Path(source).rglob("*") if path.suffix.lower() in SOUND_ENDINGS)
            if not self.files:
                raise ConfigError(f"noise: white, or a folder with recordings in it, got '{source}'")

    def under(self, samples: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
        """Samples ``[N]`` with noise, or as they are."""
        if float(torch.rand(())) >= NOISY_SHARE or not len(samples):
            return samples
        noise = self._drawn(len(samples), rate)
        decibel = LOUDEST + (QUIETEST - LOUDEST) * float(torch.rand(()))
        power, own = float(np.square(noise).mean()), float(np.square(samples).mean())
        return samples + noise * np.float32((own / max(power, 1e-12)) ** 0.5 * 10 ** (-decibel / 20))

    def _drawn(self, length: int, rate: float) -> NDArray[np.float32]:
        if not self.files:
            return torch.randn(length).numpy()
        recording = Recording.from_file(self.files[int(torch.randint(len(self.files), ()))])
        start = float(torch.rand(())) * max(0.0, recording.seconds - length / rate)
        found = recording.part(start, start + length / rate + 1).samples(rate)
        return np.resize(found, length)  # again from its beginning where it is shorter


def mask_bands_and_times(frames: Ragged, strength: float) -> Tensor:
    """``[T, bins]`` with some bands and times of each recording at 0, which is the mean.

    Park et al. 2019, "SpecAugment", without warping; as many times as the recording is long.

    Arguments:
        strength: 1 hides up to a quarter of the bands twice, and up to 0.4 s every 2 s; 0.5 half as much.
    """
    (offsets,), bins = on_host(frames.offsets), frames.values.shape[1]
    lengths = offsets.diff()  # [B], on the CPU
    hidden = torch.zeros(frames.values.shape, dtype=torch.bool)
    places = torch.arange(len(hidden)) - offsets[:-1].repeat_interleave(lengths)  # [T]
    for _ in range(BAND_MASKS):
        first, last = _spans(torch.full_like(lengths, bins), strength * BAND_SHARE * bins)  # [B]
        band = torch.arange(bins)
        rows = (band >= first[:, None]) & (band < last[:, None])  # [B, bins]
        hidden |= rows.repeat_interleave(lengths, 0)
    for number in range(1 + int(lengths.max()) // FRAMES_A_MASK):
        widest = strength * (TIME_SHARE * lengths).clamp(max=TIME_MOST)
        first, last = _spans(lengths, widest * (lengths >= number * FRAMES_A_MASK))
        first, last = (x.repeat_interleave(lengths) for x in (first, last))
        hidden |= ((places >= first) & (places < last))[:, None]
    return frames.values.masked_fill(sent(hidden, frames.values.device), 0.0)


def _spans(lengths: Tensor, widest: Tensor | float) -> tuple[Tensor, Tensor]:
    """Where spans of random width, below ``widest``, begin and end in ``lengths`` ``[B]``."""
    width = (torch.rand(len(lengths)) * (widest + 1)).long().minimum(lengths)
    first = (torch.rand(len(lengths)) * (lengths - width + 1)).long()
    return first, first + width


def draw_speeds(recordings: Sequence[Recording], change: float) -> tuple[list[Recording], list[float]]:
    """Each recording at a speed of its own, see :func:`faster`."""
    changed = [faster(recording, change) for recording in recordings]
    return [recording for recording, _ in changed], [speed for _, speed in changed]
