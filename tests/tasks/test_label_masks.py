"""A `Labeler` of pixels and patches, from images and masks to masks, by every road."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import without_seals
from pictures import save, save_list
from PIL import Image as pillow
from sklearn.metrics import jaccard_score

import regard
from regard import ConfigError, DataError, Image, Labeler, ModelError
from regard.cli import run as command
from regard.data import Example, read
from regard.data.masks import mask as mask_of
from regard.data.records import Place
from regard.front_ends.image import Patches
from regard.tasks.label.masks import NO_ROW, Cells, mask_scores, rows_of

TINY = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 20, "batch_tokens": 400, "average": 0, "learning_rate": 1e-2, "label_smoothing": 0.0}


def pair(seed, rows=8, columns=8):
    """An image with a bright square and a gray one, and the mask of both: 0, 1 and 2; a corner has no label."""
    draw = np.random.default_rng(seed)
    pixels, mask = draw.integers(0, 30, (rows, columns)), np.zeros((rows, columns), np.uint8)
    for number, shade in ((1, 240), (2, 120)):
        top, left = draw.integers(0, rows - 2), draw.integers(0, columns - 2)
        pixels[top : top + 3, left : left + 3] = shade
        mask[top : top + 3, left : left + 3] = number
    mask[0, 0] = 255
    return pixels.astype(np.uint8), mask


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folders train and dev, each with images and masks."""
    folder = tmp_path_factory.mktemp("squares")
    for part, count, first in (("train", 12, 0), ("dev", 3, 50)):
        for number in range(count):
            pixels, mask = pair(first + number, 8, 8 + number % 3)
            save(folder / part / "images" / f"{number}.png", pixels)
            save(folder / part / "masks" / f"{number}.png", mask)
    return folder


@pytest.fixture(scope="module")
def trained(files):
    folder = files / "run"
    Labeler(front_end="pixels", **TINY).fit(files / "train", files / "dev", folder, **QUICK)
    return folder


def test_the_run_says_how_well_it_does(trained, files):
    scores = json.loads((trained / "scores.json").read_text())["scores"]
    model = regard.load(trained)
    assert model.labels == ["0", "1", "2"]
    assert scores["regard"] == model.evaluate(files / "dev")
    assert list(scores["regard"]) == ["accuracy", "mean_iou"]
    assert scores["regard"]["mean_iou"] > 0.9
    assert scores["majority label"]["mean_iou"] < 0.4


def test_masks_come_out_as_arrays(trained, files):
    model = regard.load(trained)
    pixels, mask = pair(99, 6, 11)
    (found,) = model.predict([pixels])
    assert (found.shape, found.dtype) == ((6, 11), np.int64)
    assert (found == mask)[mask != 255].mean() > 0.95
    (again,) = model.predict([(pixels, mask)])
    np.testing.assert_array_equal(again, found)
    assert [found.shape for found in model.predict(files / "dev")] == [(8, 8), (8, 9), (8, 10)]
    assert [found.shape for found in model.predict(files / "dev" / "images")] == [(8, 8), (8, 9), (8, 10)]
    assert model.predict(files / "dev" / "images" / "1.png")[0].shape == (8, 9)
    assert model.attention(pixels).grid == (6, 11)


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "parquet", "masks"])
def test_predictions_can_be_scored(trained, files, tmp_path, format):
    out = tmp_path / ("out" if format == "masks" else f"out.{format}")
    arguments = ["predict", trained, files / "dev", "--output", out, "--output-format", format]
    assert command([str(argument) for argument in arguments]) == 0
    model = regard.load(trained)
    wanted = model.predict(files / "dev")
    if format == "masks":
        found = [Image.from_file(path).numbers() for path in sorted(out.iterdir())]
        with pillow.open(out / "0.png") as picture:
            assert picture.mode == "P"
            assert picture.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
    else:
        read_again = read(out, goal="mask", items="images")
        found = [example.goal.numbers() for example in read_again]
        assert model.evaluate(out)["accuracy"] == 1.0
    for own, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "parquet", "npz", "python", "pandas", "datasets"])
