"""New sequences: trained small; cached decoding beside the whole network run afresh."""

import json
import logging

import numpy as np
import pytest
import torch
from tones import played

import regard
from regard import ConfigError, DataError, Seq2Seq
from regard.tasks.transduce.metrics import text_scores

SMALL = {
    "front_end": "characters",
    "target_units": "symbols",
    "dim": 32,
    "depth": 1,
    "heads": 2,
    "dropout": 0.0,
    "positions": "sinusoidal",
}
QUICK = {"epochs": 100, "batch_tokens": 200, "average": 0, "learning_rate": 4e-3, "label_smoothing": 0.0}
WORDS = ["ab", "ba", "abba", "cab", "bac", "a", "caba", "bb"]
PAIRS = [(word, " ".join(reversed(word.upper()))) for word in WORDS]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "backwards"
    Seq2Seq(**SMALL).fit(PAIRS * 10, output=folder, **QUICK)
    return folder


def test_it_learns_and_comes_back_from_its_folder(run):
    model = regard.load(run)
    assert isinstance(model, Seq2Seq)
    assert model.predict(WORDS) == [target for _, target in PAIRS]
    assert model.evaluate(PAIRS)["exact"] == 1.0
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert set(scores) == {"regard", "copy", "most frequent"}
    assert scores["most frequent"]["exact"] == 1.0
    assert "a new sequence" in (run / "README.md").read_text()


@pytest.mark.parametrize("shared", [True, False])
def test_subwords_on_both_sides(shared, tmp_path):
    pairs = [("ein hund", "a dog"), ("eine katze", "a cat"), ("ein haus", "a house")] * 15
    options = {
        "positions": "sinusoidal",
        "subwords": 400,
        "shared_vocabulary": shared,
        "tied": shared,
        "dim": 32,
        "depth": 1,
        "heads": 2,
    }
    model = Seq2Seq(**options, dropout=0.0).fit(pairs, output=tmp_path / "run", **QUICK)
    assert model.predict(["eine katze"]) == ["a cat"]
    again = regard.load(tmp_path / "run")
    assert again.predict(["eine katze", "ein haus"]) == ["a cat", "a house"]
    assert (again.network.target is again.network.front_end) == shared


def test_vectors_become_text():
    rng = np.random.default_rng(0)
    spoken = {"one": -1.0, "two": 1.0}
    pairs = [(rng.normal(size=(length, 3)) + shift, word) for length in (3, 6) for word, shift in spoken.items()]
    model = Seq2Seq(**SMALL | {"front_end": "vectors", "target_units": "characters"}).fit(pairs * 10, **QUICK)
    assert model.predict([array for array, _ in pairs]) == [word for _, word in pairs]
    assert list(model.scores["scores"]) == ["regard"]


def test_recordings_become_text(tmp_path):
    texts = [*"ABC", "AB", "BA", "CA"]
    pairs = [(played(text, seed)[0], " ".join(text)) for seed, text in enumerate(texts * 8)]
    sound = {"front_end": "audio", "target_units": "symbols", "subsample": 4, "bins": 20, "window": 8}
    model = Seq2Seq(**SMALL | sound).fit(pairs, output=tmp_path / "run", mask_frames=0, **QUICK | {"epochs": 24})
    new = [played(text, seed=100)[0] for text in texts]
    assert model.predict(new) == [" ".join(text) for text in texts]
    assert list(model.scores["scores"]) == ["regard"]
    maps = regard.load(tmp_path / "run").attention(new[3])
    assert maps.cross.items == ["A", "B", "[SEP]"]
    assert maps.cross.seen[:3] == maps.encoder.items[:3] == ["0.00", "0.04", "0.08"]


@pytest.mark.parametrize("positions", ["relative", "learned", "rotary"])
def test_scores_of_cached_search_are_those_of_the_whole_network(positions):
    """Σ log p of each hypothesis, by running its prefix afresh."""
    model = Seq2Seq(**SMALL | {"positions": positions, "position_reach": 64}).fit(
        PAIRS * 4, epochs=2, batch_tokens=100, length_penalty=0.7
    )
    network = model.network.eval()
    for word, found in zip(WORDS, model.candidates(WORDS, beam=4, top=4), strict=True):
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        assert len({text for text, _ in found}) == 4
        for text, score in found:
            batch = model.collate([regard.data.Example(word, text)])
            with torch.no_grad():
                log_p = network(batch.inputs, batch.tokens).values.log_softmax(1)
            whole = log_p.gather(1, batch.following[:, None]).sum() / len(batch.following) ** 0.7
            assert score == pytest.approx(float(whole), abs=1e-4)


