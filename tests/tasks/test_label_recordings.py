"""A `Labeler` of recordings, from sound files and lists of segments to segments with times, by every road."""

import json

import numpy as np
import pytest
import soundfile

import regard
from regard import ConfigError, DataError, Labeler, Recording, UnsupportedError
from regard.cli import run as command
from regard.data.segments import Segment
from regard.tasks.label.options import LabelConfig
from regard.tasks.label.recordings import Timing

TINY = {"front_end": "audio", "dim": 16, "depth": 1, "heads": 2, "window": 8, "dropout": 0.0}
QUICK = {"epochs": 8, "piece": 2.0, "batch_tokens": 400, "average": 0, "learning_rate": 1e-2}
TONES = {"low": 300, "high": 1200}


def sound(parts, rate=8000, seed=1):
    """Noise, and tones for some seconds each; a label that is no tone is quiet."""
    rng, samples = np.random.default_rng(seed), []
    for seconds, label in parts:
        time = np.arange(round(seconds * rate)) / rate
        tone = np.sin(2 * np.pi * TONES[label] * time) if label in TONES else np.zeros(len(time))
        samples.append(0.2 * tone + rng.normal(0, 0.002, len(time)))
    return np.concatenate(samples)


def segments_of(parts):
    ends = np.cumsum([seconds for seconds, _ in parts]).round(3)
    starts = [0.0, *ends[:-1]]
    return [[float(s), float(e), x] for s, e, (_, x) in zip(starts, ends, parts, strict=True) if x in TONES]