def test_lists_of_images_and_masks(trained, files, tmp_path, format):
    model, wanted = regard.load(trained), regard.load(trained).evaluate(files / "dev")
    rows = [{"image": f"dev/images/{n}.png", "mask": f"dev/masks/{n}.png"} for n in range(3)]
    if format == "npz":
        pairs = [pair(seed) for seed in range(3)]
        images, masks = (np.stack(side) for side in zip(*pairs, strict=True))
        np.savez(tmp_path / "a.npz", images=images, masks=masks)
        assert model.evaluate(tmp_path / "a.npz") == model.evaluate(pairs)
        return
    if format == "python":
        source = [{"image": str(files / row["image"]), "mask": pillow.open(files / row["mask"])} for row in rows]
    elif format == "datasets":
        from datasets import Dataset, Features
        from datasets import Image as Feature

        features = Features({"image": Feature(), "mask": Feature()})
        columns = {name: [str(files / row[name]) for row in rows] for name in ("image", "mask")}
        source = Dataset.from_dict(columns, features=features)
    elif format == "pandas":
        import pandas

        source = pandas.DataFrame([{name: str(files / path) for name, path in row.items()} for row in rows])
    else:
        source = save_list(files / f"list.{format}", rows)
    assert model.evaluate(source) == wanted
    if format == "python":
        for row in source:
            row["mask"].close()


def test_patches_are_labelled_by_most_of_their_pixels(files, tmp_path):
    model = Labeler(front_end="patches", patch_size=2, **TINY)
    model.fit(files / "train", files / "dev", tmp_path / "run", **QUICK)
    found = model.predict(files / "dev")
    assert found[1].shape == (8, 9)
    for row in range(0, 8, 2):
        for column in range(0, 9, 2):
            assert len(np.unique(found[1][row : row + 2, column : column + 2])) == 1
    assert regard.load(tmp_path / "run").evaluate(files / "dev") == model.scores["scores"]["regard"]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(1, 1), (2, 2), (3, 2), (4, 4)]), st.integers(0, 99))
def test_cells_against_counting_by_hand(rows, columns, shape, seed):
    patch, stride = shape
    front_end = Patches([0.0], [1.0], dim=2, patch=patch, stride=stride)
    labels = np.random.default_rng(seed).integers(-1, 3, (rows, columns))
    cells = Cells.of(front_end, (rows, columns))
    assert cells.grid == front_end.grid(Image.from_pixels(np.zeros((rows, columns))))
    wanted = []
    for top in range(0, rows, stride):
        for left in range(0, columns, stride):
            own = labels[top : top + stride, left : left + stride].ravel().tolist()
            counts = [own.count(label) for label in range(3)]
            wanted.append(counts.index(max(counts)) if any(counts) else NO_ROW)
    assert cells.most(labels, 3).tolist() == wanted
    spread = cells.spread(np.arange(len(wanted)))
    assert spread.shape == (rows, columns)
    assert (spread[rows - 1, columns - 1], spread[0, 0]) == (len(wanted) - 1, 0)


