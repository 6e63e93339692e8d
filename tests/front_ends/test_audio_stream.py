"""Sound piece by piece: the rows that become vectors are those of the whole recording, each as soon as it can be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_audio import noise, options

from regard import ConfigError, DataError, Recording
from regard.front_ends.audio import learn
from regard.ragged import Ragged
from regard.recording import Resampler

often = settings(deadline=None, max_examples=100, derandomize=True)


def front_end(**given):
    return learn([noise(2.0), noise(1.0, seed=2)], options(**given)).eval()


def whole(audio, recording):
    """As `Audio.forward` makes them."""
    return audio.stacked(audio.normalized(Ragged.from_list([torch.from_numpy(audio.frames(recording))]))).values


def cut(samples, cuts):
    return np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))


CHOICES = {
    "normalize": st.sampled_from(["training", "running"]),
    "subsample": st.integers(1, 5),
    "sample_rate": st.sampled_from([None, 4000, 11025]),
    "features": st.sampled_from(["log-mel", "mfcc"]),
}


@often
@given(
    given=st.fixed_dictionaries(CHOICES),
    rate=st.sampled_from([8000, 6000, 16000, 44100]),
    length=st.one_of(st.integers(1, 200), st.integers(1, 40_000)),
    cuts=st.lists(st.integers(0, 40_000), max_size=8),
    integers=st.booleans(),
)
def test_pieces_make_the_rows_of_the_whole(given, rate, length, cuts, integers):
    audio = front_end(bins=20, **given)
    samples = np.random.default_rng(length).normal(0, 3000, length).astype(np.int16)
    if not integers:
        samples = samples.astype(np.float32) / 2**15
    stream = audio.stream(rate)
    rows = torch.cat([*map(stream.push, cut(samples, cuts)), stream.close()])
    recording = Recording.from_samples(samples, rate)
    assert len(rows) == audio.count(recording)
    torch.testing.assert_close(rows, whole(audio, recording), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalize", ["training", "running", "utterance"])
@pytest.mark.parametrize("cached", [False, True])
def test_a_long_recording_is_read_in_pieces(normalize, cached, tmp_path):
    audio = front_end(normalize=normalize, subsample=3, feature_cache=str(tmp_path) if cached else None)
    recording = noise(33.1, seed=3)
    pieces = list(audio.pieces(recording))
    assert max(map(len, pieces)) <= 334
    torch.testing.assert_close(torch.cat(pieces), whole(audio, recording), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("wanted", "rate"), [(8000, 16000), (16000, 8000), (11025, 44100), (16000, 22050)])
def test_samples_at_another_rate_do_not_depend_on_the_pieces(wanted, rate):
    samples = np.random.default_rng(rate).normal(0, 0.1, rate + 123).astype(np.float32)
    single = Resampler(rate, wanted)
    expected = np.concatenate([single.push(samples), single.close()])
    assert len(expected) == round(len(samples) * wanted / rate)
    for size in (1, 37, 800):
        resampler = Resampler(rate, wanted)
        pieces = [*np.split(samples[: 10 * size], 10), samples[10 * size :]]
        found = np.concatenate([*map(resampler.push, pieces), resampler.close()])
        np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("subsample", [1, 2, 4])
def test_a_row_comes_as_soon_as_its_samples_are_there(subsample):
    audio = front_end(subsample=subsample)
    before, after = audio.context()
    assert before == after == pytest.approx(0.0075 + subsample * 0.01)
    stream, came = audio.stream(8000), 0
    for number in range(1, 300):
        came += len(stream.push(np.zeros(40, np.float32)))
        heard = number * 40 / 8000
        assert came == max(0, int((heard - after) / audio.seconds + 1e-9))


def test_what_is_remembered_does_not_grow():
    audio = front_end(normalize="running", sample_rate=16000)
    stream = audio.stream(8000)
    block = np.zeros(40_000, np.int16)
    for _ in range(20):
        stream.push(block)
    assert len(stream._stack._held) < 3 * audio.subsample
    assert len(stream._stack._normalize._last) == 999


def test_nothing_makes_nothing():
    stream = front_end().stream()
    assert stream.push(np.zeros(0, np.int16)).shape == (0, 240)
    assert stream.close().shape == (0, 240)


def test_what_cannot_be_a_stream():
    with pytest.raises(ConfigError, match=r"^normalize: utterance scales by the whole recording.*running$"):
        front_end(normalize="utterance").stream()
    with pytest.raises(DataError, match="expected a rate in Hz"):
        front_end().stream(0)
    stream = front_end().stream(8000)
    stream.push(np.zeros((8000, 2), np.float32))
    with pytest.raises(DataError, match=r"finite samples, found nan at 1\.001 s"):
        stream.push(np.array([0] * 8 + [np.nan], np.float32))
    with pytest.raises(DataError, match=r"samples \[N\] or \[N, channels\] of numbers, found <U1"):
        stream.push(["a"])
