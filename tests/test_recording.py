"""Recordings: what is read of files of every kind, whole and in part, sound and damaged."""

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import DataError, Recording
from regard.recording import BLOCK

KINDS = {"a.wav": "PCM_16", "b.wav": "PCM_U8", "c.wav": "PCM_24", "d.wav": "FLOAT", "a.flac": "PCM_16"}
KINDS |= {"a.ogg": "VORBIS"}


def tone(seconds=1.0, rate=8000, channels=1):
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 1200 * time)
    return np.stack([wave] * channels, 1).astype(np.float32)


def save(path, samples, rate=8000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_what_soundfile_reads(tmp_path, name, channels):
    path = save(tmp_path / name, tone(channels=channels), subtype=KINDS[name])
    wanted = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)
    recording = Recording.from_file(path)
    assert (recording.rate, recording.seconds, len(recording)) == (8000, 1.0, 8000)
    np.testing.assert_allclose(recording.samples(), wanted, atol=1e-7)


def test_mp3(tmp_path):
    recording = Recording.from_file(save(tmp_path / "a.mp3", tone(2)))
    assert abs(recording.seconds - 2) < 0.1
    assert len(recording.samples(16000)) == recording.length_at(16000)


@pytest.mark.parametrize("rate", [4000, 8000, 16000, 11025, 44100])
def test_another_rate_is_what_soxr_makes(tmp_path, rate):
    samples = tone(2.5 * BLOCK)  # more than one block
    recording = Recording.from_file(save(tmp_path / "a.wav", samples, subtype="FLOAT"))
    wanted = soxr.resample(samples[:, 0], 8000, rate)
    found = recording.samples(rate)
    assert len(found) == recording.length_at(rate) == round(len(samples) * rate / 8000)
    np.testing.assert_allclose(found[: len(wanted)], wanted[: len(found)], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(start=st.floats(0, 1.2), length=st.floats(0, 1.2))
def test_a_part_is_that_part(tmp_path_factory, start, length):
    samples = tone(1.0)[:, 0]
    path = save(tmp_path_factory.mktemp("part") / "a.wav", samples, subtype="FLOAT")
    first, last = round(start * 8000), round((start + length) * 8000)
    for recording in (Recording.from_file(path), Recording.from_samples(samples, 8000)):
        part = recording.part(start, start + length)
        np.testing.assert_array_equal(part.samples(), samples[first:last])
        np.testing.assert_array_equal(part.part(0, 0.1).samples(), samples[first:last][:800])


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8, np.float64])
def test_samples_of_every_type(kind):
    wave = tone()[:, 0]
    given = wave.astype(kind)
    if kind is not np.float64:
        half = 2.0 ** (8 * np.dtype(kind).itemsize - 1)
        given = (wave * half * 0.99 + (half if kind is np.uint8 else 0)).astype(kind)
    tolerance = 0.02 if kind is np.uint8 else 0.01
    np.testing.assert_allclose(Recording.from_samples(given, 8000).samples(), wave, atol=tolerance)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0), 8000, r"at least one, of numbers, found float64 of shape \[0\]"),
        (np.zeros((2, 2, 2)), 8000, r"shape \[2, 2, 2\]"),
        (np.array(["a"]), 8000, "<U1"),
        (np.array([0, np.nan]), 8000, "expected finite samples, found nan at 0.000 s"),
        (np.array([[0, 0], [0.5, -np.inf]]), 8000, "expected finite samples, found -inf at 0.000 s"),
        (np.zeros(8), 0, "expected a rate in Hz, a whole number from 100 to 10,000,000, found 0"),
        (np.zeros(8), 8000.5, "found 8000.5"),
    ],
)
def test_samples_that_are_none(samples, rate, message):
    with pytest.raises(DataError, match=message):
        Recording.from_samples(samples, rate)


def test_what_stands_in_a_header_is_held_to(tmp_path):
    path = save(tmp_path / "a.wav", tone())
    whole = path.read_bytes()
    cases = ((0, "format not recognised"), (30, "no 'data' chunk"), (5000, "found 4956 of its 16000 bytes"))
    for size, message in cases:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=f"a.wav: expected .*{message}"):
            Recording.from_file(path)
    path.write_bytes(whole[:40] + b"\x10\x27\0\0" + whole[44:])
    with pytest.raises(DataError, match=r"a.wav: expected a whole wav file, found a header that tells of 10000 of its"):
        Recording.from_file(path)
    path.write_bytes(whole + b"what a program left")
    assert len(Recording.from_file(path)) == 8000
    path.write_bytes(whole[:24] + b"\1\0\0\0" + whole[28:])
    with pytest.raises(DataError, match=r"a.wav: expected a rate in Hz, a whole number from 100 to .*, found 1$"):
        Recording.from_file(path)
    path.write_bytes(whole[:40] + b"\xff" * 4 + whole[44:])  # written to a pipe: nobody knew how long it would be
    assert len(Recording.from_file(path)) == 8000


@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])  # ogg tells no length: it is then shorter
def test_a_packed_file_that_is_cut_off(tmp_path, name):
    path = save(tmp_path / name, np.random.default_rng(1).normal(0, 0.1, 40000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a sound file|header says"):
        Recording.from_file(path).samples()


def test_numbers_that_are_not_finite_are_told_with_their_time(tmp_path):
    samples = tone()[:, 0]
    samples[4000] = np.nan
    recording = Recording.from_file(save(tmp_path / "a.wav", samples, subtype="FLOAT"))
    with pytest.raises(DataError, match=r"a.wav: expected finite samples, found nan at 0.500 s"):
        recording.samples()


def test_what_is_no_recording(tmp_path):
    (tmp_path / "a.wav").write_text("hello")
    save(tmp_path / "empty.wav", np.zeros(0))
    for name, message in (("a.wav", "format not recognised"), ("b.wav", "nothing of that name"), (".", "a folder")):
        with pytest.raises(DataError, match=message):
            Recording.from_file(tmp_path / name)
    with pytest.raises(DataError, match=r"empty.wav: expected a recording of at least one sample, found an empty one"):
        Recording.from_file(tmp_path / "empty.wav")


def test_a_recording_is_told_from_another(tmp_path):
    first, second = save(tmp_path / "a.wav", tone()), save(tmp_path / "b.wav", tone() * 0.9)
    one, other = Recording.from_file(first), Recording.from_file(second)
    moved = tmp_path / "moved.wav"
    moved.write_bytes(first.read_bytes())
    assert one.identity() == Recording.from_file(moved).identity() != other.identity()
    assert one.identity() != one.part(0, 0.5).identity()
    samples = [Recording.from_samples(tone() * scale, 8000) for scale in (1, 1, 0.9)]
    assert samples[0].identity() == samples[1].identity() != samples[2].identity()
