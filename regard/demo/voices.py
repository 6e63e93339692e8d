"""Recordings of several voices: fetched, parted by what is said, and joined into mixes of which the truth is known."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.data.segments import Segment
from regard.errors import ConfigError, DataError
from regard.files import SOUND_ENDINGS, atomic_write
from regard.front_ends.audio.features import MOST_RATE
from regard.recording import EMPTY, Recording, libraries

PACKAGES = tuple(f"asterisk-core-sounds-{language}-wav" for language in ("en", "es", "fr", "it", "ru"))
UNPACKED = "usr/share/asterisk/sounds"
# Tones, and apes, which are the same whoever speaks beside them.
NO_SPEECH = {
    "ascending-2tone",
    "beep",
    "beeperr",
    "confbridge-join",
    "confbridge-leave",
    "descending-2tone",
    "silence",  # a folder
    "tt-monkeys",
}
SHORTEST = 0.3  # seconds of a prompt
STEP, QUIET, PAUSE = 0.01, 30.0, 0.3  # seconds; dB below the loud parts; seconds from which on it is silence
GAP = (0.1, 1.5)  # seconds between two prompts
LOUDNESS = (-9.0, 0.0)  # dB by which prompts are changed
FLOOR = -50.0  # dB of the noise under all, so that silence is no row of zeros, nor as each voice's own recorder left it


@dataclass(frozen=True)
class Prompt:
    """A sound file of one voice.

    Arguments:
        voice: the folder that it lies in.
        text: its path in that folder, without an ending, which tells what is said.
        recording: of it.
    """

    voice: str
    text: str
    recording: Recording


@dataclass(frozen=True)
class Mix:
    """Prompts one after another.

    Arguments:
        samples: ``[N]``.
        segments: where there is sound, labelled by voice.
        said: the same, labelled by the text of the prompt.
    """

    samples: NDArray[np.float32]
    segments: list[Segment]
    said: list[Segment]


def fetch_voices(folder: Path) -> Path:
    """The folder in which Debian's packages of Asterisk's voices are, a folder for each; fetched the first time.

    Raises:
        ConfigError: that does not work here, and what to do.
    """
    voices = folder / "voices"
    if voices.is_dir():
        return voices
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        try:
            _run("apt-get", "download", *PACKAGES, place=place)
            for package in sorted(Path(place).glob("*.deb")):
                _run("dpkg-deb", "-x", package.name, ".", place=place)
            os.replace(Path(place, UNPACKED), voices)
        except (OSError, subprocess.CalledProcessError) as error:
            said = ((getattr(error, "stderr", None) or "").strip() or str(error)).splitlines()[-1]
            raise ConfigError(
                f"the demo's data, Debian's packages {' '.join(PACKAGES)}, cannot be fetched here ({said}); give "
                "--data FOLDER: their sounds, unpacked, or a folder of your own with a folder of sound files for each "
                "voice"
            ) from None
    return voices


def _run(*command: str, place: str) -> None:
    subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)


def find_prompts(folder: Path) -> list[Prompt]:
    """All sound files below the folders of voices, but for the shortest, and what is known to be no speech.

    Raises:
        ConfigError: there are fewer than two voices.
    """
    prompts = []
    for path in sorted(folder.glob("*/**/*")):
        voice, *inner = path.relative_to(folder).with_suffix("").parts
        if path.suffix.lower() not in SOUND_ENDINGS or NO_SPEECH & set(inner):
            continue
        recording = _opened(path)
        if recording is not None and recording.seconds >= SHORTEST:
            prompts.append(Prompt(voice, "/".join(inner), recording))
    voices = {prompt.voice for prompt in prompts}
    if len(voices) < 2:
        raise ConfigError(
            f"data: a folder with a folder of sound files for each of at least two voices, got {folder} with "
            f"{len(voices)}"
        )
    return prompts


def _opened(path: Path) -> Recording | None:
    """None for a file without a sample, of which Debian's packages have one."""
    try:
        return Recording.from_file(path)
    except DataError as error:
        if error.found != EMPTY:
            raise
        return None


def part_of(text: str) -> str:
    """ "test" for two of ten texts, "dev" for one, "train" for the rest: the SHA-256 says so, which never changes."""
    place = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10
    return "test" if place < 2 else "dev" if place == 2 else "train"


