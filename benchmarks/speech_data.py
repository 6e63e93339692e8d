"""Spoken digit strings, made of recordings of single digits, and a manifest of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000  # Hz, of all recordings of digits
LENGTHS = (3, 9)  # digits in a string
SILENCE = (0.05, 0.3)  # seconds before, between and after them


def digit_strings(source: Path, folder: Path, takes: Iterable[int], count: int, seed: int) -> Path:
    """Writes ``count`` strings of 3 to 9 digits, each said by one speaker, and gives the path of their manifest.

    Arguments:
        source: folder of ``DIGIT_SPEAKER_TAKE.wav``, 8 kHz, as the Free Spoken Digit Dataset has them.
        folder: where the recordings go, and ``manifest.jsonl``: an object a line with ``audio``, and ``text`` like
            "3 1 4".
        takes: which of them to join.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted, said = set(takes), defaultdict[str, list[Path]](list)
    for path in sorted(source.glob("*.wav")):
        _, speaker, take = path.stem.split("_")
        if int(take) in wanted:
            said[speaker].append(path)
    rng = np.random.default_rng(seed)
    manifest = folder / "manifest.jsonl"
    with manifest.open("w", encoding="utf-8") as file:
        for number in range(count):
            digits = said[sorted(said)[number % len(said)]]
            chosen = [
                digits[place] for place in rng.integers(len(digits), size=rng.integers(LENGTHS[0], LENGTHS[1] + 1))
            ]
            path = folder / f"{number:05d}.wav"
            soundfile.write(path, _joined(chosen, rng), RATE, subtype="PCM_16")
            text = " ".join(digit.name[0] for digit in chosen)
            file.write(json.dumps({"audio": path.name, "text": text}) + "\n")
    return manifest


def _joined(paths: list[Path], rng: np.random.Generator) -> np.ndarray:
    """The recordings with silences, which are faint noise, before, between and after them."""
    parts = [_silence(rng)]
    for path in paths:
        parts += [soundfile.read(path, dtype="float32")[0], _silence(rng)]
    return np.concatenate(parts)


def _silence(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 1e-4, round(rng.uniform(*SILENCE) * RATE)).astype(np.float32)
