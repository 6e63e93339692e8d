"""Folders that are no BERT, each refused with what to do."""

import pytest
import torch
from small_bert import VOCABULARY, change_config, change_tensors, save_bert
from transformers import BertModel

from regard import ModelError
from regard.formats.huggingface.read import read_bert


def drop(name):
    return lambda folder: change_tensors(folder, lambda tensors: tensors.pop(name) is None)


def put(name, tensor):
    return lambda folder: change_tensors(folder, lambda tensors: tensors.update({name: tensor}))


def config(**changes):
    return lambda folder: change_config(folder, **changes)


def rename(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def write(name, text):
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


QUERY = "encoder.layer.1.attention.self.query.weight"
BAD_FOLDERS = [
    (config(model_type="gpt2"), r"model_type is 'gpt2', only 'bert', 'roberta', .*, 'electra' can be read; name the"),
    (config(model_type=...), "model_type is None, only 'bert'"),
    (config(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key', only 'absolute'"),
    (config(is_decoder=True), "is_decoder is True, only False"),
    (config(add_cross_attention=True), "add_cross_attention is True, only False"),
    (config(hidden_act="silu"), "hidden_act must be one of relu, gelu, gelu_new, gelu_pytorch_tanh, got 'silu'"),
    (config(hidden_size=12.0), r"hidden_size must be a whole number from 1, got 12\.0"),
    (config(type_vocab_size=0), "type_vocab_size must be a whole number from 1, got 0"),
    (config(num_hidden_layers=-1), "num_hidden_layers must be a whole number from 0, got -1"),
    (config(num_hidden_layers=2**32 - 1), r"holds \d+ tensors, config.json asks for 4294967295 layers; copy both"),
    (write("tokenizer.json", "{"), r"tokenizer.json: not whole JSON"),
    (config(num_attention_heads=5), "hidden_size must be a multiple of num_attention_heads, got 12 and 5"),
    (config(layer_norm_eps="small"), "layer_norm_eps must be a number between 0 and 1, got 'small'"),
    (rename("config.json", "other.json"), r"config.json: no such file; a BERT's folder holds config.json, model.saf"),
    (write("config.json", "{"), "config.json: not whole JSON"),
    (write("config.json", "[]"), "config.json: holds a JSON list"),
    (drop(QUERY), rf"'{QUERY}' is missing, config.json asks for \[12, 12\]"),
    (put(QUERY, torch.zeros(12, 6)), rf"'{QUERY}' has shape \[12, 6\], config.json asks for \[12, 12\]"),
    (put(QUERY, torch.zeros(12, 12, dtype=torch.int8)), rf"'{QUERY}' holds I8, only F16, .* can be read"),
    (put("bert." + QUERY, torch.zeros(12, 12)), rf"'{QUERY}' stands there twice"),
    (
        put("encoder.layer.1.adapter.weight", torch.zeros(1)),
        r"'encoder.layer.1.adapter.weight' is no part of BERT with 2 layers",
    ),
    (
        config(num_hidden_layers=1),
        r"'encoder.layer.1.attention.output.LayerNorm.bias' is no part of BERT with 1 layers",
    ),
    (config(num_hidden_layers=3), r"'encoder.layer.2.attention.self.query.weight' is missing"),
    (
        config(vocab_size=50),
        r"'embeddings.word_embeddings.weight' has shape \[\d+, 12\], config.json asks for \[50, 12\]",
    ),
    (drop("pooler.dense.bias"), "'pooler.dense.bias' is missing"),
    (put("cls.predictions.bias", torch.zeros(len(VOCABULARY))), "'cls.predictions.transform.dense.weight' is missing"),
    (cut_weights, "model.safetensors: not a whole safetensors file"),
    (write("model.safetensors", ""), "model.safetensors: not a whole safetensors file"),
    (rename("model.safetensors", "x"), "model.safetensors: no such file; copy it beside config.json"),
    (
        rename("model.safetensors", "pytorch_model.bin"),
        r"holds pytorch_model.bin but no .* model.save_pretrained\(FOLDER\)",
    ),
    (rename("model.safetensors", "model.safetensors.index.json"), "index.json: not whole JSON"),
    (rename("vocab.txt", "words.txt"), "holds neither tokenizer.json nor vocab.txt; copy one of them"),
    (write("vocab.txt", "\n".join(VOCABULARY[:-1])), r"vocab.txt: its (\d+) tokens .* table of vectors has \d+ rows"),
    (write("vocab.txt", "\n".join((*VOCABULARY[:-1], "a"))), "vocab.txt: its .* tokens are numbered up to"),
    (write("vocab.txt", "\n".join(VOCABULARY).replace("[CLS]", "<s>")), r"vocab.txt: it lacks \[CLS\]; only one with"),
    (write("tokenizer.json", "{}"), "tokenizer.json: not one of the `tokenizers` library"),
    (
        write(
            "tokenizer.json", '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}'
        ),
        "got WordLevel",
    ),
    (
        write("tokenizer_config.json", '{"do_lower_case": "no"}'),
        "config.json: do_lower_case must be true or false",
    ),
    (write("tokenizer_config.json", "?"), "tokenizer_config.json: not whole JSON"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    save_bert(folder, BertModel)
    return folder


@pytest.mark.parametrize(("spoil", "message"), BAD_FOLDERS, ids=[message[:50] for _, message in BAD_FOLDERS])
def test_a_folder_that_is_no_bert_is_refused(tmp_path, saved, spoil, message):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    read_bert(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        read_bert(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert str(caught.value).count(str(tmp_path)) == 1
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere/config.json: no such file"):
        read_bert(tmp_path / "nowhere")