def cut_by_text(prompts: Iterable[Prompt]) -> dict[str, list[Prompt]]:
    """The prompts of each part; no text is in two of them, whoever says it."""
    parts: dict[str, list[Prompt]] = {"train": [], "dev": [], "test": []}
    for prompt in prompts:
        parts[part_of(prompt.text)].append(prompt)
    return parts


def stretches(samples: NDArray[np.float32], rate: int) -> list[tuple[int, int]]:
    """Where there is sound, first sample and the one after the last.

    What is 30 dB below the loud parts of the recording is quiet; where it is so for 0.3 s, or at an end, it is silence.
    Shorter pauses belong to what is said, as the evaluations of NIST have it.
    """
    size = round(STEP * rate)
    pieces = samples[: len(samples) // size * size].reshape(-1, size)
    if not len(pieces):
        return []
    level = 10 * np.log10(np.square(pieces).mean(1) + 1e-10)  # dB
    loud = np.flatnonzero(level > np.percentile(level, 95) - QUIET)
    after = np.flatnonzero(np.diff(loud) > PAUSE / STEP)
    firsts, lasts = loud[np.append(0, after + 1)], loud[np.append(after, len(loud) - 1)]
    return [(int(first) * size, int(last + 1) * size) for first, last in zip(firsts, lasts, strict=True)]


def common_rate(prompts: Sequence[Prompt]) -> int:
    """The rate that most of them have, Hz."""
    rates = Counter(prompt.recording.rate for prompt in prompts)
    return min(MOST_RATE, rates.most_common(1)[0][0])


def make_mixes(prompts: Sequence[Prompt], rate: int, *, seconds: float, seed: int) -> Iterator[Mix]:
    """All prompts in random order, in mixes that have about so many seconds of them."""
    draw = np.random.default_rng(seed)
    chosen: list[Prompt] = []
    for number in draw.permutation(len(prompts)):
        chosen.append(prompts[number])
        if sum(prompt.recording.seconds for prompt in chosen) >= seconds:
            yield join(chosen, rate, draw)
            chosen = []
    if chosen:
        yield join(chosen, rate, draw)


def join(prompts: Iterable[Prompt], rate: int, draw: np.random.Generator) -> Mix:
    """Prompts with silences between and around them.

    They are cut to where there is sound, so that the truth is not that a voice speaks where nothing is heard, and made
    quieter at random, with soft noise under all: neither loudness nor what a recorder leaves in silence tells a voice.
    """
    pieces = [_silence(rate, draw)]
    segments: list[Segment] = []
    said: list[Segment] = []
    for prompt in prompts:
        samples = prompt.recording.samples(rate)
        found = stretches(samples, rate)
        if not found:
            continue
        first, last = found[0][0], found[-1][1]
        before = sum(map(len, pieces)) - first
        for start, stop in found:
            times = (before + start) / rate, (before + stop) / rate
            segments.append(Segment(*times, prompt.voice))
            said.append(Segment(*times, prompt.text))
        gain = 10 ** (draw.uniform(*LOUDNESS) / 20)
        pieces += [samples[first:last] * np.float32(gain), _silence(rate, draw)]
    mixed = np.concatenate(pieces)
    noise = draw.normal(0, 10 ** (FLOOR / 20), len(mixed))
    return Mix((mixed + noise).astype(np.float32), segments, said)


def _silence(rate: int, draw: np.random.Generator) -> NDArray[np.float32]:
    return np.zeros(round(draw.uniform(*GAP) * rate), np.float32)


def write_mixes(mixes: Iterable[Mix], rate: int, manifest: Path) -> None:
    """A wav for each mix in a folder called as the manifest, which has a line for each with its segments, JSONL."""
    (soundfile,) = libraries("soundfile")
    folder = manifest.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(manifest) as file:
        for number, mix in enumerate(mixes, start=1):
            name = f"{folder.name}/mix-{number:03}.wav"
            soundfile.write(manifest.parent / name, mix.samples, rate, subtype="PCM_16")
            row = {"audio": name, "segments": _rounded(mix.segments), "said": _rounded(mix.said)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rounded(segments: Iterable[Segment]) -> list[Segment]:
    """To milliseconds."""
    return [Segment(round(start, 3), round(end, 3), label) for start, end, label in segments]
