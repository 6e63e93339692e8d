"""`regard demo speech`: who of several voices speaks when, learned from mixes of their prompts, and a picture of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from regard.cli.report import print_table
from regard.data import read
from regard.data.segments import Segment
from regard.demo.common import name_next, train_once
from regard.demo.timeline import attention_band, draw_timeline, on_grid
from regard.demo.voices import common_rate, cut_by_text, fetch_voices, find_prompts, make_mixes, write_mixes
from regard.errors import ConfigError
from regard.recording import Recording
from regard.tasks import Labeler
from regard.tasks.run_folder import DATA, taken

PARTS = ("train", "dev", "test")
LENGTH = 60.0  # seconds of prompts in a mix
QUICK_EVERY = 10  # of so many prompts a quick demo takes one
SHOWN = 8  # segments to look at
NETWORK: dict[str, Any] = {"dim": 128, "depth": 3, "window": 64, "dropout": 0.1, "shortest": 0.2}
TRAINING: dict[str, Any] = {"batch_tokens": 2000, "average": 0.99}


def demo_speech(output: Path, *, epochs: int | None, quick: bool, data: Path | None = None) -> None:
    """Trains on mixes of prompts of telephone voices, and labels mixes of prompts that nobody said in training.

    ``data`` is a folder of one's own, with a folder of sound files for each voice.
    """
    parts = {name: output / DATA / f"{name}.jsonl" for name in PARTS}

    def fit(labeler: Labeler, *, resume: bool) -> None:
        with taken(output, resume=resume):
            folder = fetch_voices(output / DATA) if data is None else data
            build_mixes(folder, parts, every=QUICK_EVERY if quick else 1)
        passes = epochs if epochs is not None else 2 if quick else 8
        labeler.fit(parts["train"], parts["dev"], output, epochs=passes, resume=resume, **TRAINING)

    network = NETWORK | ({"dim": 32, "depth": 1} if quick else {})
    labeler = train_once(output, Labeler(front_end="audio", **network), fit)
    train, test = (list(read(parts[name], goal="segments", items="recordings")) for name in ("train", "test"))
    scores = {"regard": labeler.evaluate(test)} | labeler.baselines(train, test)
    print_table(f"who speaks when: scores on {parts['test']}, of which training never heard a text:", scores)
    path = _show(labeler, parts["test"], output)
    typer.echo(f"{output} holds the model, its card (README.md), the loss curve, the picture and the recordings")
    predict = f"regard predict {quote(str(output))} {quote(str(path))}"
    name_next(
        f"{predict}\n      regard evaluate {quote(str(output))} {quote(str(parts['test']))}", labeler, path, output
    )


def build_mixes(folder: Path, parts: dict[str, Path], *, every: int = 1) -> None:
    """Writes mixes of each part's own prompts, a wav each, and their segments as JSONL.

    Raises:
        ConfigError: the folder holds fewer than two voices, or too few prompts.
    """
    prompts = find_prompts(folder)
    rate, cut = common_rate(prompts), cut_by_text(prompts)
    for seed, (name, chosen) in enumerate(cut.items()):
        if not chosen:
            sizes = ", ".join(f"{len(part)} for {other}" for other, part in cut.items())
            raise ConfigError(f"data: files of more names, got in {folder} {len(prompts)}, of which by name {sizes}")
        write_mixes(make_mixes(chosen[::every], rate, seconds=LENGTH, seed=seed), rate, parts[name])


def _show(labeler: Labeler, manifest: Path, output: Path) -> Path:
    """The mix with the most voices: what was heard in it beside what was said, and all of it as a picture."""
    mixes = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    row = max(mixes, key=lambda row: len({voice for _, _, voice in row["segments"]}))
    path = manifest.parent / str(row["audio"])
    recording = Recording.from_file(path)
    true, said = ([Segment(*part) for part in row[name]] for name in ("segments", "said"))
    (heard,) = labeler.predict([path])
    typer.echo(f"who says what in {path}, the first {SHOWN} segments that were heard:")
    for part in heard[:SHOWN]:
        voice, text = (_most_of(part, segments) for segments in (true, said))
        verdict = "right" if part.label == voice else f"wrong, {voice or 'nobody'} speaks"
        typer.echo(f"  {part.start:6.2f} to {part.end:6.2f} s  {part.label}: “{text}”, {verdict}")
    same = on_grid(true, recording.seconds) == on_grid(heard, recording.seconds)
    typer.echo(f"  right in {100 * same.mean():.1f} % of its {recording.seconds:.0f} seconds")
    front_end: Any = labeler.network.front_end
    band, left = attention_band(labeler.network, recording)
    rows = {"true": true, "heard": heard}
    draw_timeline(output / "timeline.png", recording, rows, band, seconds=front_end.seconds, left=left)
    typer.echo(f"  the wave, who speaks, who is heard, and what attends to what: {output / 'timeline.png'}")
    return path


def _most_of(part: Segment, segments: Sequence[Segment]) -> str:
    """The label of the segment that shares the most time with a part, "" where none does."""
    shared = [(min(part.end, other.end) - max(part.start, other.start), other.label) for other in segments]
    time, label = max(shared, default=(0.0, ""))
    return label if time > 0 else ""