def test_a_beam_of_one_is_greedy_and_alone_is_as_together(run):
    model = regard.load(run)
    network, target = model.network.eval(), model.network.target
    for word, text in zip(WORDS, model.predict(WORDS, beam=1), strict=True):
        tokens = [target.special["[CLS]"]]
        while len(tokens) < 20 and tokens[-1] != target.special["[SEP]"]:
            inputs = network.front_end.encode([word])
            prefix = regard.Ragged.from_list([torch.tensor(tokens)])
            with torch.no_grad():
                tokens.append(int(network(inputs, prefix).values[-1].argmax()))
        assert target.text(tokens) == text
        assert model.predict([word], beam=1) == [text]


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_steps_on_a_gpu_write_the_same(run, positions, monkeypatch):
    """Where hypotheses stand in slots, as a CUDA graph needs them."""
    model = regard.load(run)
    if positions == "learned":
        model = Seq2Seq(**SMALL | {"positions": "learned", "position_reach": 9}).fit(PAIRS, epochs=1, average=0)
    monkeypatch.setattr("regard.tasks.batches.ON_CPU", 12)  # some batches

    def found():
        drawn = [[text for text, _ in some] for some in model.sample(WORDS, samples=2, seed=1)]
        return model.predict(WORDS), model.predict(WORDS, beam=1), drawn, model.candidates(WORDS, top=3)

    expected = found()
    monkeypatch.setattr("regard.tasks.transduce.seq2seq.REPLAYING", ("cpu",))
    assert found()[:3] == expected[:3]
    for some, others in zip(found()[3], expected[3], strict=True):
        assert [text for text, _ in some] == [text for text, _ in others]
        assert [score for _, score in some] == pytest.approx([score for _, score in others], rel=1e-4)


def test_outputs_can_be_drawn_at_random(run):
    model = regard.load(run)
    first, second = (model.sample(WORDS, samples=3, temperature=2.0, seed=1) for _ in range(2))
    assert first == second
    assert [len(drawn) for drawn in first] == [3] * len(WORDS)
    assert all(scores == sorted(scores, reverse=True) for scores in ([score for _, score in drawn] for drawn in first))
    assert model.sample(WORDS, top_k=1) == model.candidates(WORDS, top=1, beam=1)


def test_an_output_that_does_not_end_is_cut_and_said_so(caplog):
    model = Seq2Seq(**SMALL).fit(PAIRS, epochs=1)
    with torch.no_grad():
        model.network.bias[model.network.target.special["[SEP]"]] = -1e4
    with caplog.at_level(logging.WARNING):
        (text,) = model.predict(["ab"], beam=1)
    assert len(text.split()) == 20 + 2 * 4
    assert "1 of 1 outputs did not end by themselves: they were cut at 20 items and 2 times their source" in caplog.text


def test_who_attends_to_whom(run, tmp_path):
    maps = regard.load(run).attention("cab")
    assert maps.encoder.items == ["[CLS]", "c", "a", "b", "[SEP]"]
    assert maps.decoder.items == maps.cross.items == ["B", "A", "C", "[SEP]"]
    assert maps.decoder.seen == ["[CLS]", "B", "A", "C"]
    assert maps.cross[0].shape == (2, 4, 5)
    assert maps.decoder[0].triu(1).abs().max() == 0
    for weights in (maps.encoder[0], maps.decoder[0], maps.cross[0]):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    page = maps.save(tmp_path / "page.html").read_text()
    assert [f'"id":"{name}"' in page for name in ("encoder", "cross", "decoder")] == [True] * 3


def test_scores_of_texts():
    from jiwer import cer, wer
    from sacrebleu import corpus_bleu, corpus_chrf

    gold, found = ["the cat sat down", "a dog barks"], ["the cat sat", "a dog barked"]
    scores = text_scores(gold, found)
    assert scores["bleu"] == pytest.approx(corpus_bleu(found, [gold]).score / 100)
    assert scores["chrf"] == pytest.approx(corpus_chrf(found, [gold]).score / 100)
    assert scores["symbol_error"] == pytest.approx(wer(gold, found))
    assert scores["character_error"] == pytest.approx(cer(gold, found))
    assert scores["exact"] == 0


def test_bad_input_is_refused_with_its_place(run, tmp_path):
    (tmp_path / "a.de").write_text("eins\nzwei\n")
    (tmp_path / "a.en").write_text("one\n")
    with pytest.raises(DataError, match=r"a\.de: expected as many lines as in .*a\.en \(1\), found 2 lines"):
        Seq2Seq().fit(tmp_path / "a.de", train_target=tmp_path / "a.en")
    (tmp_path / "a.en").write_text("one\n\n")
    with pytest.raises(DataError, match=r"a\.en:2"):
        Seq2Seq().fit(tmp_path / "a.de", train_target=tmp_path / "a.en")
    with pytest.raises(DataError, match=r"a source of at most 3000 items .*, found one of 1000002"):
        regard.load(run).predict(["a" * 1_000_000])
    with pytest.raises(ConfigError, match="shared_vocabulary: source and target must be of one kind"):
        Seq2Seq(front_end="characters", shared_vocabulary=True).fit(PAIRS)
