"""Frames that are kept on disk: a file for each recording and its settings, so that others make others."""

from __future__ import annotations

import hashlib
import os
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from regard.files import atomic_write
from regard.front_ends.audio.features import Settings
from regard.recording import Recording

NAME, DIGEST = "frames", "sha256"


class Cache:
    """A folder of frames. What changed of a file on disk, or of the settings, makes other names.

    Arguments:
        folder: made where it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def find(self, recording: Recording, settings: Settings) -> NDArray[np.float32] | None:
        """The frames ``[N, bins]`` of a recording; None where they are not there, or damaged."""
        path = self._path(recording, settings)
        if path is None:
            return None
        try:
            kept = load(path.read_bytes())
            frames, digest = kept[NAME], kept[DIGEST]
        except (OSError, SafetensorError, KeyError):
            return None
        if not np.array_equal(digest, _digest(frames)):
            return None
        fits = frames.shape == (settings.count(recording.length_at(settings.sample_rate)), settings.bins)
        return frames if fits and frames.dtype == np.float32 else None

    def keep(self, recording: Recording, settings: Settings, frames: NDArray[np.float32]) -> None:
        """Writes them, whole or not at all."""
        path = self._path(recording, settings)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, binary=True) as file:
                file.write(save({NAME: frames, DIGEST: _digest(frames)}))

    def _path(self, recording: Recording, settings: Settings) -> Path | None:
        """None for what is not on disk."""
        if recording.path is None or recording.held is not None:
            return None
        about = os.stat(recording.path)
        parts = (os.path.realpath(recording.path), about.st_size, about.st_mtime_ns)
        whole = repr((parts, recording.rate, recording.first, recording.length, astuple(settings)))
        name = hashlib.sha256(whole.encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.safetensors"


def _digest(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(frames.tobytes()).digest(), dtype=np.uint8)
