"""Recordings from folders, lists, datasets and memory, through the tasks that any front end goes with."""

import csv
import json

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from sounds import HZ, save_classes, save_tone, tone

import regard
from regard import Classifier, DataError, MaskedModel, Recording, UnsupportedError
from regard.cli import run
from regard.data import read

SMALL = {"front_end": "audio", "dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 24, "batch_tokens": 100, "average": 0, "baselines": "none"}
SLOWER = {"epochs": 60, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    save_classes(folder / "train", 6)
    save_classes(folder / "dev", 2, seed=50)
    Classifier(**SMALL).fit(folder / "train", folder / "dev", folder / "run", **QUICK)
    return folder


def test_a_folder_of_classes_is_learned_and_opened_again(trained):
    model = regard.load(trained / "run")
    assert model.evaluate(trained / "dev")["accuracy"] == 1.0
    assert model.predict(trained / "dev" / "low" / "0.wav") == ["low"]
    assert model.predict([str(trained / "dev" / "high" / "1.wav")]) == ["high"]
    assert model.predict([Recording.from_samples(tone("middle", 0.4, 16000), 16000)]) == ["middle"]
    maps = model.attention(trained / "dev" / "low" / "0.wav")
    assert maps.items[:2] == ["0.00", "0.02"]


@pytest.mark.parametrize("format", ["csv", "jsonl", "tsv", "parquet"])
def test_a_list_names_files_from_its_own_folder(trained, tmp_path, format, monkeypatch):
    rows = [{"audio": f"dev/{name}/0.wav", "label": name} for name in HZ]
    path = trained / f"list.{format}"
    if format == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif format == "parquet":
        import pyarrow as arrow
        from pyarrow.parquet import write_table

        write_table(arrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["audio", "label"], delimiter="\t" if format == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    monkeypatch.chdir(tmp_path)
    model = regard.load(trained / "run")
    assert model.evaluate(path)["accuracy"] == 1.0
    assert model.predict(path) == list(HZ)
    out = tmp_path / f"out.{format}"
    assert run(["predict", str(trained / "run"), str(path), "--output", str(out), "--output-format", format]) == 0
    assert [example.goal for example in read(out, goal="label", items="recordings")] == list(HZ)


def test_a_part_of_a_file(trained):
    joined = np.concatenate([tone(name, 0.5) for name in HZ])
    whole = Recording.from_samples(joined, 8000)
    soundfile.write(trained / "joined.wav", joined, 8000)
    rows = [{"audio": "joined.wav", "start": 0.5 * place, "end": 0.5 * place + 0.5} for place in range(3)]
    rows.append({"audio": "joined.wav", "offset": 1.0, "duration": 0.5})
    path = trained / "parts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = regard.load(trained / "run")
    assert model.predict(path) == [*HZ, "high"]
    assert model.predict([whole.part(0.5, 1.0)]) == ["middle"]
    path.write_text('{"audio": "joined.wav", "start": 1, "end": 3}\n')
    with pytest.raises(
        DataError, match=r"parts.jsonl:1: expected a part of .*joined.wav, 1.50 s, found 1.00 to 3.00 s"
    ):
        model.predict(path)
    path.write_text('{"audio": "joined.wav", "start": "x"}\n')
    with pytest.raises(DataError, match=r"parts.jsonl:1: expected seconds under 'start', found 'x'"):
        model.predict(path)


def test_a_dataset_of_the_datasets_library(trained):
    from datasets import Dataset

    model = regard.load(trained / "run")
    files = [trained / "dev" / name / "0.wav" for name in HZ]
    packed = [{"audio": {"bytes": path.read_bytes(), "path": path.name}, "label": path.parent.name} for path in files]
    assert model.evaluate(Dataset.from_list(packed))["accuracy"] == 1.0
    decoded = [{"audio": {"array": tone(name, 0.3).tolist(), "sampling_rate": 8000}, "label": name} for name in HZ]
    assert model.evaluate(Dataset.from_list(decoded))["accuracy"] == 1.0


def test_files_that_are_missing_are_told_at_once(trained, tmp_path):
    path = tmp_path / "list.csv"
    names = [f"gone-{number}.wav" for number in range(25)]
    path.write_text("audio,label\n" + "".join(f"{name},low\n" for name in names))
    with pytest.raises(DataError, match=r"list.csv: expected sound files, of which 25 are missing") as caught:
        regard.load(trained / "run").evaluate(path)
    message = str(caught.value)
    assert "gone-9.wav' (line 11)" in message
    assert "gone-10" not in message
    assert message.endswith("and 15 more")
    path.write_text("audio,label\ngone.wav,low\n")
    with pytest.raises(DataError, match=r"list.csv:2: expected a sound file, found nothing at '.*gone.wav'"):
        regard.load(trained / "run").evaluate(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(800), r"a recording: .*array.*from_samples\(samples, rate\) tells its rate"),
        (3, "expected a recording: the path of a sound file, or a regard.Recording, found 3"),
        ({"text": "x"}, "a key 'audio'"),
        ("nowhere.wav", "nothing at 'nowhere.wav'"),
    ],
)
def test_what_is_no_recording(trained, given, message):
    with pytest.raises(DataError, match=message):
        regard.load(trained / "run").predict([given])


def test_text_models_say_that_they_hear_nothing(trained, tmp_path):
    model = Classifier(front_end="characters", dim=16, depth=1, heads=2)
    model.fit([("good", "+"), ("bad", "-")] * 4, epochs=1, average=0)
    with pytest.raises(DataError, match="a recording; front_end=audio takes it"):
        model.predict(trained / "dev" / "low" / "0.wav")
    with pytest.raises(DataError, match="a recording; front_end=audio takes it"):
        model.evaluate(trained / "dev")


def test_silence_zeros_and_hardly_anything(trained):
    model = regard.load(trained / "run")
    for samples in (np.zeros(8000), np.zeros(1), np.full(100, 1e-30)):
        chances = model.probabilities([Recording.from_samples(samples, 8000)])[0]
        assert abs(sum(chances.values()) - 1) < 1e-4


def test_long_recordings_are_heard_in_windows(trained):
    model = regard.load(trained / "run")
    model.config = model.config.model_copy(update={"longest": 50, "longest_windowed": 500})
    long = Recording.from_samples(tone("high", 20), 8000)
    assert model.predict([long]) == ["high"]
    joined = Recording.from_samples(np.concatenate([tone("low", 1), tone("high", 1)]), 8000)
    parts = model.network.front_end.split(joined, 50)
    rows = [np.log(list(chances.values())) for chances in model.probabilities(parts)]
    mean = np.exp(np.mean([row - row.mean() for row in rows], 0))  # logits, but for what softmax takes away
    np.testing.assert_allclose(list(model.probabilities([joined])[0].values()), mean / mean.sum(), atol=1e-4)


def test_hidden_frames_are_guessed_and_other_tasks_start_from_there(trained, tmp_path):
    files = sorted((trained / "train").rglob("*.wav"))
    masked = MaskedModel(**SMALL).fit(files, output=tmp_path / "masked", **QUICK | SLOWER)
    assert masked.scores["scores"]["regard"]["explained"] > 0
    with pytest.raises(UnsupportedError, match="front_end=audio reads no text with blanks"):
        masked.predict(["[MASK]"])
    model = Classifier(pretrained=str(tmp_path / "masked"))
    model.fit(trained / "train", trained / "dev", **QUICK)
    assert model.scores["scores"]["regard"]["accuracy"] == 1.0


def test_the_same_seed_changes_recordings_in_the_same_way(trained, tmp_path):
    how = QUICK | {"epochs": 3, "speed": 0.1, "noise": "white", "mask_frames": 1.0}
    folders = [tmp_path / "once", tmp_path / "twice", tmp_path / "otherwise"]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        Classifier(**SMALL).fit(trained / "train", None, folder, **how, seed=seed)
    first, second, other = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_command_line_from_a_folder_to_predictions(trained, tmp_path, capsys):
    out = tmp_path / "run"
    options = [
        "--front-end",
        "audio",
        "--dim",
        "16",
        "--depth",
        "1",
        "--heads",
        "2",
        "--epochs",
        "6",
        "--batch-tokens",
        "100",
    ]
    train = [
        "train",
        "classify",
        "--train",
        str(trained / "train"),
        "--dev",
        str(trained / "dev"),
        "--output",
        str(out),
    ]
    assert run([*train, *options]) == 0
    assert "fully connected network on the mean" in capsys.readouterr().out
    assert run(["predict", str(out), str(trained / "dev" / "low" / "0.wav")]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["audio"].endswith("0.wav")
    assert line["label"] in HZ
    assert run(["view", str(out), str(trained / "dev" / "low" / "0.wav"), "-o", str(tmp_path / "page.html")]) == 0
    save_tone(tmp_path / "more" / "a.wav", "low")
    save_tone(tmp_path / "more" / "b.wav", "high")
    assert run(["predict", str(out), str(tmp_path / "more"), "--output-format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 3
