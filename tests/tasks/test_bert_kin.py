"""Encoders that are nearly BERT: read, trained on, kept, and written, all with the numbers of `transformers`."""

import json
import logging

import pytest
import torch
import transformers
from small_bert import (
    ODD_TEXTS,
    TEXTS,
    build,
    change_config,
    close,
    hidden,
    their_hidden,
    their_tokens,
)
from small_kin import CLASSES, byte_pairs, save_kin
from transformers import AutoTokenizer

import regard
from regard import Classifier, ConfigError, DataError, Labeler, MaskedModel, ModelError, Seq2Seq, UnsupportedError
from regard.formats.huggingface.bert import ARCHITECTURES
from regard.formats.huggingface.read import read_bert
from regard.front_ends.subwords import Subwords
from regard.nn import MaskedHead
from regard.nn.layers import ACTIVATIONS
from regard.tasks.export import export_huggingface

ODD = [text for text in ODD_TEXTS if text.strip()]
SENTENCES = [["The", "dogs", "bark"], ["a"], ["barking", "dogs", ",", "the", "café's", "中文dog"]]
QUICK = {"epochs": 1, "baselines": "none", "average": 0, "dropout": 0.0, "learning_rate": 1e-3}


def test_all_of_them_are_tested():
    assert ARCHITECTURES.keys() == {"bert", *CLASSES}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kind", ["Model", "ForMaskedLM", "ForTokenClassification", "ForSequenceClassification"])
def test_hidden_states_are_those_of_transformers(tmp_path, name, kind):
    theirs = save_kin(tmp_path, name, kind)
    front_end, encoder = build(read_bert(tmp_path))
    tokens = their_tokens(tmp_path, TEXTS)
    close(hidden(front_end, encoder, TEXTS), their_hidden(theirs.base_model, tokens))


@pytest.mark.parametrize("name", CLASSES)
def test_tokens_of_texts_and_of_words_are_those_of_transformers(tmp_path, name):
    save_kin(tmp_path, name, **{ARCHITECTURES[name].keys.get("num_hidden_layers", "num_hidden_layers"): 0})
    front_end = Subwords(read_bert(tmp_path).tokenizer, dim=2)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [front_end.encode([text]).tokens.tolist() for text in ODD_TEXTS] == theirs(ODD_TEXTS)["input_ids"]
    words = AutoTokenizer.from_pretrained(tmp_path, add_prefix_space=True)(SENTENCES, is_split_into_words=True)
    batch = front_end.encode(SENTENCES)
    assert [part.tolist() for part in batch.tokens.split(batch.offsets.diff().tolist())] == words["input_ids"]
    wanted = [
        start + words.word_ids(number).index(word)
        for number, start in enumerate(batch.offsets[:-1].tolist())
        for word in range(len(SENTENCES[number]))
    ]
    assert batch.firsts.tolist() == wanted
    assert [front_end.count(words) for words in SENTENCES] == batch.offsets.diff().tolist()


@pytest.mark.parametrize("name", CLASSES)
def test_the_masked_head_is_that_of_transformers(tmp_path, name):
    theirs = save_kin(tmp_path, name, "ForMaskedLM")
    bert = read_bert(tmp_path)
    front_end, encoder = build(bert)
    tokens, width = front_end.embedding.weight.shape
    head = MaskedHead(12, tokens=tokens, width=width, activation=ACTIVATIONS["gelu"], norm_eps=1e-12)
    head.load_state_dict(bert.masked_head)
    inputs = their_tokens(tmp_path, TEXTS)
    wanted = theirs(**inputs).logits[inputs["attention_mask"].bool()]
    close(head(hidden(front_end, encoder, TEXTS), front_end.embedding.weight), wanted)


@pytest.mark.parametrize(
    ("name", "kind", "config", "left"),
    [
        ("electra", "ForPreTraining", {}, "discriminator_predictions.dense.bias"),
        ("roberta", "ForMaskedLM", {"hidden_act": "relu"}, "lm_head.dense.bias"),
        ("roberta", "ForMaskedLM", {"tie_word_embeddings": False}, "lm_head.decoder.weight"),
        ("distilbert", "ForQuestionAnswering", {}, "qa_outputs.bias"),
    ],
)
def test_heads_that_are_no_part_of_ours_are_left_out(tmp_path, name, kind, config, left, caplog):
    save_kin(tmp_path, name, kind, **config)
    with caplog.at_level(logging.INFO, "regard"):
        assert read_bert(tmp_path).masked_head is None
    assert left in caplog.text


