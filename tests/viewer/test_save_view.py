"""Views as files: numbers as they are, pictures of one head alone."""

import csv
import re

import numpy as np
import pytest
import torch

from regard import Classifier, ConfigError, Labeler, Seq2Seq
from regard import Recording as Sound
from regard.attention import attention_weights
from regard.tasks.pages import aggregate_page, page_of
from regard.viewer.export import save_view
from regard.viewer.page.axes import Axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.recording import Recorded

NAMES = ["we", 'say "yes", often', "it"]


def page(window=None, names=NAMES):
    torch.manual_seed(0)
    layers = [
        Recorded(f"layers.{n}", "attention", attention_weights(*torch.randn(2, 1, 2, 3, 4), window=window))
        for n in range(2)
    ]
    axis = Axis(kind="vectors", count=3) if names is None else text_axis(names)
    return Page("three words", {"words": axis}, [Stack("encoder", "words to words", "words", "words", layers)])


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("window", [None, 1])
def test_numbers(tmp_path, window):
    made = page(window)
    rows = rows_of(save_view(made, tmp_path / "a.csv"))
    for layer in range(2):
        dense = made.stacks[0].layers[layer].weights.dense()[0]
        for head in range(2):
            found = np.zeros((3, 3))
            for row in rows:
                if (int(row["layer"]), int(row["head"])) == (layer + 1, head + 1):
                    assert row["query_name"] == NAMES[int(row["query"]) - 1]
                    assert row["key_name"] == NAMES[int(row["key"]) - 1]
                    found[int(row["query"]) - 1, int(row["key"]) - 1] = float(row["weight"])
            np.testing.assert_array_equal(found.astype(np.float32), dense[head].numpy())  # to the last digit
    one = rows_of(save_view(made, tmp_path / "b.csv", layer=2, head=1))
    assert one == [row for row in rows if (row["layer"], row["head"]) == ("2", "1")]


def test_numbers_without_names(tmp_path):
    first = rows_of(save_view(page(names=None), tmp_path / "a.csv"))[0]
    assert (first["query"], first["query_name"]) == ("1", "")


def test_a_picture_of_one_head(tmp_path):
    text = save_view(page(), tmp_path / "a.svg", layer=2, head=1).read_text()
    assert re.findall(r"layer \d, head \d", text) == ["layer 2, head 1"]
    assert "we" in text
    whole = save_view(page(), tmp_path / "b.svg").read_text()
    assert re.findall(r"layer \d, head \d", whole) == [f"layer {n}, head {m}" for n in (1, 2) for m in (1, 2)]


@pytest.mark.parametrize("choice", [{"layer": 3}, {"head": 3}, {"layer": 1, "head": 9}])
def test_a_head_that_is_not_there(tmp_path, choice):
    with pytest.raises(ConfigError, match="layer, head: 'three words' has 2 layers of 2 heads, got"):
        save_view(page(), tmp_path / "a.csv", **choice)
    assert not (tmp_path / "a.csv").exists()


@pytest.fixture(scope="module")
def told():
    """The page of a model, and of many examples."""
    data = [(["we", "saw", "it"], ["PRON", "VERB", "PRON"])] * 4
    model = Labeler(dim=16, depth=2, heads=2).fit(data, epochs=1, average=0, baselines="none", quiet=True)
    return page_of(model, ["we", "saw", "it"]), aggregate_page(model, data)


@pytest.mark.parametrize("show", ["overview", "map", "lines", "input", "telltale"])
@pytest.mark.parametrize("at", [None, 2])
def test_every_view_is_drawn(tmp_path, told, show, at):
    text = save_view(told[0], tmp_path / "a.svg", show=show, at=at).read_text()
    assert {"we", "saw", "it"} <= set(re.findall(r">([^<>]+)</text>", text))
    if show in ("input", "telltale"):
        assert f"layer 1, head 1: what “{'we' if at is None else 'saw'}” attends to" in text
    assert save_view(told[0], tmp_path / "a.png", show=show).read_bytes()[1:4] == b"PNG"


def test_the_row_of_a_position(tmp_path, told):
    rows = rows_of(save_view(told[0], tmp_path / "a.csv", show="input", layer=2, head=2, at=3))
    weights = told[0].stacks[0].layers[1].weights.row(2)[1]
    assert [row["key_name"] for row in rows] == ["we", "saw", "it"]
    np.testing.assert_allclose([float(row["weight"]) for row in rows], weights.numpy(), rtol=1e-5)


