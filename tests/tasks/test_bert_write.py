"""What is written as BERT, opened with `transformers`."""

import json
import os
import re

import pytest
import torch
from small_bert import (
    LIKE_BERT,
    TEXTS,
    close,
    hidden,
    scramble,
    their_hidden,
    their_tokens,
    write_whole,
)
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from regard import Classifier, ConfigError, Labeler, ModelError, RegardError, UnsupportedError
from regard.formats.huggingface.read import read_bert
from regard.formats.huggingface.write import reasons_against_bert, write_bert
from regard.front_ends.subwords import Subwords, learn_tokenizer
from regard.nn import MaskedHead, Pooling
from regard.tasks.fitting import make_encoder
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config


def random_parts(options=LIKE_BERT):
    tokenizer = json.loads(learn_tokenizer(TEXTS * 3, kind="wordpiece", size=80).to_str())
    front_end = scramble(Subwords(tokenizer, dim=12))
    return tokenizer, front_end, scramble(make_encoder(make_config(LabelConfig, options)))


def load(kind, folder):
    model, told = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return model.eval()


@pytest.mark.parametrize(
    "other", [{}, {"activation": "relu", "norm_eps": 0.01, "feed_forward_dim": None, "depth": 1, "dropout": 0.25}]
)
def test_a_written_encoder_is_the_same_in_transformers(tmp_path, other):
    options, folder = LIKE_BERT | other, tmp_path / "new" / "folder"
    parts = random_parts(options)
    _, front_end, encoder = parts
    pooler = scramble(Pooling("bert", dim=12))
    write_whole("encoder", folder, *parts, options=options, pooler=pooler.state_dict())
    theirs, tokens = load(AutoModel, folder), their_tokens(folder, TEXTS)
    assert theirs.config.hidden_dropout_prob == options.get("dropout", LabelConfig.model_fields["dropout"].default)
    close(hidden(front_end, encoder, TEXTS), their_hidden(theirs, tokens))
    close(pooler(encoder(front_end(front_end.encode(TEXTS)))), theirs(**tokens).pooler_output)


def test_a_written_masked_head_is_the_same_in_transformers_and_here(tmp_path):
    parts = random_parts()
    _, front_end, encoder = parts
    head = scramble(MaskedHead(12, tokens=len(front_end.embedding.weight), norm_eps=1e-12))
    write_whole("pretrain", tmp_path, *parts, head=head.state_dict())
    theirs, tokens = load(AutoModelForMaskedLM, tmp_path), their_tokens(tmp_path, TEXTS)
    logits = theirs(**tokens).logits[tokens["attention_mask"].bool()]
    close(head(hidden(front_end, encoder, TEXTS), front_end.embedding.weight), logits)
    bert = read_bert(tmp_path)
    assert bert.encoder.keys() == encoder.state_dict().keys()
    assert all(torch.equal(bert.encoder[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(torch.equal(bert.masked_head[name], tensor) for name, tensor in head.state_dict().items())
    assert torch.equal(bert.embedding, front_end.embedding.weight)


def test_a_labeler_is_the_same_in_transformers(tmp_path):
    sentences = [["The", "dogs", "bark"], ["a"], ["barking", "dogs", ",", "the", "dog"]]
    examples = [(words, ["long" if len(word) > 3 else "short" for word in words]) for words in sentences]
    tagger = Labeler(**LIKE_BERT).fit(examples * 4, epochs=1, baselines="none")
    network = tagger.network.eval()
    write_bert(
        tmp_path,
        kind="label",
        options=tagger.config.model_dump(),
        **network.front_end.vocabulary(),
        embedding=network.front_end.embedding.weight,
        encoder=network.encoder.state_dict(),
        head=network.head.state_dict(),
        labels=tagger.labels,
    )
    theirs = load(AutoModelForTokenClassification, tmp_path)
    assert theirs.config.id2label == {0: "long", 1: "short"}
    tokens = their_tokens(tmp_path, sentences, is_split_into_words=True)
    logits = theirs(**tokens).logits
    firsts = [
        row[[words.index(number) for number in range(len(sentence))]]
        for row, words, sentence in zip(logits, map(tokens.word_ids, range(3)), sentences, strict=True)
    ]
    close(network(network.front_end.encode(sentences)).values, torch.cat(firsts))


def test_a_classifier_is_the_same_in_transformers(tmp_path):
    sorter = Classifier(**LIKE_BERT, pooling="bert", ngrams=0)
    examples = [(text, "long" if len(text) > 9 else "short") for text in TEXTS if text]
    sorter.fit(examples * 4, epochs=1, baselines="none")
    network = sorter.network.eval()
    write_bert(
        tmp_path,
        kind="classify",
        options=sorter.config.model_dump(),
        **network.front_end.vocabulary(),
        embedding=network.front_end.embedding.weight,
        encoder=network.encoder.state_dict(),
        head=network.head.state_dict(),
        pooler=network.pool.state_dict(),
        labels=sorter.labels,
    )
    theirs = load(AutoModelForSequenceClassification, tmp_path)
    assert theirs.config.label2id == {"long": 0, "short": 1}
    windows = torch.arange(len(TEXTS) + 1)
    close(network(network.front_end.encode(TEXTS), windows), theirs(**their_tokens(tmp_path, TEXTS)).logits)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"front_end": "words"}, "front_end is 'words', BERT has 'subwords'"),
        ({"encoder": "sliding"}, "encoder is 'sliding', BERT has 'attention'"),
        ({"positions": "rotary"}, "positions is 'rotary', BERT has 'learned'"),
        ({"embedding_norm": False}, "embedding_norm is False, BERT has True"),
        ({"window": (2, 2)}, "window is (2, 2), BERT has None"),
        ({"causal": True}, "causal is True, BERT has False"),
        ({"score": "additive"}, "score is 'additive', BERT has 'dot'"),
        ({"normalizer": "relu"}, "normalizer is 'relu', BERT has 'softmax'"),
        ({"norm": "pre"}, "norm is 'pre', BERT has 'post'"),
        ({"norm": "pre", "causal": True}, "causal is True, BERT has False; norm is 'pre', BERT has 'post'"),
    ],
)
def test_a_network_that_is_no_bert_is_refused_with_every_reason(tmp_path, options, reason):
    with pytest.raises(UnsupportedError, match=re.escape(f"to be exported: {reason}; train with")):
        write_whole("encoder", tmp_path / "new", *random_parts(), options=LIKE_BERT | options)
    assert not (tmp_path / "new").exists()