def test_a_pair_of_files_is_roberta_too(tmp_path):
    save_kin(tmp_path, "roberta")
    whole = read_bert(tmp_path)
    vocabulary, merges = byte_pairs()
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]), encoding="utf-8")
    (tmp_path / "tokenizer.json").unlink()
    pair = read_bert(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for bert in (whole, pair):
        front_end = Subwords(bert.tokenizer, dim=2)
        assert [front_end.encode([text]).tokens.tolist() for text in ODD_TEXTS] == theirs(ODD_TEXTS)["input_ids"]
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(ModelError, match=r"neither tokenizer.json nor vocab.txt"):
        read_bert(tmp_path)


@pytest.mark.parametrize("prefix", [True, False])
def test_whether_a_text_begins_with_a_blank_is_what_the_settings_say(tmp_path, prefix):
    save_kin(tmp_path, "roberta")
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"add_prefix_space": prefix}))
    front_end = Subwords(read_bert(tmp_path).tokenizer, dim=2)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [front_end.encode([text]).tokens.tolist() for text in ODD] == theirs(ODD)["input_ids"]


def exported(model, folder, kind):
    """The run opened again, and what transformers opens of it."""
    again = regard.load(folder / "run")
    assert again.config.architecture == model.config.architecture
    name = export_huggingface(again, folder / "exported")
    theirs, told = getattr(transformers, name).from_pretrained(folder / "exported", output_loading_info=True)
    assert not any(told.values()), told
    assert type(theirs).__name__.endswith(kind)
    assert theirs.config.model_type == model.config.architecture
    read_bert(folder / "exported")
    return again.network.eval(), theirs.eval()


