"""Asterisk's voices, fetched once into the temporary folder, or from the folder that REGARD_VOICES names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from regard import Recording
from regard.data.segments import Segment
from regard.demo.voices import Prompt, cut_by_text, fetch_voices, find_prompts, make_mixes

RATE = 8000  # Hz, of all of them
Labelled = list[tuple[Recording, list[Segment]]]


def parted() -> dict[str, list[Prompt]]:
    """The prompts of train, dev and test, which share no text."""
    given = os.environ.get("REGARD_VOICES")
    folder = fetch_voices(Path(tempfile.gettempdir(), "regard-voices")) if given is None else Path(given)
    return cut_by_text(find_prompts(folder))


def mixed(*, seconds: float) -> dict[str, Labelled]:
    """Mixes of the prompts of train, dev and test, each of about so many seconds of them."""
    return {
        name: [
            (Recording.from_samples(mix.samples, RATE), mix.segments)
            for mix in make_mixes(prompts, RATE, seconds=seconds, seed=seed)
        ]
        for seed, (name, prompts) in enumerate(parted().items())
    }
