"""What is read of a BERT's folder, against `transformers`."""

import logging

import pytest
import torch
from small_bert import (
    LIKE_BERT,
    TEXTS,
    VOCABULARY,
    build,
    change_tensors,
    close,
    hidden,
    save_bert,
    their_hidden,
    their_tokens,
)
from transformers import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForTokenClassification,
    BertModel,
)

from regard import Ragged
from regard.formats.huggingface.read import read_bert
from regard.formats.huggingface.write import reasons_against_bert
from regard.nn import MaskedHead, Pooling
from regard.nn.layers import ACTIVATIONS
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, BertForTokenClassification])
def test_hidden_states_are_those_of_transformers(tmp_path, kind, activation):
    theirs = save_bert(tmp_path, kind, hidden_act=activation)
    front_end, encoder = build(read_bert(tmp_path))
    encoded, tokens = front_end.encode(TEXTS), their_tokens(tmp_path, TEXTS)
    assert encoded.tokens.tolist() == tokens["input_ids"][tokens["attention_mask"].bool()].tolist()
    close(hidden(front_end, encoder, TEXTS), their_hidden(theirs.base_model, tokens))


def test_gradients_are_those_of_transformers(tmp_path):
    theirs = save_bert(tmp_path, BertModel)
    front_end, encoder = build(read_bert(tmp_path))
    ours, others = hidden(front_end, encoder, TEXTS), their_hidden(theirs, their_tokens(tmp_path, TEXTS))
    weights = torch.linspace(-1, 1, ours.numel()).view_as(ours)
    (ours * weights).sum().backward()
    (others * weights).sum().backward()
    layer, their_layer = encoder.layers[1], theirs.encoder.layer[1]
    queries = [getattr(their_layer.attention.self, name).weight.grad for name in ("query", "key", "value")]
    torch.testing.assert_close(layer.attention.input.weight.grad, torch.cat(queries), rtol=1e-4, atol=1e-5)
    for mine, wanted in [
        (front_end.embedding, theirs.embeddings.word_embeddings),
        (encoder.embedding_norm, theirs.embeddings.LayerNorm),
        (layer.attention.output, their_layer.attention.output.dense),
        (layer.around_attention.norm, their_layer.attention.output.LayerNorm),
        (layer.feed_forward.input, their_layer.intermediate.dense),
        (layer.feed_forward.output, their_layer.output.dense),
    ]:
        torch.testing.assert_close(mine.weight.grad, wanted.weight.grad, rtol=1e-4, atol=1e-5)
    by_position = theirs.embeddings.position_embeddings.weight.grad
    torch.testing.assert_close(encoder.positions.table.grad, by_position, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForPreTraining])
def test_the_masked_head_is_that_of_transformers(tmp_path, kind):
    theirs = save_bert(tmp_path, kind, hidden_act="relu", layer_norm_eps=1e-3)
    bert = read_bert(tmp_path)
    front_end, encoder = build(bert)
    head = MaskedHead(12, tokens=len(VOCABULARY), activation=ACTIVATIONS["relu"], norm_eps=1e-3)
    head.load_state_dict(bert.masked_head)
    tokens = their_tokens(tmp_path, TEXTS)
    wanted = theirs(**tokens)[0][tokens["attention_mask"].bool()]
    close(head(hidden(front_end, encoder, TEXTS), front_end.embedding.weight), wanted)


def test_the_pooler_is_that_of_transformers(tmp_path):
    theirs = save_bert(tmp_path, BertModel)
    bert = read_bert(tmp_path)
    front_end, encoder = build(bert)
    pool = Pooling("bert", dim=12)
    pool.load_state_dict(bert.pooler)
    pooled = pool(encoder(front_end(front_end.encode(TEXTS))))
    close(pooled, theirs(**their_tokens(tmp_path, TEXTS)).pooler_output)
    assert pool(Ragged(torch.zeros(0, 12), torch.tensor([0, 0]))).tolist() == [[0.0] * 12]