@pytest.mark.parametrize("size", [(4, 4), (16, 12)])
def test_an_image_that_is_brought_to_a_size_gets_a_mask_of_its_own(files, size):
    model = Labeler(front_end="patches", patch_size=2, image_size=size, **TINY)
    model.fit(files / "train", **{**QUICK, "epochs": 1})
    assert [found.shape for found in model.predict(files / "dev")] == [(8, 8), (8, 9), (8, 10)]
    cells = Cells.of(model.network.front_end, (8, 9))
    assert cells.grid == (size[0] // 2, size[1] // 2)


def test_scores_are_scikit_learns():
    draw = np.random.default_rng(0)
    gold, found = draw.integers(0, 3, (2, 5, 6)), draw.integers(0, 3, (2, 5, 6))
    examples = [Example(Image.from_pixels(np.zeros((5, 6))), Image.from_pixels(own)) for own in gold]
    scores = mask_scores(examples, ["0", "1", "2"], list(found))
    assert scores["accuracy"] == pytest.approx((gold == found).mean())
    assert scores["mean_iou"] == pytest.approx(jaccard_score(gold.ravel(), found.ravel(), average="macro"))
    gold[0, 0] = 255
    examples = [Example(Image.from_pixels(np.zeros((5, 6))), Image.from_pixels(own)) for own in gold]
    kept = gold != 255
    wanted = jaccard_score(gold[kept], found[kept], average="macro")
    assert mask_scores(examples, ["0", "1", "2"], list(found))["mean_iou"] == pytest.approx(wanted)


def test_rows_of_numbers():
    numbers = np.array([[0, 3, 255, 7, 1]])
    assert rows_of(numbers, ["0", "3", "10"]).tolist() == [[0, 1, -1, 3, 3]]


def test_what_has_no_label_teaches_nothing(files):
    model = Labeler(front_end="pixels", **TINY).fit([pair(seed) for seed in range(4)], **{**QUICK, "epochs": 1})
    pixels, mask = pair(5)
    batch = model.collate([Example(Image.from_pixels(pixels), Image.from_pixels(mask))])
    loss, count = model.loss(model.network.eval(), batch)
    assert (batch.labels < 0).tolist() == [True] + [False] * 63
    assert count == 63
    logits = model.network(batch.inputs).values
    wanted = torch.nn.functional.cross_entropy(logits[1:], batch.labels[1:], reduction="sum")
    torch.testing.assert_close(loss, wanted)


def broken(folder, **changed):
    pixels, mask = pair(0)
    save(folder / "images" / "a.png", pixels)
    save(folder / "masks" / "a.png", changed.get("mask", mask))
    return folder


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.zeros((4, 8), np.uint8),
            r"masks/a.png: expected a mask of 8 × 8 pixels, the size of .*a.png, found 4 × 8 ",
        ),
        (
            np.full((8, 8), 9, np.uint8),
            r"a.png: expected one of the 3 labels .*, found 9 at row 1, column 1 of",
        ),
        (
            np.stack([np.zeros((8, 8), np.uint8), *np.ones((2, 8, 8), np.uint8)], 2),
            r"masks/a.png: expected a mask: a whole number for each pixel, .*colours",
        ),
    ],
)
def test_masks_that_do_not_fit(trained, tmp_path, mask, message):
    with pytest.raises(DataError, match=message):
        regard.load(trained).evaluate(broken(tmp_path, mask=mask))


def test_unknown_numbers_may_count_as_wrong(trained, tmp_path):
    model = regard.load(trained)
    model.config = model.config.model_copy(update={"unseen_labels": "count-wrong"})
    assert model.evaluate(broken(tmp_path, mask=np.full((8, 8), 9, np.uint8)))["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected a folder with the folders images and masks, found none"),
        (["images/a.png"], "expected a folder with the folders images and masks, found the folders images"),
        (["images/a.png", "masks/b.png"], r"images/a.png: expected an image of the same name in masks, found none"),
        (["images/a.png", "masks/a.png", "masks/b.png"], r"masks/b.png: expected an image of the same name in images"),
        (["images/a.png", "masks/a.txt"], r"masks: expected images .*, found the file 'a.txt'"),
        (["images/a.png", "images/a.jpg", "masks/a.png"], "images: expected images of different names, found 'a.jpg'"),
    ],
)
def test_folders_of_masks_that_are_none(tmp_path, names, message):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save(path, np.zeros((2, 2), np.uint8)) if path.suffix != ".txt" else path.write_text("x")
    with pytest.raises(DataError, match=message):
        read(tmp_path, goal="mask", items="images")