def test_numbers_of_heads_and_telltales(tmp_path, told):
    page, _ = told
    rows = rows_of(save_view(page, tmp_path / "a.csv", show="overview"))
    found = page.meta["stacks"][0]["layers"][1]["measures"]["entropy"][0]
    assert float(next(row for row in rows if (row["layer"], row["head"]) == ("2", "1"))["entropy"]) == found
    rows = rows_of(save_view(page, tmp_path / "b.csv", show="telltale", at=2))
    tales = page.meta["telltales"]
    assert [float(row["number"]) for row in rows if row["what"] == "gradient"] == tales["gradient"][1]
    assert [float(row["number"]) for row in rows if row["what"] == "without a head"] == tales["drops"][1]
    assert {row["answer"] for row in rows} == {tales["names"][1]}


def test_many_examples(tmp_path, told):
    _, many = told
    found = many.meta["aggregate"]["layers"][1]["found"][0]
    rows = rows_of(save_view(many, tmp_path / "a.csv", layer=2, head=1))
    relative = {int(row["to"]): float(row["number"]) for row in rows if row["what"] == "relative position"}
    assert relative == {n - 32: mean for n, mean in enumerate(found["relative"]) if mean is not None}
    assert len([row for row in rows if row["what"] == "label"]) == len(many.meta["aggregate"]["labels"]) ** 2
    text = save_view(many, tmp_path / "a.svg").read_text()
    assert re.findall(r"layer \d, head \d", text) == [f"layer {n}, head {m}" for n in (1, 2) for m in (1, 2)]


@pytest.mark.parametrize(
    ("many", "choice", "message"),
    [
        (False, {"show": "examples"}, "show: of this page overview, map, lines, input, telltale can be written, got"),
        (False, {"show": "picture"}, "can be written, got 'picture'"),
        (True, {"show": "map"}, "show: of this page examples can be written, got 'map'"),
        (False, {"at": 4}, "at: 'we saw it' has 3 positions, got 4"),
        (False, {"part": "cross"}, "part: 'we saw it' has encoder, got 'cross'"),
        (False, {"show": "overview", "at": 2}, "at: the numbers of the overview are of all positions; leave it out"),
        (True, {"layer": 3}, "has 2 layers of 2 heads, got 3 and all"),
        (True, {"at": 1}, "at: of one example, and this page is of many; leave it out"),
        (True, {"part": "encoder"}, "part: of one example, and this page is of many; leave it out"),
    ],
)
def test_what_is_not_there(tmp_path, told, many, choice, message):
    with pytest.raises(ConfigError, match=message):
        save_view(told[many], tmp_path / "a.csv", **choice)


def test_a_page_without_telltales(tmp_path):
    with pytest.raises(ConfigError, match="got 'telltale': nothing is told"):
        save_view(page(), tmp_path / "a.csv", show="telltale")


@pytest.fixture(scope="module")
def pair():
    """The page of a source and an output, which is longer."""
    model = Seq2Seq(front_end="characters", target_units="symbols", dim=16, depth=2, heads=2)
    return page_of(
        model.fit([("ab", "A B"), ("abb", "A B B")] * 4, epochs=1, average=0, baselines="none", quiet=True), "ab"
    )


def test_telltales_of_an_output_stand_beside_its_own_weights(tmp_path, pair):
    tales, count = pair.meta["telltales"], pair.axes["input"].count
    assert len(tales["names"]) > count
    for at in (2, count + 1):
        rows = rows_of(save_view(pair, tmp_path / "a.csv", show="telltale", layer=2, head=2, at=at))
        assert {row["answer"] for row in rows} == {tales["names"][at - 1]} == {pair.axes["output"].names[at - 1]}
        weights = [float(row["number"]) for row in rows if row["what"] == "weight in cross 2 2"]
        cross = next(stack for stack in pair.stacks if stack.id == "cross")
        np.testing.assert_allclose(weights, cross.layers[1].weights.row(at - 1)[1], rtol=1e-6)
        text = save_view(pair, tmp_path / "a.svg", show="telltale", at=at).read_text()
        name = re.search(r"output to input, layer 1, head 1: what “(.*)” attends to", text)[1]
        assert f">answer: {name}<" in text
    with pytest.raises(ConfigError, match=r"at: 'ab' has .* positions in the part cross, got 999"):
        save_view(pair, tmp_path / "a.csv", show="telltale", at=999)


def test_every_part_is_in_a_table_and_one_in_a_picture(tmp_path, pair):
    rows = rows_of(save_view(pair, tmp_path / "a.csv"))
    assert list(dict.fromkeys(row["stack"] for row in rows)) == ["encoder", "cross", "decoder"]
    for stack in pair.stacks:
        found = save_view(pair, tmp_path / "b.csv", part=stack.id)
        assert rows_of(found) == [row for row in rows if row["stack"] == stack.id]
        for show in ("map", "lines", "input"):
            assert stack.title in save_view(pair, tmp_path / "a.svg", part=stack.title, show=show).read_text()
    for options in ({}, {"layer": 1}, {"layer": 1, "head": 2}, {"show": "lines"}):
        assert ">output to input<" in save_view(pair, tmp_path / "a.svg", **options).read_text()
    of_one = rows_of(save_view(pair, tmp_path / "a.csv", at=1, layer=2))
    assert of_one == [row for row in rows if (row["query"], row["layer"]) == ("1", "2")]


