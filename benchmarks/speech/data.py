"""Asterisk's voices, fetched once into the temporary folder, or from the folder that REGARD_VOICES names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regard import Recording
from regard.data.segments import Segment
from regard.demo.voices import Prompt, cut_by_text, fetch_voices, find_prompts, join, make_mixes

RATE = 8000  # Hz, of all of them
Labelled = list[tuple[Recording, list[Segment]]]


def parted() -> dict[str, list[Prompt]]:
    """The prompts of train, dev and test, which share no text."""
    given = os.environ.get("REGARD_VOICES")
    folder = fetch_voices(Path(tempfile.gettempdir(), "regard-voices")) if given is None else Path(given)
    return cut_by_text(find_prompts(folder))


def alone(prompts: Sequence[Prompt], seed: int) -> list[tuple[Recording, str]]:
    """Each prompt by itself with its voice, treated as those of a mix are: cut, at any loudness, with soft noise."""
    draw = np.random.default_rng(seed)
    mixes = [join([prompt], RATE, draw) for prompt in prompts]
    return [(Recording.from_samples(mix.samples, RATE), mix.segments[0].label) for mix in mixes if mix.segments]


def mixed(*, seconds: float) -> dict[str, Labelled]:
    """Mixes of the prompts of train, dev and test, each of about so many seconds of them."""
    return {
        name: [
            (Recording.from_samples(mix.samples, RATE), mix.segments)
            for mix in make_mixes(prompts, RATE, seconds=seconds, seed=seed)
        ]
        for seed, (name, prompts) in enumerate(parted().items())
    }