def test_masks_that_are_none(tmp_path):
    save(tmp_path / "a.png", np.zeros((16, 16), np.uint8))
    save(tmp_path / "lossy.jpg", np.zeros((16, 16), np.uint8))
    image = tmp_path / "a.png"
    (lossy,) = read([(image, tmp_path / "lossy.jpg")], goal="mask", items="images")
    with pytest.raises(DataError, match=r"lossy.jpg: .*found a JPEG, which changes numbers; make it a PNG"):
        lossy.goal.numbers()
    with pytest.raises(DataError, match=r"found nothing at 'gone.png'"):
        read([(image, "gone.png")], goal="mask", items="images")
    with pytest.raises(DataError, match=r"example 1: expected a mask: the path of an image, or rows of numbers"):
        read([(image, "[[0, 1")], goal="mask", items="images")
    arrays = {
        "a mask: a whole number for each pixel, .*found float64": np.zeros((16, 16)),
        r"a mask: a whole number for each pixel, .*found uint16 of shape \[16, 16, 3\]": np.zeros(
            (16, 16, 3), np.int64
        ),
        "a mask of numbers from 0 to 65,535, found -1 to -1": np.full((16, 16), -1),
        "a mask of numbers from 0 to 65,535, found 0 to 65536": [[0, 65536]],
    }
    for found, mask in arrays.items():
        with pytest.raises(DataError, match=f"example 1: expected {found}"):
            read([(image, mask)], goal="mask", items="images")
    for number in (-1, 70_000):
        pillow.fromarray(np.full((16, 16), number, np.int32)).save(tmp_path / "a.tif")
        (wrong,) = read([(image, tmp_path / "a.tif")], goal="mask", items="images")
        with pytest.raises(DataError, match=f"a.tif: .*from 0 to 65,535, found {number} to {number}"):
            wrong.goal.numbers()
    rows = [{"image": "a.png", "mask": f"gone-{number}.png"} for number in range(3)]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="expected image files, of which 3 are missing"):
        read(tmp_path / "list.jsonl", goal="mask", items="images")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([255], r"masks/0.png: expected masks with at least one labelled pixel \(other than 255\), found none"),
        ([0, 255], "masks/0.png: expected masks of at least two labels, found 0, and 255, which says that a pixel has"),
        ([7], "masks/0.png: expected masks of at least two labels, found 7 alone"),
    ],
)
def test_masks_with_nothing_to_tell_apart(tmp_path, numbers, message):
    for number in range(2):
        save(tmp_path / "images" / f"{number}.png", pair(number)[0])
        save(tmp_path / "masks" / f"{number}.png", np.resize(np.uint8(numbers), (8, 8)))
    with pytest.raises(DataError, match=message):
        Labeler(front_end="pixels", **TINY).fit(tmp_path, output=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_more_labels_than_a_byte_holds():
    pixels, mask = pair(0)
    numbers = np.where(mask == 255, 255, mask.astype(np.int64) * 300)
    for given_so in (numbers, numbers.tolist(), numbers.astype(np.uint16), numbers.astype(np.int16)):
        (example,) = read([(pixels, given_so)], goal="mask", items="images")
        np.testing.assert_array_equal(example.goal.numbers(), numbers)


def test_gray_in_three_channels_is_gray(tmp_path):
    _, mask = pair(0)
    path = save(tmp_path / "a.png", np.repeat(mask[:, :, None], 3, 2))
    np.testing.assert_array_equal(Image.from_file(path).numbers(), mask)


@pytest.fixture(scope="module")
def named(files):
    """A folder whose numbers have names, and a run that learned from it."""
    (files / "train" / "classes.txt").write_text("ground\nwhite square\ngray\nunused\n")
    Labeler(front_end="pixels", **TINY).fit(files / "train", files / "dev", files / "named", **QUICK)
    (files / "train" / "classes.txt").unlink()
    return files / "named"


def test_numbers_are_called_by_their_names(named, files, tmp_path, capsys):
    model = regard.load(named)
    assert model.labels == ["0 ground", "1 white square", "2 gray"]
    scores = model.evaluate(files / "dev")
    each = [scores[f"iou {name}"] for name in ("ground", "white square", "gray")]
    assert np.mean(each) == pytest.approx(scores["mean_iou"])
    assert "| iou white square |" in (named / "README.md").read_text()
    pixels, _ = pair(99, 6, 11)
    (found,) = model.predict([pixels])
    (answer,) = model.answers([Example(Image.from_pixels(pixels))])
    assert answer["shares"].keys() == {"ground", "white square", "gray"}
    assert answer["shares"]["gray"] == pytest.approx((found == 2).mean(), abs=1e-6)
    assert command(["predict", str(named), str(files / "dev" / "images" / "1.png")]) == 0
    assert sum(json.loads(capsys.readouterr().out)["shares"].values()) == pytest.approx(1)
    assert command(["info", str(named)]) == 0
    assert "3 labels: 0 ground 1 white square 2 gray" in capsys.readouterr().out


@pytest.mark.parametrize(
    "labels", [["0", "sky", "2"], ["0", "2", "1"], ["0", "1 a", "1 b"], ["0", "-1", "1"], ["0", "1", "9" * 9]]
)
def test_labels_of_a_run_folder_that_are_no_numbers(trained, tmp_path, labels):
    run = shutil.copytree(trained, tmp_path / "run")
    without_seals(run)
    vocabulary = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(vocabulary | {"labels": labels}))
    with pytest.raises(ModelError, match=r"model.json: a part is missing or altered: labels must be numbers of masks"):
        regard.load(run)


