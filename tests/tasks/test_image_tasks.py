"""Images from folders, lists, arrays and memory, through the tasks that any front end goes with."""

import csv
import json

import numpy as np
import pytest
from pictures import SHAPES, colours, save, save_classes, save_list, shape
from PIL import Image as pillow

import regard
from regard import Classifier, DataError, Image, Seq2Seq
from regard.cli import run as command

SMALL = {"front_end": "patches", "patch_size": 4, "patch_stride": 2, "dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 20, "batch_tokens": 100, "average": 0, "baselines": "none", "learning_rate": 5e-3}
FLAGS = [part for name, value in (SMALL | QUICK).items() for part in (f"--{name.replace('_', '-')}", str(value))]


def call(*arguments):
    return command([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders train and dev, and a run that the command line trained on them."""
    folder = tmp_path_factory.mktemp("shapes")
    save_classes(folder / "train", 8)
    save_classes(folder / "dev", 3, seed=50)
    data = ("--train", folder / "train", "--dev", folder / "dev")
    assert call("train", "classify", *data, "--output", folder / "run", *FLAGS) == 0
    return folder


def test_a_folder_of_classes_is_learned_and_opened_again(trained, capsys):
    model = regard.load(trained / "run")
    assert model.labels == sorted(SHAPES)
    assert model.evaluate(trained / "dev")["accuracy"] == 1.0
    assert call("evaluate", trained / "run", trained / "dev", "--json") == 0
    assert json.loads(capsys.readouterr().out) == model.evaluate(trained / "dev", by_label=True)


def test_predictions_of_every_source_are_the_same(trained):
    model = regard.load(trained / "run")
    paths = [trained / "dev" / name / "0.png" for name in SHAPES]
    pixels = [shape(name, seed=50) for name in SHAPES]
    with_pillow = [pillow.fromarray(own) for own in pixels]
    in_files = [Image.from_file(path) for path in paths]
    for given in (paths, list(map(str, paths)), pixels, np.stack(pixels), with_pillow, in_files):
        assert model.predict(given) == list(SHAPES)
    assert model.predict(paths[0]) == ["bar"]
    (trained / "list.txt").write_text("".join(f"dev/{name}/0.png\n" for name in SHAPES))
    assert model.predict(trained / "list.txt") == list(SHAPES)
    assert model.encode(paths).shape == (3, 16)


def test_images_of_other_sizes_and_colours_are_taken(trained):
    model = regard.load(trained / "run")
    given = [shape("bar", 1, 1), colours(5, 31), colours(3, 3, 4), shape("dot", 40, 33).astype(np.uint16) * 257]
    together = model.probabilities(given)
    for own, alone in zip(together, (model.probabilities([one])[0] for one in given), strict=True):
        assert own == pytest.approx(alone, abs=1e-5)


def test_the_command_line_predicts_and_draws(trained, tmp_path, capsys):
    rows = [{"image": f"dev/{name}/1.png"} for name in SHAPES]
    source = save_list(trained / "list.csv", rows)
    assert call("predict", trained / "run", source, "--output", tmp_path / "out.csv") == 0
    with (tmp_path / "out.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["label"] for row in found] == list(SHAPES)
    assert [row["image"] for row in found] == [str(trained / "dev" / name / "1.png") for name in SHAPES]
    assert call("evaluate", trained / "run", tmp_path / "out.csv") == 0
    capsys.readouterr()
    assert call("predict", trained / "run", trained / "dev" / "dot" / "0.png") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["label"], answer["image"]) == ("dot", str(trained / "dev" / "dot" / "0.png"))
    renamed = save_list(trained / "other.jsonl", [{"where": row["image"]} for row in rows])
    assert call("predict", trained / "run", renamed, "--image-column", "where") == 0
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == list(SHAPES)
    assert call("view", trained / "run", trained / "dev" / "dot" / "0.png", "--output", tmp_path / "a.png") == 0
    assert call("info", trained / "run") == 0
    assert Image.from_file(tmp_path / "a.png").rows > 0


def test_every_encoder_is_compared(trained, tmp_path):
    model = Classifier(**SMALL).fit(trained / "train", trained / "dev", **{**QUICK, "epochs": 1, "baselines": "all"})
    assert {"majority label", "sliding encoder"} <= model.scores["scores"].keys()


def test_large_images_are_read_in_windows(trained, caplog):
    model = regard.load(trained / "run")
    model.config = model.config.model_copy(update={"longest": 20})
    whole = model.predict([shape("bar", 8, 60)])
    assert len(model.network.front_end.split(Image.from_pixels(shape("bar", 8, 60)), 20)) > 1
    assert whole[0] in SHAPES


def test_one_image_of_a_class_or_none(tmp_path, capsys, caplog):
    save(tmp_path / "a" / "cat" / "1.png", colours())
    Classifier(**SMALL).fit(tmp_path / "a", **{**QUICK, "epochs": 1})
    assert "all training data has one label, 'cat', which every prediction will be" in caplog.text
    save(tmp_path / "a" / "dog" / "1.png", colours(seed=1))
    Classifier(**SMALL).fit(tmp_path / "a", **{**QUICK, "epochs": 1})
    assert "2 of 2 labels have one training example, from which little can be learned: 'cat', 'dog'" in caplog.text
    (tmp_path / "a" / "bird").mkdir()
    with pytest.raises(DataError, match=r"a/bird: expected .*, found an empty folder"):
        Classifier(**SMALL).fit(tmp_path / "a", **QUICK)
    capsys.readouterr()
    (tmp_path / "a" / "bird" / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert call("train", "classify", "--train", tmp_path / "a", "--output", tmp_path / "run", *FLAGS) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bird/b.jpg: expected an image" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["train", "dev"])
def test_damage_behind_the_head_is_told_with_the_file_before_anything_is_learned(tmp_path, part):
    for folder in ("train", "dev"):
        for place, name in enumerate(("cat", "dog")):
            save(tmp_path / folder / name / "1.png", colours(64, 64, seed=place))
    path = tmp_path / part / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=rf"{part}/dog/1.png: expected a whole image, found .*; fetch it again"):
        Classifier(**SMALL).fit(tmp_path / "train", tmp_path / "dev", tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_wide_image_is_refused_unless_it_is_brought_to_a_size(tmp_path):
    for name, shade in (("black", 0), ("white", 255)):
        save(tmp_path / name / "1.png", np.full((20, 20_000), shade, np.uint8))
    pixels = {**SMALL, "front_end": "pixels", "patch_stride": None}
    with pytest.raises(DataError, match=r"black/1.png: expected .* at most 150000 items.*found one of 400000"):
        Classifier(**pixels).fit(tmp_path, **{**QUICK, "epochs": 1})
    Classifier(**pixels, image_size=(4, 16)).fit(tmp_path, **{**QUICK, "epochs": 1})


def test_what_a_picture_shows_is_written(tmp_path):
    rows = []
    for seed in range(6):
        for name in SHAPES:
            path = save(tmp_path / f"{name}{seed}.png", shape(name, seed=seed))
            rows.append({"image": path.name, "caption": f"a {name}"})
    source = save_list(tmp_path / "train.jsonl", rows)
    model = Seq2Seq(**SMALL, target_units="symbols", decoder_depth=1)
    model.fit(source, output=tmp_path / "run", **{**QUICK, "label_smoothing": 0.0})
    again = regard.load(tmp_path / "run")
    assert again.predict([shape(name, seed=60) for name in SHAPES]) == [f"a {name}" for name in SHAPES]
    assert call("predict", tmp_path / "run", source, "--output", tmp_path / "out.jsonl") == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[0]["image"].endswith("bar0.png")
