"""Networks that are not ours, named as on the command line."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from regard import ConfigError, RegardError
from regard.viewer.external import external_page, recording_page
from regard.viewer.recording import Recording, record

MODULE = """
import torch
from torch import nn

torch.manual_seed(0)
network = nn.MultiheadAttention(8, 2, batch_first=True)
x = torch.randn(1, 3, 8)

def make():
    return network, (x, x, x)

def named(text):
    words = text.split()
    x = torch.randn(1, len(words), 8)
    return network, {"query": x, "key": x, "value": x}, words

def nothing():
    return nn.Linear(2, 2), (torch.zeros(2),)

def alone():
    return network

def wrong():
    return 3, 4
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    return str(path)


def test_a_function_in_a_file(file):
    page = external_page(f"{file}:make", None)
    (stack,) = page.meta["stacks"]
    assert (stack["query"], stack["key"], stack["layers"][0]["heads"]) == ("positions-3", "positions-3", 2)
    space = {}
    exec(MODULE, space)
    _, expected = space["network"](space["x"], space["x"], space["x"], average_attn_weights=False)
    cells = np.frombuffer(page.block("weights/stack0/0/1/0/0"), np.uint8).reshape(3, 3)
    largest = stack["layers"][0]["largest"][1]
    np.testing.assert_allclose(largest * (cells / 255) ** 2, expected[0, 1].detach(), atol=0.004 * largest)


def test_a_function_of_the_input_with_names(file):
    page = external_page(f"{file}:named", "we saw it")
    assert page.meta["axes"]["positions-3"]["names"] == ["we", "saw", "it"]
    assert page.meta["title"] == "we saw it"


@pytest.mark.parametrize("names", [[1, 2, 3], torch.arange(3), np.arange(3.0), ("a", None, "c")], ids=str)
def test_names_that_are_numbers(names):
    network = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with record(network) as recording:
        network(*[torch.randn(1, 3, 8)] * 3)
    page = recording.page(names)
    wanted = names.tolist() if hasattr(names, "tolist") else names
    assert page.meta["axes"]["positions-3"]["names"] == [str(name) for name in wanted]
    assert b"positions-3" in page.html()


def test_a_function_of_a_module(tmp_path, monkeypatch):
    (tmp_path / "mine_too.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert external_page("mine_too:make", None).meta["stacks"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (":none", ConfigError, "torch: there is no function 'none' in "),
        (":alone", ConfigError, "must give a module and its input \\(and names\\), got MultiheadAttention"),
        (":wrong", ConfigError, "must give a module and its input, got int first"),
        (":nothing", RegardError, "nothing in this network attends"),
        ("", ConfigError, "torch: a folder that transformers wrote, or FILE.py:NAME or MODULE:NAME"),
    ],
)
def test_what_is_none(file, name, error, message):
    with pytest.raises(error, match=message):
        external_page(f"{file}{name}", None)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"torch: .*none\.py cannot be imported: .*No such file"):
        external_page(f"{tmp_path}/none.py:make", None)
    with pytest.raises(ConfigError, match="torch: no_such_module cannot be imported"):
        external_page("no_such_module:make", None)


def test_a_folder_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "we", "saw", "it"]
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).eval()
    model.save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordPiece({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"INPUT: a text that the model in .* reads; add one"):
        external_page(str(tmp_path), None)
    page = external_page(str(tmp_path), "we saw it")
    (stack,) = page.meta["stacks"]
    assert page.meta["axes"][stack["query"]]["names"] == ["[CLS]", "we", "saw", "it", "[SEP]"]
    assert [layer["name"] for layer in stack["layers"]] == [f"encoder.layer.{n}.attention.self" for n in range(2)]


def test_a_folder_that_is_none_of_transformers(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="is no folder that transformers opens"):
        external_page(str(tmp_path), "x")


def test_what_gives_no_weights_says_why():
    network = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with record(network) as recording:
        network(*[torch.randn(1, 3, 8)] * 3)
    silent = replace(recording[0], weights=None, why="a kernel that gives none; choose another")
    with pytest.raises(RegardError, match=r"gives no weights: a kernel that gives none; choose another"):
        recording_page(Recording([silent]))
    told = recording_page(Recording([recording[0], replace(silent, name="other")])).meta["stacks"]
    assert [layer["reason"] for stack in told for layer in stack["layers"]] == [None, silent.why]
    with pytest.raises(RegardError, match="nothing in this network attends"):
        recording_page(Recording())