def test_only_berts_pooling_can_be_exported():
    assert reasons_against_bert("classify", {"pooling": "first"}) == ["pooling is 'first', BERT has 'bert'"]
    assert reasons_against_bert("label", {"pooling": "first"}) == []
    assert reasons_against_bert("classify", {"ngrams": 9}) == ["ngrams is 9, BERT has 0"]


def test_tensors_that_are_not_those_of_the_options_are_refused(tmp_path):
    tokenizer, front_end, encoder = random_parts()
    V = len(front_end.embedding.weight)

    def refused(message, *, kind="encoder", encoder=encoder, front_end=front_end, **parts):
        with pytest.raises(ModelError, match=message):
            write_whole(kind, tmp_path / "new", tokenizer, front_end, encoder, **parts)
        assert not list(tmp_path.iterdir())

    deeper = make_encoder(make_config(LabelConfig, LIKE_BERT | {"depth": 3}))
    refused(r"encoder: .* first wrong at 'layers.2.around.*bias': BERT has nothing, got \[12\]", encoder=deeper)
    wide = Subwords(tokenizer, dim=8)
    refused(rf"embedding: .* BERT has \[{V}, 12\], got \[{V}, 8\]", front_end=wide)
    linear = torch.nn.Linear(12, 3).state_dict()
    refused(r"head: .* 'bias': BERT has \[2\], got \[3\]", kind="label", head=linear, labels=["a", "b"])
    refused(r"pooler: .* 'dense.bias': BERT has \[12\], got nothing", kind="classify", head=linear, labels=list("abc"))
    refused(r"head: .* 'bias': BERT has nothing, got \[3\]", kind="encoder", head=linear)
    refused(rf"head: .* BERT has \[{V}\], got \[3\]", kind="pretrain", head=linear)
    tokenizer = json.loads(learn_tokenizer(TEXTS * 3, kind="wordpiece", size=V - 3).to_str())
    refused(rf"tokenizer.json: its {V - 3} tokens .* has {V} rows")


def test_places_that_must_not_be_written_are_refused(tmp_path):
    parts = random_parts()
    with pytest.raises(ConfigError, match="kind must be one of encoder, label, classify, pretrain; got 'tag'"):
        write_whole("tag", tmp_path, *parts)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(RegardError, match=r"model.json: cannot be written, something is there already; name a new fol"):
        write_whole("encoder", tmp_path / "model.json", *parts)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "x.txt"]
)
def test_a_folder_that_holds_anything_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RegardError, match="cannot be written, something is there already; name a new folder"):
        write_whole("encoder", tmp_path, *random_parts())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_an_empty_folder_is_filled_where_it_stands(tmp_path, monkeypatch):
    output = tmp_path / "output"
    output.mkdir()
    monkeypatch.chdir(output)
    write_whole("encoder", ".", *random_parts())
    assert {path.name for path in output.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }
    assert os.path.samefile(output, ".")
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
