"""Inputs as the page shows them: sound, images and rows of numbers, read back by libraries that we did not write."""

import io

import numpy as np
import pytest
from PIL import Image

from regard.viewer.page.axes import BANDS, as_png, audio_axis, image_axis, text_axis, vectors_axis


def tone(hertz, seconds=0.5, rate=8000, loud=0.5):
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32), rate


def test_sound_is_a_wav_that_others_read():
    soundfile = pytest.importorskip("soundfile")
    samples, rate = tone(440)
    axis = audio_axis(samples, rate, count=50, seconds=0.01, start=3.0)
    read, found = soundfile.read(io.BytesIO(axis.media), dtype="float32")
    assert found == rate
    np.testing.assert_allclose(read, samples, atol=1 / 32000)
    told = axis.meta("sound")
    assert (told["seconds"], told["start"], told["frequency"], told["channels"]) == (0.01, 3.0, 4000, 2 + BANDS)
    assert (told["media"], told["values"]) == ("media/sound", "values/sound")


@pytest.mark.parametrize("hertz", [250, 1000, 3000])
def test_a_tone_is_loudest_in_its_band(hertz):
    samples, rate = tone(hertz)
    rows = audio_axis(samples, rate, count=50, seconds=0.01).block(0, 0)
    mel = lambda f: 1127 * np.log1p(f / 700)  # noqa: E731
    band = rows[20:80, 2:].mean(0).argmax()
    assert band == pytest.approx(BANDS * mel(hertz) / mel(rate / 2), abs=3)
    assert rows[50, 2:].max() == pytest.approx(255, abs=10)  # as loud as a sine can be
    assert rows[50, :2].min() > 230  # the loudest above and below zero


@pytest.mark.parametrize(
    ("count", "seconds", "per"), [(30, 0.02, 4), (100, 0.01, 2), (360_000, 0.01, 1), (9, 0.001, 1)]
)
def test_few_positions_are_drawn_more_finely(count, seconds, per):
    axis = audio_axis(np.zeros(800, np.float32), 8000, count=count, seconds=seconds)
    assert axis.per == axis.meta("sound")["per"] == per
    assert axis.row_count == len(axis.rows) == count * per


def test_silence_and_nothing():
    quiet = audio_axis(np.zeros(800, np.float32), 8000, count=10, seconds=0.01)
    assert quiet.block(0, 0).max() == 0
    nothing = audio_axis(np.zeros(0, np.float32), 8000, count=0, seconds=0.01)
    assert nothing.block(0, 0).shape == (0, 2 + BANDS)


def test_rows_are_made_of_the_slices_that_are_asked_for():
    axis = vectors_axis(np.random.default_rng(2).normal(size=(5000, 3)).astype(np.float32))
    assert [axis.block(0, number).shape[0] for number in (0, 1)] == [4096, 904]
    np.testing.assert_array_equal(axis.block(3, 0), axis.rows.reshape(625, 8, 3).max(1))
    samples, rate = tone(600)
    sound = audio_axis(samples, rate, count=5000, seconds=0.0001)
    assert [len(sound.block(0, number)) for number in (0, 1)] == [4096, 904]
    assert len(sound.block(3, 0)) == 625


def test_an_image_is_a_png_of_its_pixels():
    pixels = np.random.default_rng(0).random((6, 8, 3), np.float32)
    axis = image_axis(pixels, grid=(3, 4), stride=2, before=1)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(axis.media))), np.rint(255 * pixels))
    assert axis.count == 13
    assert axis.meta("image")["grid"] == [3, 4]
    gray = np.asarray(Image.open(io.BytesIO(as_png(pixels[:, :, :1]))))
    assert gray.shape == (6, 8)
    five = np.asarray(Image.open(io.BytesIO(as_png(np.ones((2, 2, 5), np.float32)))))
    assert five.tolist() == [[255, 255], [255, 255]]


def test_values_are_read_back_within_a_step():
    values = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    axis = vectors_axis(values)
    read = axis.low + axis.block(0, 0) / 255 * (axis.high - axis.low)
    np.testing.assert_allclose(read, values, atol=0.51 * (axis.high - axis.low) / 255)
    assert vectors_axis(np.full((3, 2), 7, np.float32)).block(0, 0).max() == 0
    assert vectors_axis(np.array([[np.nan, 1.0]], np.float32)).high == 1.0


def test_answers_stand_beside_the_items():
    axis = text_axis(["a", "b"]).named(labels=["X", "Y"], scores=[0.5, 1.0], gold=["X", "X"])
    assert axis.meta("words") == {
        "kind": "text",
        "count": 2,
        "names": ["a", "b"],
        "labels": ["X", "Y"],
        "scores": [0.5, 1.0],
        "gold": ["X", "X"],
    }


def test_from_afar_sound_is_as_loud_as_near():
    samples, rate = tone(440, seconds=2.0)
    samples[7000] = -1.0  # a click that no row may lose
    axis = audio_axis(samples, rate, count=400, seconds=0.005)
    near, far = axis.block(0, 0), axis.block(4, 0)
    assert far.shape == (25, 2 + BANDS)
    np.testing.assert_array_equal(far[:, :2], np.maximum.reduceat(near[:, :2], np.arange(0, 400, 16), axis=0))
    assert far[:, 1].argmax() == 175 // 16
    assert far[:, 1].max() == 255
    assert np.abs(far[0, 2:].astype(int) - near[:16, 2:].max(0)).max() < 60
