"""The audio front end: frames beside Kaldi's, in pieces and whole, vectors beside a convolution."""

from types import SimpleNamespace

import kaldi_native_fbank as kaldi
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import ConfigError, ModelError, Recording
from regard.front_ends.audio import Audio, learn, restore
from regard.front_ends.audio.augment import Noise, mask_bands_and_times
from regard.front_ends.audio.features import Frames, Settings, frames_of
from regard.front_ends.audio.normalize import running, utterance
from regard.ragged import Ragged

OPTIONS = {
    "dim": 16,
    "dropout": 0.0,
    "sample_rate": None,
    "features": "log-mel",
    "bins": 40,
    "frame_shift": 10.0,
    "frame_length": 25.0,
    "subsample": 2,
    "normalize": "training",
    "mask_frames": 0.0,
    "speed": 0.0,
    "noise": None,
    "feature_cache": None,
}


def options(**given):
    return SimpleNamespace(**(OPTIONS | given))


def noise(seconds, seed=1, rate=8000):
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))
    return Recording.from_samples(samples, rate)


@pytest.mark.parametrize("features", ["log-mel", "mfcc"])
@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_frames_are_kaldis(features, rate):
    samples = np.random.default_rng(1).normal(0, 0.1, rate + 77).astype(np.float32)
    bins = 40 if features == "log-mel" else 13
    mfcc = features == "mfcc"
    wanted = kaldi.MfccOptions() if mfcc else kaldi.FbankOptions()
    wanted.frame_opts.samp_freq, wanted.frame_opts.dither, wanted.frame_opts.snip_edges = rate, 0.0, False
    wanted.mel_opts.num_bins = 40
    if mfcc:
        wanted.num_ceps = 13
    computer = kaldi.OnlineMfcc(wanted) if mfcc else kaldi.OnlineFbank(wanted)
    computer.accept_waveform(rate, samples * 32768)
    computer.input_finished()
    rows = np.array([computer.get_frame(number) for number in range(computer.num_frames_ready)])
    np.testing.assert_array_equal(frames_of([samples], Settings(rate, features, bins)), rows)


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 3000), max_size=6), length=st.integers(0, 3000))
def test_pieces_make_the_frames_of_the_whole(cuts, length):
    settings = Settings(8000)
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    frames = Frames(settings)
    found = [frames.push(piece) for piece in np.split(samples, sorted(min(cut, length) for cut in cuts))]
    found = np.concatenate([*found, frames.close()])
    assert len(found) == settings.count(length)
    np.testing.assert_array_equal(found, frames_of([samples], settings))


def test_more_bands_than_a_frame_can_tell_apart():
    with pytest.raises(ConfigError, match=r"bins: .*narrower .* got 300"):
        Frames(Settings(8000, bins=300))
    with pytest.raises(ConfigError, match=r"frame_shift: .* got 30 ms at 8000 Hz"):
        Settings(8000, frame_shift=30)