@pytest.mark.parametrize("name", CLASSES)
def test_a_labeler_that_started_from_it(tmp_path, name):
    save_kin(tmp_path / "from", name)
    examples = [(words, ["long" if len(word) > 3 else "short" for word in words]) for words in SENTENCES]
    model = Labeler(pretrained=str(tmp_path / "from")).fit(examples * 4, output=tmp_path / "run", **QUICK)
    network, theirs = exported(model, tmp_path, "ForTokenClassification")
    tokens = AutoTokenizer.from_pretrained(tmp_path / "exported")(
        SENTENCES, is_split_into_words=True, padding=True, return_tensors="pt"
    )
    logits = theirs(**tokens).logits
    firsts = [
        row[[tokens.word_ids(number).index(word) for word in range(len(SENTENCES[number]))]]
        for number, row in enumerate(logits)
    ]
    close(network(network.front_end.encode(SENTENCES)).values, torch.cat(firsts))
    assert regard.load(tmp_path / "run").predict(SENTENCES) == model.predict(SENTENCES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_classifier_that_started_from_it(tmp_path, name):
    save_kin(tmp_path / "from", name)
    examples = [(text, "long" if len(text) > 9 else "short") for text in ODD]
    model = Classifier(pretrained=str(tmp_path / "from"), pooling=ARCHITECTURES[name].pooling)
    model.fit(examples * 2, output=tmp_path / "run", **QUICK)
    network, theirs = exported(model, tmp_path, "ForSequenceClassification")
    logits = theirs(**their_tokens(tmp_path / "exported", TEXTS)).logits
    close(network(network.front_end.encode(TEXTS), torch.arange(len(TEXTS) + 1)), logits)


@pytest.mark.parametrize("name", CLASSES)
def test_pretraining_that_goes_on_from_it(tmp_path, name):
    theirs = save_kin(tmp_path / "from", name, "ForMaskedLM")
    options = {**QUICK, "epochs": 1, "learning_rate": 1e-9}
    model = MaskedModel(pretrained=str(tmp_path / "from")).fit(ODD * 2, output=tmp_path / "run", **options)
    network, written = exported(model, tmp_path, "ForMaskedLM")
    tokens = their_tokens(tmp_path / "exported", TEXTS)
    real, inputs = tokens["attention_mask"].bool(), network.front_end.encode(TEXTS)
    ours = network.guess(network.front_end(inputs), torch.ones(len(inputs.tokens), dtype=torch.bool))
    close(ours, written(**tokens).logits[real])
    torch.testing.assert_close(ours, theirs(**tokens).logits[real], rtol=1e-3, atol=1e-3)  # its head was taken
    assert model.predict(["The [MASK] barks."]) == model.predict([f"The {network.front_end.blank} barks."])
    assert len(model.candidates(["The [MASK] barks."], top=3)[0][0]) == 3


def test_a_translation_that_starts_from_roberta(tmp_path):
    save_kin(tmp_path / "from", "roberta")
    pairs = [("the dog", "der hund"), ("dogs bark", "hunde bellen")] * 4
    for options in ({"target_units": "symbols"}, {"shared_vocabulary": True}):
        model = Seq2Seq(pretrained=str(tmp_path / "from"), **options)
        model.fit(pairs, **(QUICK | {"output": tmp_path / "-".join(options)}))
        assert regard.load(tmp_path / "-".join(options)).predict(["the dog"]) == model.predict(["the dog"])


def test_a_vocabulary_cannot_be_shared_by_vectors_of_two_widths(tmp_path):
    save_kin(tmp_path, "electra")
    with pytest.raises(
        ConfigError, match=r"shared_vocabulary: the target's vectors are of dim 12, and .* 8; leave one"
    ):
        Seq2Seq(pretrained=str(tmp_path), shared_vocabulary=True).fit([("a", "b")], **QUICK)


@pytest.mark.parametrize(("name", "longest"), [("roberta", 38), ("distilbert", 40), ("electra", 40)])
def test_the_longest_text_is_that_of_transformers(tmp_path, name, longest):
    save_kin(tmp_path / "from", name)
    model = Labeler(pretrained=str(tmp_path / "from"))
    model.fit([(["a"] * (longest - 2), ["x"] * (longest - 2))], **QUICK)
    with pytest.raises(DataError, match=f"at most {longest} items, where learned positions end"):
        model.predict([["a"] * (longest - 1)])


def test_a_run_goes_on_as_the_same_architecture(tmp_path):
    save_kin(tmp_path / "from", "distilbert")
    MaskedModel(pretrained=str(tmp_path / "from")).fit(ODD, output=tmp_path / "run", **QUICK)
    examples = [(["the", "dog"], ["x", "y"])] * 4
    model = Labeler(pretrained=str(tmp_path / "run")).fit(examples, **QUICK)
    assert export_huggingface(model, tmp_path / "one") == "AutoModelForTokenClassification"
    assert json.loads((tmp_path / "one" / "config.json").read_text())["model_type"] == "distilbert"
    other = Labeler(pretrained=str(tmp_path / "run"), architecture="bert").fit(examples, **QUICK)
    export_huggingface(other, tmp_path / "other")
    assert json.loads((tmp_path / "other" / "config.json").read_text())["model_type"] == "bert"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("distilbert", {"activation": "silu"}, "config.json: activation must be one of relu, .* of another DistilBERT"),
        ("distilbert", {"n_layers": 2.0}, r"n_layers must be a whole number from 0, got 2\.0"),
        ("distilbert", {"n_heads": 5}, "dim must be a multiple of n_heads, got 12 and 5"),
        ("distilbert", {"n_layers": 3}, "'transformer.layer.2.attention.q_lin.weight' is missing"),
        ("roberta", {"pad_token_id": None}, "pad_token_id must be a whole number from 0, got None"),
        ("roberta", {"max_position_embeddings": 2}, "must be more than the 2 up to pad_token_id, got 2"),
        (
            "roberta",
            {"max_position_embeddings": 41},
            r"position_embeddings.weight' has shape \[40, 12\], .* \[41, 12\]",
        ),
        ("xlm-roberta", {"is_decoder": True}, "is_decoder is True, only False can be read; .* a plain XLM-RoBERTa"),
        ("camembert", {"position_embedding_type": "relative_key"}, "is 'relative_key', only 'absolute'"),
        ("electra", {"embedding_size": 12}, r"word_embeddings.weight' has shape \[\d+, 8\], .* asks for \[\d+, 12\]"),
        ("electra", {"num_hidden_layers": 1}, "is no part of ELECTRA with 1 layers"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, name, changes, message):
    save_kin(tmp_path, name)
    change_config(tmp_path, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        read_bert(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"architecture": "roberta", "pooling": "query"},
            "none of RoBERTa's: .*; pooling is 'query', RoBERTa has 'bert'",
        ),
        ({"architecture": "distilbert", "pooling": "bert"}, "pooling is 'bert', DistilBERT has 'distilbert'"),
        ({"architecture": "distilbert", "norm_eps": 1e-5}, "norm_eps is 1e-05, DistilBERT has 1e-12"),
        ({"architecture": "bert", "embedding_dim": 8}, "embedding_dim is 8, BERT has None"),
    ],
)
def test_what_cannot_be_written_as_it_is_refused(tmp_path, options, reason):
    model = Classifier(dim=12, depth=1, heads=3, **options).fit([("a b", "x"), ("b a", "y")] * 4, **QUICK)
    with pytest.raises(UnsupportedError, match=reason):
        export_huggingface(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()
