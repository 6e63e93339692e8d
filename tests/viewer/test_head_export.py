"""Heads as files: numbers as they are, pictures of one head alone."""

import csv
import re

import numpy as np
import pytest
import torch

from regard import ConfigError
from regard.attention import attention_weights
from regard.viewer.export import save_heads
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
    rows = rows_of(save_heads(made, tmp_path / "a.csv"))
    for layer in range(2):
        dense = made.stacks[0].layers[layer].weights.dense()[0]
        for head in range(2):
            found = np.zeros((3, 3))
            for row in rows:
                if (int(row["layer"]), int(row["head"])) == (layer + 1, head + 1):
                    assert row["query_name"] == NAMES[int(row["query"]) - 1]
                    assert row["key_name"] == NAMES[int(row["key"]) - 1]
                    found[int(row["query"]) - 1, int(row["key"]) - 1] = float(row["weight"])
            np.testing.assert_allclose(found, dense[head].numpy(), rtol=1e-5)
    one = rows_of(save_heads(made, tmp_path / "b.csv", layer=2, head=1))
    assert one == [row for row in rows if (row["layer"], row["head"]) == ("2", "1")]


def test_numbers_without_names(tmp_path):
    first = rows_of(save_heads(page(names=None), tmp_path / "a.csv"))[0]
    assert (first["query"], first["query_name"]) == ("1", "")


def test_a_picture_of_one_head(tmp_path):
    text = save_heads(page(), tmp_path / "a.svg", layer=2, head=1).read_text()
    assert re.findall(r"layer \d, head \d", text) == ["layer 2, head 1"]
    assert "we" in text
    whole = save_heads(page(), tmp_path / "b.svg").read_text()
    assert re.findall(r"layer \d, head \d", whole) == [f"layer {n}, head {m}" for n in (1, 2) for m in (1, 2)]


@pytest.mark.parametrize("choice", [{"layer": 3}, {"head": 3}, {"layer": 1, "head": 9}])
def test_a_head_that_is_not_there(tmp_path, choice):
    with pytest.raises(ConfigError, match="layer, head: 'three words' has 2 layers of 2 heads, got"):
        save_heads(page(), tmp_path / "a.csv", **choice)
    assert not (tmp_path / "a.csv").exists()