@pytest.mark.parametrize("subsample", [1, 2, 4])
def test_vectors_are_a_strided_convolution(subsample):
    recordings = [noise(seconds, seed) for seed, seconds in enumerate((0.5, 0.013, 1.1, 0.004), 1)]
    front_end = learn(recordings, options(subsample=subsample)).eval()
    found = front_end(front_end.encode(recordings))
    assert found.lengths.tolist() == [front_end.count(recording) for recording in recordings]
    weight = front_end.project.weight.view(16, 3 * subsample, 40).transpose(1, 2)  # [dim, bins, kernel]
    for recording, vectors in zip(recordings, found.unbind(), strict=True):
        frames = (torch.from_numpy(front_end.frames(recording)) - front_end.mean) / front_end.std
        fill = -(-len(frames) // subsample) * subsample - len(frames) + subsample
        padded = torch.cat([frames[:1].repeat(subsample, 1), frames, frames[-1:].repeat(fill, 1)])
        wanted = torch.nn.functional.conv1d(padded.T[None], weight, front_end.project.bias, stride=subsample)[0].T
        torch.testing.assert_close(vectors, wanted[: len(vectors)], atol=1e-5, rtol=1e-5)


def test_the_scale_is_that_of_training_data():
    recordings = [noise(2, seed) for seed in (1, 2, 3)]
    front_end = learn(recordings, options())
    frames = np.concatenate([front_end.frames(recording) for recording in recordings])
    np.testing.assert_allclose(front_end.mean.numpy(), frames.mean(0), atol=1e-4)
    np.testing.assert_allclose(front_end.std.numpy(), frames.std(0), atol=1e-4)
    again = restore(front_end.vocabulary(), options()).eval()
    again.load_state_dict(front_end.state_dict())
    inputs = front_end.encode(recordings)
    torch.testing.assert_close(again(inputs).values, front_end.eval()(inputs).values, rtol=0, atol=0)


def test_the_rate_is_that_of_most_recordings():
    of = [noise(1, rate=44100), noise(1, rate=44100), noise(1, rate=8000)]
    assert learn(of, options()).settings.sample_rate == 16000
    assert learn(of[1:] + of[2:], options()).settings.sample_rate == 8000
    front_end = learn(of, options(sample_rate=8000))
    assert front_end.settings.sample_rate == 8000
    assert [front_end.count(recording) for recording in of] == [50, 50, 50]


def test_utterance_and_running_scale():
    frames = Ragged.from_list([torch.randn(1500, 3) * 2 + 1, torch.randn(1, 3), torch.randn(40, 3)])
    for part in utterance(frames).unbind()[::2]:
        torch.testing.assert_close(part.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(part.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    for whole, found in zip(frames.unbind(), running(frames).unbind(), strict=True):
        for row in {0, len(whole) // 2, len(whole) - 1}:
            seen = torch.cat([torch.zeros(100, 3), whole[max(0, row - 999) : row + 1]]).double()
            squares = (seen.square().sum(0) + 100) / len(seen)  # those before the first have deviation 1
            wanted = (whole[row] - seen.mean(0)) / (squares - seen.mean(0).square()).sqrt()
            torch.testing.assert_close(found[row], wanted.float(), atol=1e-5, rtol=1e-5)


def test_nothing_changes_outside_of_training_and_the_seed_tells_what_does():
    recordings = [noise(1, seed) for seed in (1, 2, 3, 4)]
    front_end = learn(recordings, options(mask_frames=1.0, speed=0.1, noise="white"))
    front_end.eval()
    plain = front_end.encode(recordings)
    assert plain.speeds.tolist() == [1.0] * 4
    np.testing.assert_array_equal(plain.frames.unbind()[1].numpy(), front_end.frames(recordings[1]))
    front_end.train()

    def drawn(seed):
        torch.manual_seed(seed)
        inputs = front_end.encode(recordings)
        return inputs.speeds, front_end(inputs).values

    (speeds, once), (_, again), (_, other) = drawn(1), drawn(1), drawn(2)
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert once.shape != other.shape or not torch.equal(once, other)
    assert set(speeds.tolist()) <= {0.9, 1.0, 1.1}


def test_masks_hide_bands_and_times_of_each_recording():
    frames = Ragged.from_list([torch.ones(length, 40) for length in (400, 3, 50)])
    torch.manual_seed(1)
    hidden = torch.stack([mask_bands_and_times(frames, 1.0) == 0 for _ in range(200)]).float().mean(0)
    for part in torch.split(hidden, [400, 3, 50]):
        assert 0.1 < part.mean() < 0.5
    assert (mask_bands_and_times(frames, 0.0) == 1).all()


def test_noise_lies_below_the_recording(tmp_path):
    samples = noise(1).samples()
    soundfile.write(tmp_path / "hum.wav", np.sin(np.arange(3000) / 5), 8000)
    for source in ("white", str(tmp_path)):
        drawn = Noise(source)
        torch.manual_seed(1)
        changed = [drawn.under(samples, 8000) - samples for _ in range(40)]
        levels = [-10 * np.log10(np.square(x).mean() / np.square(samples).mean()) for x in changed if x.any()]
        assert 8 < len(levels) < 32
        assert min(levels) > 4.9
        assert max(levels) < 30.1
    with pytest.raises(ConfigError, match="noise: white, or a folder with recordings in it, got 'nowhere'"):
        Noise("nowhere")


def test_frames_are_kept_and_made_again_where_anything_changed(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1).samples(), 8000)
    front_end = learn([Recording.from_file(path)], options(feature_cache=str(tmp_path / "cache")))
    first = front_end.frames(Recording.from_file(path))
    (kept,) = (tmp_path / "cache").rglob("*.safetensors")
    np.testing.assert_array_equal(front_end.frames(Recording.from_file(path)), first)
    whole = kept.read_bytes()
    flipped = whole[:-1000] + bytes([whole[-1000] ^ 16]) + whole[-999:]
    for damaged in (b"", whole[:50], whole[:-50], flipped):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(front_end.frames(Recording.from_file(path)), first)  # made again
        assert kept.read_bytes() == whole
    assert len(front_end.frames(Recording.from_file(path).part(0, 0.5))) == 50
    soundfile.write(path, noise(1.5, seed=2).samples(), 8000)
    assert len(front_end.frames(Recording.from_file(path))) == 150
    other = learn([Recording.from_file(path)], options(feature_cache=str(tmp_path / "cache"), features="mfcc", bins=13))
    assert other.frames(Recording.from_file(path)).shape == (150, 13)


def test_a_vocabulary_of_another_make_is_refused():
    whole = learn([noise(1)], options()).vocabulary()
    for change, message in (
        ({"mean": whole["mean"][:3]}, "must have 40 bins, have 3 and 40"),
        ({"sample_rate": 0}, "sample_rate of the vocabulary must be a number of Hz"),
        ({"std": [0.0] * 40}, "std of the vocabulary"),
    ):
        with pytest.raises(ModelError, match=message):
            restore(whole | change, options())


def test_parts_and_names():
    front_end = learn([noise(3)], options())
    recording = noise(3)
    parts = front_end.split(recording, 60)
    assert [front_end.count(part) for part in parts] == [60] * len(parts)
    assert front_end.names(recording)[:3] == ["0.00", "0.02", "0.04"]
    assert front_end.names(recording.part(0.5, 1.0))[:2] == ["0.50", "0.52"]
    assert len(front_end.names(recording)) == front_end.count(recording) == 150
    assert front_end.names(recording.part(1.0, 2.0).part(0.5, 1.0))[:2] == ["1.50", "1.52"]
    assert isinstance(front_end, Audio)
