"""The demo of speech: voices found, parted and joined; a small run of it on made voices; its picture."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from regard import ConfigError, Recording
from regard.cli import run
from regard.data import read
from regard.data.segments import Segment
from regard.demo import voices
from regard.demo.speech import build_mixes
from regard.demo.timeline import draw_timeline, on_grid
from regard.demo.voices import FLOOR, GAP, cut_by_text, fetch_voices, find_prompts, join, make_mixes, stretches

RATE = 8000


def hum(pitch, seconds):
    """A voice of sorts: harmonics that swell and fade."""
    times = np.arange(round(seconds * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * pitch * number * times) / number for number in (1, 2, 3, 5))
    return 0.2 * harmonics * (1 + 0.3 * np.sin(2 * np.pi * 4 * times))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two voices that say the same twelve texts, a file in a folder of its own, and what is no prompt."""
    place = tmp_path_factory.mktemp("voices")
    for voice, pitch in (("anna", 210), ("ben", 105)):
        for inner in ("digits", "silence"):
            (place / voice / inner).mkdir(parents=True)
        for number in range(40):
            quiet = np.zeros(round((0.1 + 0.01 * number) * RATE))
            text = np.concatenate([quiet, hum(pitch + number % 7, 0.6 + 0.02 * number), quiet])
            soundfile.write(place / voice / f"text-{number}.wav", text, RATE)
        soundfile.write(place / voice / "digits" / "1.wav", hum(pitch, 1), RATE)
        soundfile.write(place / voice / "digits" / "2.wav", hum(pitch, 0.2), RATE)
        soundfile.write(place / voice / "silence" / "5.wav", np.zeros(5 * RATE), RATE)
        soundfile.write(place / voice / "beep.wav", hum(1000, 1), RATE)
        soundfile.write(place / voice / "empty.wav", np.zeros(0), RATE)
        (place / voice / "notes.txt").write_text("no sound")
    return place


def test_prompts_are_found_and_parted_by_text(folder):
    prompts = find_prompts(folder)
    texts = {prompt.text for prompt in prompts if prompt.voice == "ben"}
    assert texts == {"digits/1", *(f"text-{number}" for number in range(40))}
    assert len(prompts) == 2 * len(texts)
    parts = cut_by_text(prompts)
    said = {name: {prompt.text for prompt in part} for name, part in parts.items()}
    assert min(map(len, said.values())) > 0
    assert sum(map(len, said.values())) == len(texts)
    assert sum(map(len, parts.values())) == len(prompts)


def test_a_folder_without_voices_is_told(tmp_path):
    (tmp_path / "anna").mkdir()
    with pytest.raises(ConfigError, match=r"each of at least two voices, got .* with 0"):
        find_prompts(tmp_path)


def test_too_few_names_are_told(folder, tmp_path):
    few = tmp_path / "few"
    for voice in ("anna", "ben"):
        (few / voice).mkdir(parents=True)
        shutil.copy(folder / voice / "text-1.wav", few / voice)
    with pytest.raises(ConfigError, match=r"files of more names, got in .* 2, of which by name . for train, . for dev"):
        build_mixes(few, {name: tmp_path / f"{name}.jsonl" for name in ("train", "dev", "test")})


def test_stretches_leave_ends_and_long_pauses_out():
    quiet = lambda seconds: np.full(round(seconds * RATE), 1e-4)  # noqa: E731
    parts = [quiet(0.5), hum(200, 1), quiet(0.2), hum(200, 1), quiet(0.4), hum(200, 0.5), quiet(1)]
    found = stretches(np.concatenate(parts).astype(np.float32), RATE)
    np.testing.assert_allclose(np.array(found) / RATE, [[0.5, 2.7], [3.1, 3.6]], atol=0.011)
    assert stretches(np.zeros(3, np.float32), RATE) == []