def test_names_are_told_by_an_option_too(files, tmp_path):
    (tmp_path / "names").write_text("a\nb\nc\n")
    pairs = [pair(seed) for seed in range(3)]
    model = Labeler(front_end="pixels", **TINY).fit(pairs, mask_names=str(tmp_path / "names"), **{**QUICK, "epochs": 1})
    assert model.labels == ["0 a", "1 b", "2 c"]
    wrong = {
        "a\nb\n": "names: expected on line 3 the name of the number 2 of masks, found none",
        "a\n\nc\n": "names: expected on line 2 the name of the number 1 of masks, found none",
        "a\nb\na\n": "names: expected names that differ, found 'a' on the lines 1 and 3",
    }
    for content, message in wrong.items():
        (tmp_path / "names").write_text(content)
        with pytest.raises(DataError, match=message):
            Labeler(front_end="pixels", **TINY).fit(pairs, mask_names=str(tmp_path / "names"), epochs=1)
    with pytest.raises(ConfigError, match="mask_names: of images, got front_end words; leave it out"):
        Labeler().fit([(["a"], ["b"])], mask_names="names")


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_numbers_of_files_of_every_kind(tmp_path, mode):
    numbers = np.array([[0, 1, 1], [1, 0, 0]]) if mode == "1" else np.array([[0, 1, 2], [200, 4, 255]])
    picture = pillow.fromarray(numbers.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "1":
        picture = picture.point(lambda value: value * 255).convert("1")
    if mode == "P":
        palette = pillow.new("P", (3, 2))
        palette.putdata(numbers.ravel().tolist())
        palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        picture = palette
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(Image.from_file(tmp_path / "a.png").numbers(), numbers)
    held = mask_of(picture, Image.from_pixels(np.zeros((2, 3))), Place())
    np.testing.assert_array_equal(held.numbers(), numbers)


def test_a_mask_of_pillow_that_has_colours():
    with pytest.raises(DataError, match=r"a mask: .* gray or of a palette, found colours"):
        mask_of(pillow.fromarray(np.uint8([[[0, 1, 2]]])), Image.from_pixels(np.zeros((1, 1))), Place())
