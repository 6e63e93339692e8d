"""Sound files for tests: tones that are easily told apart."""

import numpy as np
import soundfile

HZ = {"low": 300, "middle": 800, "high": 2000}


def tone(name, seconds=0.3, rate=8000, seed=0):
    """A tone of that name with a little noise, ``[N]``."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (HZ[name] * time + draw.random()))
    return (wave + draw.normal(0, 0.01, len(time))).astype(np.float32)


def save_tone(path, name, seconds=0.3, rate=8000, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(name, seconds, rate, seed), rate)
    return path


def save_classes(folder, count=6, seed=0):
    """``folder/low/0.wav`` and so on."""
    for name in HZ:
        for number in range(count):
            save_tone(folder / name / f"{number}.wav", name, 0.2 + 0.02 * number, seed=seed + number)
    return folder