def test_options_are_those_of_the_folder(tmp_path):
    save_bert(tmp_path, BertModel, {"do_lower_case": False}, layer_norm_eps=1e-7)
    options = read_bert(tmp_path).options
    assert options | LIKE_BERT == options | {"norm_eps": 1e-12}
    assert options["norm_eps"] == 1e-7
    assert (options["lowercase"], options["subwords"]) == (False, len(VOCABULARY))
    assert not reasons_against_bert("label", make_config(LabelConfig, options).model_dump())


def old_names(tensors):
    """As the first BERTs were saved."""
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    renamed["cls.predictions.decoder.weight"] = renamed["bert.embeddings.word_embeddings.weight"]
    return renamed | {"bert.embeddings.position_ids": torch.arange(40)[None]}


def assert_same(one, other):
    for name in ("encoder", "masked_head"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(one.embedding, other.embedding)


def test_names_of_old_are_known(tmp_path, caplog):
    save_bert(tmp_path, BertForPreTraining)
    new = read_bert(tmp_path)
    change_tensors(tmp_path, old_names)
    with caplog.at_level(logging.INFO, "regard"):
        assert_same(read_bert(tmp_path), new)
    left = "cls.predictions.decoder.weight, cls.seq_relationship.bias, cls.seq_relationship.weight"
    assert f"not taken, as no part of an encoder: {left}\n" in caplog.text


def test_a_bias_of_the_decoder_is_that_of_the_head(tmp_path):
    save_bert(tmp_path, BertForMaskedLM)
    new = read_bert(tmp_path)
    change_tensors(tmp_path, lambda all: all.update({"cls.predictions.decoder.bias": all.pop("cls.predictions.bias")}))
    assert_same(read_bert(tmp_path), new)


def test_a_head_with_a_matrix_of_its_own_is_left_out(tmp_path, caplog):
    save_bert(tmp_path, BertForMaskedLM, tie_word_embeddings=False)
    with caplog.at_level(logging.INFO, "regard"):
        assert read_bert(tmp_path).masked_head is None
    assert "cls.predictions.bias" in caplog.text


def test_halves_are_read_as_float32(tmp_path):
    save_bert(tmp_path, BertModel)
    whole = read_bert(tmp_path)
    change_tensors(tmp_path, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    half = read_bert(tmp_path)
    assert half.embedding.dtype == torch.float32
    assert torch.equal(half.embedding, whole.embedding.half().float())
    assert (whole.masked_head, half.pooler["dense.bias"].dtype) == (None, torch.float32)


def test_no_layers_is_a_bert_too(tmp_path):
    theirs = save_bert(tmp_path, BertModel, num_hidden_layers=0)
    close(hidden(*build(read_bert(tmp_path)), TEXTS), their_hidden(theirs, their_tokens(tmp_path, TEXTS)))


def test_weights_in_several_files_are_read(tmp_path):
    (tmp_path / "one").mkdir()
    theirs = save_bert(tmp_path / "one", BertModel)
    theirs.save_pretrained(tmp_path / "several", max_shard_size="5KB")
    (tmp_path / "several" / "vocab.txt").write_bytes((tmp_path / "one" / "vocab.txt").read_bytes())
    assert not (tmp_path / "several" / "model.safetensors").exists()
    one, several = read_bert(tmp_path / "one"), read_bert(tmp_path / "several")
    assert all(torch.equal(one.encoder[name], tensor) for name, tensor in several.encoder.items())


def test_the_gelu_of_a_tanh_is_known_by_its_names(tmp_path):
    theirs = save_bert(tmp_path, BertModel, hidden_act="gelu_new")
    bert = read_bert(tmp_path)
    assert bert.options["activation"] == "gelu_tanh"
    close(hidden(*build(bert), TEXTS), their_hidden(theirs, their_tokens(tmp_path, TEXTS)))