def test_the_row_of_a_position_alone_is_drawn(tmp_path, told):
    text = save_view(told[0], tmp_path / "a.svg", at=2, layer=1).read_text()
    assert "what “saw” attends to" in text
    assert "who attends" not in text


def test_two_models_are_told_apart(tmp_path):
    axes = {"words": text_axis(NAMES)}
    stacks = [
        Stack(name, "words to words", "words", "words", page().stacks[0].layers[:depth], model)
        for model, (name, depth) in enumerate((("encoder", 1), ("encoder-2", 2)))
    ]
    both = Page("three words", axes, stacks, models=["old", "new"])
    for show in ("map", "overview", "input", "lines"):
        rows = rows_of(save_view(both, tmp_path / "a.csv", show=show))
        assert {(row["model"], row["stack"]) for row in rows} == {("old", "encoder"), ("new", "encoder-2")}
        assert "old: words to words" in save_view(both, tmp_path / "a.svg", show=show).read_text()
        assert "new: words to words" in save_view(both, tmp_path / "a.svg", show=show, part="encoder-2").read_text()
    assert {row["model"] for row in rows_of(save_view(both, tmp_path / "a.csv", layer=2))} == {"new"}
    with pytest.raises(ConfigError, match="has 1 layer of 2 heads in the part encoder, got 2 and all"):
        save_view(both, tmp_path / "a.svg", layer=2)


def test_layers_of_different_heads(tmp_path):
    layers = [
        Recorded("0", "attention", None, "a kernel without weights"),
        *(Recorded(str(n), "attention", attention_weights(*torch.randn(2, 1, n, 3, 4))) for n in (2, 4)),
    ]
    axis, silent = {"words": text_axis(NAMES)}, Stack("silent", "silent", "words", "words", layers[:1])
    mixed = Page("mixed", axis, [silent, Stack("encoder", "words to words", "words", "words", layers)])
    for show in ("map", "overview"):
        rows = rows_of(save_view(mixed, tmp_path / "a.csv", show=show, head=3))
        assert {(row["layer"], row["head"]) for row in rows} == {("3", "3")}
        rows = rows_of(save_view(mixed, tmp_path / "a.csv", show=show, layer=2, head=2))
        assert {(row["layer"], row["head"]) for row in rows} == {("2", "2")}
    titles = re.findall(r"layer \d, head \d", save_view(mixed, tmp_path / "a.svg").read_text())
    assert titles == [f"layer {n}, head {m}" for n, heads in ((2, 2), (3, 4)) for m in range(1, heads + 1)]
    for show in ("map", "lines", "input"):
        text = save_view(mixed, tmp_path / "a.svg", show=show, head=3).read_text()
        assert show == "lines" or "layer 3, head 3" in text
        for options in ({"layer": 2, "head": 3}, {"layer": 1}, {"head": 5}, {"layer": 4}):
            with pytest.raises(
                ConfigError, match="layer, head: 'mixed' has 3 layers of 0 and 2 and 4 heads in the part enc"
            ):
                save_view(mixed, tmp_path / "a.svg", show=show, **options)
    with pytest.raises(ConfigError, match="part: there are no weights of silent: a kernel without weights"):
        save_view(mixed, tmp_path / "a.svg", part="silent")


def test_of_sound_arrays_and_images(tmp_path):
    rng = np.random.default_rng(0)
    examples = {
        "vectors": (rng.normal(size=(9, 3)).astype(np.float32), {}),
        "audio": (Sound.from_samples(rng.normal(size=4000) * 0.1, 8000), {}),
        "patches": (rng.integers(0, 255, (8, 12), np.uint8), {"patch_size": 4}),
    }
    for front_end, (items, options) in examples.items():
        model = Classifier(front_end=front_end, dim=16, depth=1, heads=2, **options)
        model.fit([(items, "a"), (items, "b")] * 2, epochs=1, average=0, baselines="none", quiet=True)
        made = page_of(model, items)
        for show in ("input", "telltale"):
            text = save_view(made, tmp_path / "a.svg", show=show, at=2).read_text()
            assert "layer 1, head 1: what “" in text
    many = aggregate_page(model, [(items, "a")])
    rows = rows_of(save_view(many, tmp_path / "a.csv"))
    assert {row["what"] for row in rows} == {"rows, columns away"}
    assert save_view(many, tmp_path / "a.png").stat().st_size > 1000