def test_a_mix_is_loud_where_its_segments_are_and_nowhere_else(folder):
    prompts = find_prompts(folder)
    mix = join(prompts, RATE, np.random.default_rng(0))
    assert [part.label for part in mix.segments] == [prompt.voice for prompt in prompts]
    assert [part.label for part in mix.said] == [prompt.text for prompt in prompts]
    count = len(mix.samples) // 80  # pieces of 10 ms
    inside = on_grid(mix.segments, count / 100) != ""
    level = 10 * np.log10(np.square(mix.samples[: count * 80].reshape(-1, 80)).mean(1))
    assert level[inside].min() > FLOOR + 10
    assert abs(np.median(level[~inside]) - FLOOR) < 1
    gaps = [after.start - part.end for part, after in zip(mix.segments, mix.segments[1:], strict=False)]
    assert GAP[0] - 0.02 <= min(gaps)
    assert max(gaps) <= GAP[1] + 0.02


def test_every_prompt_is_in_one_mix_and_the_same_seed_makes_the_same(folder):
    prompts = find_prompts(folder)
    mixes, again = (list(make_mixes(prompts, RATE, seconds=10, seed=3)) for _ in range(2))
    said = sorted(part.label for mix in mixes for part in mix.said)
    assert said == sorted(prompt.text for prompt in prompts)
    assert all((mix.samples == other.samples).all() for mix, other in zip(mixes, again, strict=True))


def test_voices_that_cannot_be_fetched_are_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert run(["demo", "speech", "--output", str(tmp_path / "demo")]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert "asterisk-core-sounds-en-wav" in told
    assert "No such file or directory: 'apt-get'" in told
    assert "give --data FOLDER" in told
    assert list(tmp_path.rglob("*.wav")) == []


def test_voices_are_fetched_once_with_what_debian_has(monkeypatch, tmp_path):
    """In the place of both programs, scripts that say what they are asked for and make what they would."""
    programs = tmp_path / "bin"
    programs.mkdir()
    asked = tmp_path / "asked"
    for name, makes in (("apt-get", "touch a_1.deb"), ("dpkg-deb", f"mkdir -p {voices.UNPACKED}/anna")):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {asked}\n{makes}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    found = fetch_voices(tmp_path / "data")
    assert [path.name for path in found.iterdir()] == ["anna"]
    assert fetch_voices(tmp_path / "data") == found
    fetched, unpacked = asked.read_text().splitlines()
    assert fetched.split() == ["apt-get", "download", *voices.PACKAGES]
    assert unpacked == "dpkg-deb -x a_1.deb ."
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["voices"]


def test_only_this_demo_takes_data(capsys, tmp_path):
    assert run(["demo", "label", "--data", str(tmp_path), "--output", str(tmp_path / "demo")]) == 1
    assert capsys.readouterr().err == "regard: data: the label demo brings its own; leave it out\n"


def test_the_demo_runs_and_starts_at_once_the_second_time(capsys, tmp_path, folder):
    output = tmp_path / "demo"
    command = ["demo", "speech", "--quick", "--epochs", "1", "--data", str(folder), "--output", str(output)]
    assert run(command) == 0
    first = capsys.readouterr().out
    for text in ("identification", "majority label", "s  ", "right in", "timeline.png", "next: regard predict"):
        assert text in first
    assert {"README.md", "model.safetensors", "loss.png", "timeline.png"} <= {path.name for path in output.iterdir()}
    rows = [json.loads(line) for line in (output / "data" / "test.jsonl").read_text().splitlines()]
    assert {label for row in rows for _, _, label in row["segments"]} == {"anna", "ben"}
    assert len(read(output / "data" / "test.jsonl", goal="segments", items="recordings")) == len(rows)
    assert run(command) == 0
    second = capsys.readouterr().out
    assert second.splitlines()[1:] == first.splitlines()


def test_a_picture_has_the_colours_of_its_labels(tmp_path):
    recording = Recording.from_samples(hum(200, 2).astype(np.float32), RATE)
    true, heard = [Segment(0.0, 2.0, "anna")], [Segment(0.0, 1.0, "anna"), Segment(1.0, 2.0, "ben")]
    band = np.full((50, 5), 0.2, np.float32)
    draw_timeline(tmp_path / "a.png", recording, {"true": true, "heard": heard}, band, seconds=0.04, left=2)
    picture = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    colours = {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}
    assert {(31, 119, 180), (255, 127, 14), (34, 34, 34)} <= colours  # anna, ben, and where the two differ
    assert on_grid(heard, 2.0).tolist() == ["anna"] * 100 + ["ben"] * 100
