"""A tokenizer that was made elsewhere, in place of one learned from the training text."""

import json
import re

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import regard
from regard import Classifier, ConfigError, Labeler, MaskedModel, ModelError, RegardError, Seq2Seq

TEXTS = ["one two three four five", "five four three two one", "three four five six seven"]
SMALL = {"dim": 32, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 30, "batch_tokens": 300, "average": 0, "learning_rate": 4e-3}


@pytest.fixture
def given(tmp_path):
    """Neither BPE nor WordPiece, and without BERT's special tokens."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 10, trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@pytest.mark.parametrize("name", ["tokenizer.json", "."])
def test_text_is_cut_as_it_cuts_it(given, tmp_path, name):
    model = MaskedModel(tokenizer=str(tmp_path / name), **SMALL).fit(TEXTS * 30, output=tmp_path / "run", **QUICK)
    wanted = Tokenizer.from_file(str(given))
    given.unlink()  # the run folder holds it
    for opened in (model, regard.load(tmp_path / "run")):
        assert opened.network.front_end.tokens("three four eleven") == wanted.encode("three four eleven").ids
        assert opened.network.front_end.text(wanted.encode("three four").ids) == "three four"
        assert opened.candidates(["one two [MASK] four five"]) == model.candidates(["one two [MASK] four five"])


def test_other_tasks_take_it_too(given):
    rows = Tokenizer.from_file(str(given)).encode("one two").ids
    labelled = [(text, "up" if text.startswith("one") else "down") for text in TEXTS] * 20
    sorter = Classifier(tokenizer=str(given), **SMALL).fit(labelled, **QUICK)
    assert sorter.predict(TEXTS) == ["up", "down", "down"]
    pairs = [(text, " ".join(reversed(text.split()))) for text in TEXTS] * 20
    translator = Seq2Seq(tokenizer=str(given), shared_vocabulary=True, **SMALL).fit(pairs, **QUICK)
    assert sorter.network.front_end.tokens("one two") == translator.network.target.tokens("one two") == rows
    assert translator.predict(TEXTS[:1]) == ["five four three two one"]


def test_a_vocabulary_of_bert_is_one(tmp_path):
    (tmp_path / "words.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\none\ntwo\n##s\n")
    model = MaskedModel(tokenizer=str(tmp_path / "words.txt"), **SMALL).fit(["one twos"] * 30, **QUICK)
    assert model.network.front_end.tokens("One twos three") == [5, 6, 7, 1]


def test_what_it_does_not_go_with_is_refused(given, tmp_path):
    def refused(kind: type[RegardError], message: str, task: type = Classifier, **options: object) -> None:
        examples = [(["one"], ["1"])] if task is Labeler else [("one", "1"), ("two", "2")]
        with pytest.raises(kind, match=re.escape(message)):
            task(**{"tokenizer": str(given), **SMALL, **options}).fit(examples * 9, **QUICK)

    refused(ConfigError, "subwords: the tokenizer", subwords=100)
    refused(ConfigError, "lowercase: the tokenizer", lowercase=True)
    refused(ConfigError, "tokenizer: it cuts text into subwords, got front_end 'words'", Labeler)
    refused(ModelError, "nowhere: no such file or folder", tokenizer="nowhere")
    (tmp_path / "empty").mkdir()
    refused(ModelError, "empty: holds neither tokenizer.json nor vocab.txt", tokenizer=str(tmp_path / "empty"))
    (tmp_path / "bad.json").write_text(json.dumps({"model": 1}))
    refused(ModelError, "bad.json: not one of the `tokenizers` library", tokenizer=str(tmp_path / "bad.json"))
    MaskedModel(tokenizer=str(given), **SMALL).fit(TEXTS, output=tmp_path / "run", **QUICK)
    refused(ConfigError, "tokenizer: the pretrained network has its own", pretrained=str(tmp_path / "run"))
