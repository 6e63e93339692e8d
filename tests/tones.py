"""Strings of tones, a sound in which each symbol is a pitch."""

import json
import math

import numpy as np
import soundfile

from regard import Recording

RATE = 8000
TONES = {"A": 400, "B": 800, "C": 1600}  # Hz


def played(symbols, seed=0):
    """A recording with a tone for each symbol, and the times at which they begin."""
    rng = np.random.default_rng(seed)
    parts, begins = [], []
    for symbol in symbols:
        parts.append(rng.normal(0, 0.001, round(rng.uniform(0.1, 0.2) * RATE)))
        begins.append(sum(map(len, parts)) / RATE)
        places = np.arange(round(rng.uniform(0.15, 0.25) * RATE))
        parts.append(0.3 * np.sin(2 * math.pi * TONES[symbol] * places / RATE))
    parts.append(rng.normal(0, 0.001, 1000))
    return Recording.from_samples(np.concatenate(parts).astype(np.float32), RATE), begins


def strings(count, seed):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(TONES), rng.integers(1, 5))) for _ in range(count)]


def manifest_in(folder):
    """Twenty recordings, and the path of a list of them."""
    lines = []
    for number, text in enumerate(strings(20, seed=3)):
        soundfile.write(folder / f"{number}.wav", played(text, number)[0].samples(), RATE)
        lines.append(json.dumps({"audio": f"{number}.wav", "text": " ".join(text)}))
    path = folder / "list.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path
