"""`view` of an image, and what its model says of it."""

import json
import re

import numpy as np
import pytest
import torch

import regard
from regard import Classifier
from regard.tasks.maps import attention_distances

ONCE = {"epochs": 1, "average": 0, "baselines": "none"}
SMALL = {"dim": 8, "depth": 2, "heads": 2, "front_end": "patches", "patch_size": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier of small images, and one of them as a file."""
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    images = [(rng.integers(0, 256, (6, 8), np.uint8), "ab"[number % 2]) for number in range(6)]
    Classifier(**SMALL).fit(images, output=folder / "run", **ONCE)
    Image.fromarray(images[0][0]).save(folder / "image.png")
    return folder


def test_a_models_maps_know_their_image(run):
    model = regard.load(run / "run")
    maps = model.attention(run / "image.png")
    assert (maps.grid, maps.stride, maps.before, tuple(maps.picture.shape)) == ((3, 4), 2, 0, (6, 8, 1))
    torch.testing.assert_close(maps.pooling.sum(1), torch.ones(2))
    assert float(maps.rollout().sum()) == pytest.approx(1, abs=1e-5)


def meta_of(file):
    """What a page was told."""
    return json.loads(re.search(r'id="meta">(.*?)</script>', file.read_text())[1])


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_view_draws_an_image(call, run, tmp_path, ending):
    file = tmp_path / f"picture.{ending}"
    viewed = call("view", run / "run", run / "image.png", "-o", file, "--at", "3,1")
    assert viewed.code == 0, viewed.err
    if ending == "svg":
        assert "PatchinAxes" not in file.read_text()


def test_view_of_an_image_is_a_page(call, run, tmp_path):
    file = tmp_path / "page.html"
    assert call("view", run / "run", run / "image.png", "-o", file).code == 0
    meta = meta_of(file)
    assert (meta["axes"]["input"]["kind"], meta["axes"]["input"]["grid"]) == ("image", [3, 4])
    assert [stack["id"] for stack in meta["stacks"]] == ["encoder", "pool"]
    assert "at: of a picture" in call("view", run / "run", run / "image.png", "-o", file, "--at", "1,1").complaint


def test_an_image_whose_maps_would_not_be_held_is_refused(call, run, tmp_path, monkeypatch):
    monkeypatch.setattr("regard.tasks.maps.memory", lambda: 4 * 12**2 * 4 - 1)
    viewed = call("view", run / "run", run / "image.png", "-o", tmp_path / "x.png")
    assert viewed.code == 1
    assert "4 maps, one for each layer and head, of 12 vectors take 0 GiB, got a machine with 0" in viewed.err


def test_view_of_a_folder_tells_how_far_heads_look(call, run, tmp_path, monkeypatch):
    from PIL import Image

    images, out = tmp_path / "images", tmp_path
    images.mkdir()
    for number in range(5):
        Image.fromarray(np.full((6, 8 + number), 40 * number, np.uint8)).save(images / f"{number}.png")
    monkeypatch.setattr("regard.tasks.maps.MANY", 3)
    viewed = call("view", run / "run", images, "-o", out / "far.svg")
    assert viewed.code == 0, viewed.err
    assert "how far each head looks" in (out / "far.svg").read_text()
    assert attention_distances(regard.load(run / "run"), images).images == 3
    complaint = call("view", run / "run", images, "--at", "1,1", "-o", out / "far.svg").complaint
    assert "at: a patch of one image, and" in complaint
    assert call("view", run / "run", images, "-o", out / "far.html").code == 0
    told = meta_of(out / "far.html")["aggregate"]
    assert told["examples"] == 5
    weights = np.array(told["layers"][0]["found"][0]["relative"], dtype=float)  # by rows and columns
    assert weights.ndim == 2
    assert weights.shape[0] % 2 == weights.shape[1] % 2 == 1


def test_view_refuses_a_patch_that_is_none(call, run, trained, tmp_path):
    at = ("-o", tmp_path / "x.png", "--at")
    assert (
        "at: there is no patch in row 4, column 1, counted from 1; the image has 3 rows"
        in call("view", run / "run", run / "image.png", *at, "4,1").complaint
    )
    assert "a patch is ROW,COLUMN, from 1,1; got '0,1'" in call("view", run / "run", run / "image.png", *at, "0,1").err
    assert "at: a patch of an image, and" in call("view", trained, "I saw", *at, "1,1").complaint