def drawn(rng):
    return [(round(float(rng.uniform(0.3, 0.9)), 2), ["low", "high", ""][rng.integers(3)]) for _ in range(8)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with train.jsonl, dev.jsonl and their recordings, some at another rate."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(1)
    for name, count in (("train", 12), ("dev", 3)):
        rows = []
        for number in range(count):
            parts, rate = drawn(rng), 16000 if number % 3 == 2 else 8000
            soundfile.write(folder / f"{name}{number}.wav", sound(parts, rate), rate)
            rows.append({"audio": f"{name}{number}.wav", "segments": segments_of(parts)})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def trained(files):
    folder = files / "run"
    Labeler(**TINY).fit(files / "train.jsonl", files / "dev.jsonl", folder, **QUICK)
    return folder


def test_the_run_says_how_well_it_does(trained, files):
    scores = json.loads((trained / "scores.json").read_text())["scores"]
    model = regard.load(trained)
    assert model.labels == ["O", "high", "low"]
    assert scores["regard"] == model.evaluate(files / "dev.jsonl")
    errors = ["detection_error", "diarization_error", "identification_error"]
    assert list(scores["regard"]) == ["accuracy", "macro_f1", *errors]
    assert scores["regard"]["accuracy"] > 0.9
    assert scores["regard"]["identification_error"] < 0.2 < scores["majority label"]["identification_error"]
    assert "majority label" in (trained / "README.md").read_text()


def test_segments_come_out_where_they_were(trained):
    parts = [(0.5, ""), (0.6, "low"), (0.4, "high"), (0.3, "")]
    recording = Recording.from_samples(sound(parts, seed=2), 8000)
    model = regard.load(trained)
    (found,) = model.predict([recording])
    assert all(isinstance(part, Segment) for part in found)
    assert [part.label for part in found] == ["low", "high"]
    np.testing.assert_allclose([part[:2] for part in found], [[0.5, 1.1], [1.1, 1.5]], atol=0.07)
    ((again,),) = model.predict([(sound([(1.0, "low")]), 8000)])
    assert (again.start, again.end, again.label) == (0.0, 1.0, "low")


def test_answers_tell_how_sure_they_are_and_what_each_vector_is(trained, files):
    model = regard.load(trained)
    examples = regard.data.read(files / "dev.jsonl", goal="segments", items="recordings")
    plain, told = model.answers(examples), model.answers(examples, frames=True)
    for example, answer, more in zip(examples, plain, told, strict=True):
        assert set(answer) == {"segments", "scores"}
        assert len(answer["scores"]) == len(answer["segments"])
        assert all(0.3 < score <= 1 for score in answer["scores"])
        timing = Timing.of(model.network.front_end, example.items)
        assert more["step"] == 0.02
        assert more["labels"] == timing.labels([Segment(*part) for part in answer["segments"]])
        json.dumps(more)


def test_smoothing_is_an_option_of_every_road(trained, files):
    model = regard.load(trained)
    few = sum(map(len, model.predict(files / "dev.jsonl", shortest=1.0)))
    assert few < sum(map(len, model.predict(files / "dev.jsonl")))
    changed = model.evaluate(files / "dev.jsonl", smooth=3.0)
    assert changed["accuracy"] < model.evaluate(files / "dev.jsonl")["accuracy"]
    assert model.evaluate(files / "dev.jsonl", smooth=0.0, shortest=0.0) == model.evaluate(files / "dev.jsonl")
    model.config = model.config.model_copy(update={"smooth": 3.0})
    assert model.evaluate(files / "dev.jsonl") == changed
    with pytest.raises(ConfigError, match="smooth: seconds, from 0 to 3600, got -1"):
        model.predict(files / "dev.jsonl", smooth=-1)
    words = Labeler(dim=8, depth=0, heads=1).fit([(["a"], ["X"])] * 2, epochs=1, baselines="none")
    with pytest.raises(ConfigError, match="smooth: it smooths the labels of recordings, got front_end words"):
        words.predict([["a"]], smooth=0.1)


@pytest.mark.parametrize("speed", [0.0, 0.5])
def test_labels_go_with_vectors_at_any_speed(trained, speed):
    """Every vector of a tone is labelled as one, however fast it is played."""
    model = regard.load(trained)
    front_end = model.network.train().front_end
    front_end.speed = speed
    parts = [(0.5, ""), (0.6, "low"), (0.4, "high"), (0.313, "")]
    recording = Recording.from_samples(sound(parts), 8000)
    example = regard.data.Example(recording, [Segment(*part) for part in segments_of(parts)])
    speeds, own = set(), [part[2] for part in segments_of(parts)]
    for _ in range(12):
        batch = model.collate([example, example])
        assert len(batch.labels) == len(front_end(batch.inputs).values)
        names = [model.labels[row] for row in batch.labels]
        count = -(-int(batch.inputs.frames.lengths[0]) // front_end.subsample)
        speeds.add(float(batch.inputs.speeds[0]))
        for label, seconds in zip(own, (0.6, 0.4), strict=True):
            assert abs(names[:count].count(label) - seconds / 0.02 / float(batch.inputs.speeds[0])) <= 1
    assert speeds == ({1.0} if speed == 0 else {0.5, 1.0, 1.5})


def test_the_command_line(trained, files, tmp_path, capsys):
    def call(*arguments):
        assert command([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    model = regard.load(trained)
    wanted = model.predict(files / "dev.jsonl")
    lines = call("predict", trained, files / "dev.jsonl").splitlines()
    told = [json.loads(line)["predicted_segments"] for line in lines]  # beside the true ones
    assert told == [[list(part) for part in parts] for parts in wanted]
    assert json.loads(call("predict", trained, files / "dev1.wav"))["segments"] == [list(part) for part in wanted[1]]
    scores = json.loads(call("evaluate", trained, files / "dev.jsonl", "--json", "--smooth", 0.1, "--shortest", 0.1))
    assert scores == model.evaluate(files / "dev.jsonl", smooth=0.1, shortest=0.1, by_label=True)
    for name, format in (("told.rttm", "rttm"), ("told", "audacity"), ("told.parquet", "parquet")):
        call("predict", trained, files / "dev.jsonl", "--output-format", format, "--output", tmp_path / name)
    (tmp_path / "told.rttm").rename(files / "told.rttm")
    assert model.evaluate(files / "told.rttm")["detection_error"] < 0.01
    assert [path.name for path in sorted((tmp_path / "told").iterdir())] == ["dev0.txt", "dev1.txt", "dev2.txt"]
    assert len(call("predict", trained, files).splitlines()) == 15  # of the folder
    (tmp_path / "list.txt").write_text(f"{files / 'dev0.wav'}\n{files / 'dev2.wav'}\n")
    assert len(call("predict", trained, tmp_path / "list.txt").splitlines()) == 2
    soundfile.write(tmp_path / "short.wav", sound([(1.0, "low")]), 8000)
    call("view", trained, tmp_path / "short.wav", "--output", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert len(model.attention(tmp_path / "short.wav").items) == 50
    soundfile.write(tmp_path / "long.wav", sound([(7.0, "low")]), 8000)
    assert command(["view", str(trained), str(tmp_path / "long.wav"), "--save", str(tmp_path / "x.png")]) == 1
    assert "1 to 300 items, got 350; take a part of the sequence, of a recording by the" in capsys.readouterr().err
    call("view", trained, tmp_path / "long.wav", "--start", 0, "--end", 1, "--output", tmp_path / "part.html")
    assert (tmp_path / "part.html").read_text().replace("long.wav", "short.wav") == (tmp_path / "page.html").read_text()
    late = ["--start", "8", "-o", str(tmp_path / "x.html")]
    assert command(["view", str(trained), str(tmp_path / "long.wav"), *late]) == 1
    assert "expected a part of" in capsys.readouterr().err
    assert "low" in call("info", trained)


def test_silence_and_what_is_shorter_than_a_frame(trained):
    model = regard.load(trained)
    silent = [Recording.from_samples(np.zeros(length), 8000) for length in (8000, 100, 1)]
    for parts in model.predict(silent):
        assert all(0 <= part.start < part.end <= 1 for part in parts)
    scores = Labeler(**TINY).fit([(silent[0], []), (silent[0], [])], epochs=1, average=0).evaluate([(silent[0], [])])
    assert [scores.pop("accuracy"), scores.pop("macro_f1")] == [1.0, 1.0]
    assert set(scores.values()) == {0.0}


def test_labels_that_training_never_had(trained, files):
    model = regard.load(trained)
    rows = [(files / "dev0.wav", [[0.0, 1.0, "middle"]])]
    with pytest.raises(DataError, match=r"example 1: expected one of the 3 labels .*, found 'middle' at item 1"):
        model.evaluate(rows)
    model.config = model.config.model_copy(update={"unseen_labels": "count-wrong"})
    assert model.evaluate(rows)["identification_error"] >= 1


def test_a_training_stops_before_it_begins_without_the_library_of_scores(files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyannote.metrics", None)
    with pytest.raises(UnsupportedError, match="pip install"):
        Labeler(**TINY).fit(files / "train.jsonl", files / "dev.jsonl", **QUICK)


def test_a_recording_that_is_too_long_is_refused_in_prediction_and_cut_in_training(trained, files):
    model = Labeler(**(TINY | {"window": None}))
    long = [(files / "train0.wav", json.loads((files / "train.jsonl").read_text().splitlines()[0])["segments"])] * 2
    model.fit(long, epochs=1, average=0, piece=1.0, longest=60, baselines="none", dev=None)
    with pytest.raises(DataError, match="a sequence of at most 60 items"):
        model.predict([files / "train0.wav"])


def test_what_is_learned_depends_on_the_front_end():
    assert (LabelConfig().goal, LabelConfig(front_end="audio").goal) == ("labels", "segments")
    assert LabelConfig(front_end="audio").gives == "segments"
    with pytest.raises(ConfigError, match=r"piece: 0, or at least 0.1 s, got 0.01"):
        Labeler(**TINY).fit([], piece=0.01)
    with pytest.raises(ConfigError, match=r"format: .* got 'wav'"):
        Labeler(front_end="audio").fit([], format="wav")
