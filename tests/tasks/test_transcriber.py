"""What is said and when: tones that spell strings, learned in seconds; real digits where they are there."""

import json
import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tones import RATE, manifest_in, played, strings

import regard
from regard import ConfigError, DataError, Transcriber
from regard.cli import run as command
from regard.decoding.ctc import Greedy, align, prefix_search
from regard.ragged import Ragged
from regard.tasks.fitting import change_window
from regard.tasks.transcribe.network import ctc_loss
from regard.tasks.transcribe.reader import TranscriptReader

ROOT = Path(__file__).parents[2]
DIGITS = ROOT.parent / "shared" / "data" / "spoken-digits"
SMALL = {"dim": 32, "depth": 1, "heads": 2, "dropout": 0.0}
SOUND = {"target_units": "symbols", "subsample": 4, "bins": 20}
QUICK = {"epochs": 12, "batch_tokens": 300, "average": 0, "learning_rate": 5e-3, "mask_frames": 0}


TRAIN = [(played(text, seed)[0], " ".join(text)) for seed, text in enumerate(strings(60, seed=1))]
DEV = strings(12, seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tones"
    Transcriber(**SMALL, **SOUND).fit(TRAIN, output=folder, **QUICK)
    return folder


def test_it_learns_and_comes_back_from_its_folder(run):
    model = regard.load(run)
    assert isinstance(model, Transcriber)
    heard = [played(text, seed=100 + number) for number, text in enumerate(DEV)]
    gold = [" ".join(text) for text in DEV]
    pairs = [(recording, text) for (recording, _), text in zip(heard, gold, strict=True)]
    assert model.predict([recording for recording, _ in heard]) == gold
    assert model.evaluate(pairs) == {"accuracy": 1.0, "exact": 1.0, "symbol_error": 0.0, "character_error": 0.0}
    assert set(json.loads((run / "scores.json").read_text())["scores"]) == {"regard", "most frequent"}
    assert "what is said, and when" in (run / "README.md").read_text()
    assert model.describe()["parts"].keys() == {"front_end", "encoder", "target"}


def test_symbols_are_told_with_their_times(run):
    recording, begins = played("ABBAC", seed=7)
    (answer,) = regard.load(run).answers(regard.data.read([recording], goal="target", labelled=False))
    assert answer["target"] == "A B B A C"
    assert answer["score"] <= 0
    np.testing.assert_allclose(answer["times"], begins, atol=0.25)
    assert json.loads(json.dumps(answer)) == answer


def test_several_are_ranked_by_their_probability(run):
    model = regard.load(run)
    recordings = [recording for recording, _ in TRAIN[:3]]
    (log_probs, *_), found = model.log_probs(recordings), model.candidates(recordings, beam=8, top=4)
    blank, text = model.network.blank, model.network.target.text
    wanted = prefix_search(log_probs, blank=blank, beam=8, n_best=4)
    assert [one[0] for one in found[0]] == [text(one.ids) for one in wanted]
    assert [one[1] for one in found[0]] == pytest.approx([one.log_prob for one in wanted], abs=1e-5)
    examples = regard.data.read(recordings, goal="target", labelled=False)
    answers = model.answers(examples, top=2)
    assert [len(answer["candidates"]) for answer in answers] == [2, 2, 2]
    assert [answer["candidates"][0]["target"] for answer in answers] == model.predict(recordings)
    with pytest.raises(ConfigError, match="top must be from 1 to beam"):
        model.answers(examples, beam=1, top=2)


def test_a_beam_of_one_is_greedy_alone_as_together_and_in_pieces(run):
    model = regard.load(run)
    recordings = [recording for recording, _ in TRAIN[:10]]
    together = model.predict(recordings, beam=1)
    assert together == [model.predict([recording], beam=1)[0] for recording in recordings]
    for text, log_probs in zip(together, model.log_probs(recordings), strict=True):
        stream = Greedy(blank=model.network.blank)
        pairs = [pair for row in log_probs for pair in stream.push(row[None])]
        ids = [symbol for symbol, _ in pairs]
        assert model.network.target.text(ids) == text
        assert [frame for _, frame in pairs] == align(log_probs, ids, blank=model.network.blank)


def test_the_loss_is_that_of_every_sequence_alone():
    generator = torch.Generator().manual_seed(0)
    lengths, sizes = [4, 6, 5], [2, 0, 3]
    scores = Ragged.from_lengths(torch.randn(15, 4, generator=generator), lengths)
    targets = Ragged.from_lengths(torch.tensor([1, 1, 2, 3, 1]), sizes)
    loss = ctc_loss(scores, targets, blank=0)
    alone = [
        ctc_loss(Ragged.from_list([part]), Ragged.from_list([ids]), blank=0)
        for part, ids in zip(scores.unbind(), targets.unbind(), strict=True)
    ]
    torch.testing.assert_close(loss, sum(alone))
    for part, ids, one in zip(scores.unbind(), targets.unbind(), alone, strict=True):
        found = prefix_search(part.log_softmax(1).numpy(), blank=0, beam=3000, n_best=3000)
        log_p = next(one.log_prob for one in found if one.ids == ids.tolist())
        assert float(one) == pytest.approx(-log_p, abs=1e-4)
    smooth = ctc_loss(scores, targets, blank=0, smoothing=0.25)
    all_of_them = -scores.values.log_softmax(1).mean(1).sum()
    torch.testing.assert_close(smooth, 0.75 * loss + 0.25 * all_of_them)


@pytest.fixture
def manifest(tmp_path):
    return manifest_in(tmp_path)


def test_a_target_that_does_not_fit_is_refused_with_its_line(manifest, run):
    soundfile.write(manifest.parent / "short.wav", np.zeros(1600), RATE)  # 20 frames, 5 vectors
    with manifest.open("a") as file:
        file.write(json.dumps({"audio": "short.wav", "text": "A B B C"}) + "\n")
    Transcriber(**SMALL, **SOUND).fit(manifest, epochs=1, mask_frames=0, speed=0.5)
    with manifest.open("a") as file:
        file.write(json.dumps({"audio": "short.wav", "text": "A B B B"}) + "\n")
    for call in (Transcriber(**SMALL, **SOUND).fit, regard.load(run).evaluate):
        with pytest.raises(
            DataError, match=r"list.jsonl:22: expected a target that takes at most the 5 vectors"
        ) as error:
            call(manifest)
        assert "found one of 4 symbols, which takes 6" in str(error.value)


def test_who_attends_to_whom(run, tmp_path):
    recording, _ = played("AB")
    maps = regard.load(run).attention(recording)
    assert maps.items[:3] == ["0.00", "0.04", "0.08"]
    assert maps[0].shape == (2, len(maps.items), len(maps.items))
    maps.save(tmp_path / "page.html")


def test_vectors_in_a_window_become_text():
    rng = np.random.default_rng(0)
    means = {"a": -2.0, "b": 2.0}

    def vectors(text):
        return np.concatenate(
            [rng.normal(0, 0.3, (rng.integers(3, 6), 3)) + means.get(x, 0) for x in f"-{'-'.join(text)}-"]
        )

    texts = ["a", "b", "ab", "ba", "aab", "bb"]
    pairs = [(vectors(text), text) for text in texts * 20]
    model = Transcriber(**SMALL, front_end="vectors", window=(4, 2)).fit(
        pairs, epochs=15, batch_tokens=200, average=0, learning_rate=5e-3
    )
    new = [vectors(text) for text in texts]
    assert model.predict(new) == texts
    (answer,) = model.answers(regard.data.read(new[:1], goal="target", labelled=False))
    assert all(isinstance(time, int) for time in answer["times"])
    assert model.predict([np.zeros((0, 3), np.float32)]) == [""]


@pytest.mark.skipif(not DIGITS.is_dir(), reason="no spoken digits at ../shared/data/spoken-digits")
def test_strings_of_real_digits(tmp_path):
    digit_strings = runpy.run_path(str(ROOT / "benchmarks" / "speech_data.py"))["digit_strings"]
    first, again = (digit_strings(DIGITS, tmp_path / name, range(5, 10), 12, seed=1) for name in ("a", "b"))
    assert first.read_text() == again.read_text()
    assert (tmp_path / "a" / "00007.wav").read_bytes() == (tmp_path / "b" / "00007.wav").read_bytes()
    examples = regard.data.read(first, goal="target", items="recordings")
    counts = [len(example.goal.split()) for example in examples]
    assert 3 <= min(counts) < max(counts) <= 9
    assert all(0.2 < example.items.seconds / count < 1.5 for example, count in zip(examples, counts, strict=True))
    model = Transcriber(**SMALL, target_units="symbols").fit(first, first, epochs=1)
    assert len(model.predict(first)) == 12


@pytest.mark.parametrize("units", ["characters", "subwords"])
def test_it_resumes_and_others_start_from_it(manifest, units, tmp_path):
    options = {**SMALL, **SOUND, "target_units": units, "subsample": 2, "subwords": 300}
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    Transcriber(**options).fit(manifest, manifest, whole, epochs=2, batch_tokens=200)

    def stopped(network, examples, **how):
        raise KeyboardInterrupt

    model = Transcriber(**options)
    model.score = stopped
    with pytest.raises(KeyboardInterrupt):
        model.fit(manifest, manifest, halves, epochs=2, batch_tokens=200)
    Transcriber(**options).fit(manifest, manifest, halves, epochs=2, batch_tokens=200, resume=True)
    for name, tensor in regard.load(whole).network.state_dict().items():
        assert torch.equal(tensor, regard.load(halves).network.state_dict()[name]), name
    started = Transcriber(pretrained=str(whole), target_units="symbols").fit(manifest, epochs=1)
    assert started.config.subsample == 2
    assert started.predict([TRAIN[0][0]])


@pytest.mark.parametrize("size", [1, 37, 640, 5000])
def test_a_stream_writes_what_the_whole_says(run, size):
    model = regard.load(run)
    change_window(model, window=(12, 4))
    recordings = [played(text, seed=number)[0] for number, text in enumerate(("ABBAC", "C", "BAB"))]
    answers = model.answers(regard.data.read(recordings, goal="target", labelled=False), beam=1)
    stream = model.stream(rate=RATE)
    for recording, answer in zip(recordings, answers, strict=True):  # one after the other
        samples = recording.samples()
        pieces = [samples[start : start + size] for start in range(0, len(samples), size)][: 400 if size == 1 else None]
        if size == 1:  # the rest at once
            pieces.append(samples[400:])
        found = [symbol for piece in pieces for symbol in stream.push(piece)] + stream.close()
        assert "".join(symbol.text for symbol in found) == answer["target"]
        np.testing.assert_allclose([symbol.start for symbol in found], answer["times"], atol=1e-3)


@pytest.mark.parametrize("text", ["ab é ba éé", "é", "ab\u20acé", "b"])
def test_a_stream_tells_whole_characters(text):
    """Of subwords of bytes, of which more than one may make a character."""
    pairs = [(np.zeros((40, 3), np.float32), text) for text in ("ab ba", "ba ab")] * 2
    model = Transcriber(**SMALL, front_end="vectors", target_units="subwords", subwords=262)
    model.fit(pairs, epochs=1, baselines="none")
    target, blank = model.network.target, model.network.blank
    ids = target.tokens(text)
    rows = torch.full((2 * len(ids), len(target.embedding.weight)), -9.0)
    rows[range(0, 2 * len(ids), 2), ids] = rows[1::2, blank] = 9.0
    for cut in (len(rows), len(rows) - 2):  # the second within the last character
        reader = TranscriptReader(model.network)
        found = [symbol for row in rows[:cut] for symbol in reader.push(row[None])] + reader.close()
        assert "".join(symbol.text for symbol in found) == target.text(ids[: cut // 2])
        assert all(first.start < second.start for first, second in pairwise(found))


def test_the_command_line_writes_as_sound_comes_in(run, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", played("ABBAC", seed=7)[0].samples(), RATE)
    assert command(["stream", str(run), str(tmp_path / "a.wav"), "--window", "12,4"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "".join(line["text"] for line in lines) == "A B B A C"
    assert all(line["start"] < line["end"] for line in lines)
    assert command(["stream", str(run), str(tmp_path / "a.wav")]) == 1  # no window: nothing is certain before the end
    assert "which has no end to the right" in capsys.readouterr().err


def test_a_long_recording_is_written_down_in_pieces(run, monkeypatch):
    model = regard.load(run)
    change_window(model, window=(12, 4))
    recording = played("ABBACCABAC" * 2, seed=3)[0]
    whole = model.log_probs([recording])[0]
    monkeypatch.setattr("regard.tasks.streams.WHOLE", 20)
    assert len(whole) > 20
    np.testing.assert_allclose(model.log_probs([recording])[0], whole, atol=1e-4)


def written_as_image(text, seed):
    """A line of which ``a`` is bright above, ``b`` below and ``c`` in both; its height differs."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 40, (draw.integers(6, 9), 4 * len(text)))
    for place, letter in enumerate(text):
        for row in {"a": (1,), "b": (4,), "c": (1, 4)}[letter]:
            pixels[row : row + 2, 4 * place : 4 * place + 2] = 255
    return pixels.astype(np.uint8)


def test_a_line_of_writing_is_read_from_left_to_right():
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abc"), draw.integers(2, 6))) for _ in range(60)]
    pairs = [(written_as_image(text, seed), text) for seed, text in enumerate(texts)]
    model = Transcriber(**SMALL, front_end="patches", patch_size=2).fit(pairs[:50], **{**QUICK, "epochs": 10})
    assert model.evaluate(pairs[50:], beam=1)["exact"] == 1.0
    (answer,) = model.answers(regard.data.read([pairs[50][0]], goal="target", items="images", labelled=False), beam=1)
    assert answer["times"] == pytest.approx([2 * place + 0.5 for place in range(len(texts[50]))], abs=1)
    (alone,) = model.log_probs([pairs[50][0]])
    assert len(alone) == 2 * len(texts[50])  # one for each column of patches
    front_end, network = model.network.front_end, model.network
    hidden = network.encoder(front_end(front_end.encode([regard.Image.from_pixels(pairs[50][0])])))
    columns = hidden.values.view(*hidden.grid[0].tolist(), -1).mean(0)
    np.testing.assert_allclose(network.log_probs(network.head(columns)).detach().numpy(), alone, atol=1e-5)
    with pytest.raises(DataError, match=r"at most the 4 vectors of its source, .*found one of 5 symbols"):
        model.evaluate([(written_as_image("ab", 0), "abcab")])
    with pytest.raises(ConfigError, match="class_token: it stands in no column of an image"):
        Transcriber(front_end="patches", class_token=True).fit(pairs, epochs=1)
