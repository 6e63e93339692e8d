"""How long a sequence may be, counted in what the network reads: told with file and line, and before training."""

import json
import logging

import pytest

from regard import Classifier, DataError, Labeler, MaskedModel, Seq2Seq
from regard.front_ends.subwords import Subwords

SMALL = {"dim": 8, "depth": 1, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none"}
LEARNED = {**SMALL, "positions": "learned", "position_reach": 24}
LONG = "abcdefghijklmnopqrstuvwxyz"  # one word, more than 24 of anything smaller
# 261: bytes and special tokens, so that no two letters are one subword.
UNITS = {"subwords": {"front_end": "subwords", "subwords": 261}, "characters": {"front_end": "characters"}}


def tagged(path, words=("a", "b"), *, last):
    """Eight short sentences and a last one, which begins on line 25."""
    sentences = [words] * 8 + [last]
    path.write_text("\n".join("".join(f"{word}\tX\n" for word in sentence) for sentence in sentences))
    return path


def lines(path, *, last, short="a b"):
    """Eight short records and a last one, on line 9."""
    path.write_text(f"{short}\n" * 8 + f"{last}\n")
    return path


def refused(path, line, call, *arguments, **options):
    with pytest.raises(DataError, match="at most") as error:
        call(*arguments, **options)
    assert (str(error.value.path), error.value.line) == (str(path), line)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("units", [*UNITS, "words"])
def test_a_labeler_refuses_what_its_positions_do_not_reach(tmp_path, units, window):
    last = ["w"] * 30 if units == "words" else [LONG, "b"]
    short, long = tagged(tmp_path / "short.tsv", last=["b"]), tagged(tmp_path / "long.tsv", last=last)
    options = {**LEARNED, **UNITS.get(units, {}), "window": window}
    refused(long, 25, Labeler(**options).fit, long, output=tmp_path / "run", **ONCE)
    refused(long, 25, Labeler(**options).fit, short, long, tmp_path / "run", **ONCE)
    assert not (tmp_path / "run").exists()
    model = Labeler(**options).fit(short, **ONCE)
    refused(long, 25, model.evaluate, long)
    refused(long, 25, model.predict, long)
    assert [len(labels) for labels in model.predict(short)] == [2] * 8 + [1]


@pytest.mark.parametrize("units", UNITS)
def test_the_longest_of_a_labeler_is_counted_in_what_it_reads(tmp_path, units):
    long = tagged(tmp_path / "long.tsv", last=[LONG, "b"])
    refused(long, 25, Labeler(**SMALL, **UNITS[units]).fit, long, **ONCE, longest=24)
    Labeler(**SMALL, **UNITS[units], window=4).fit(long, **ONCE, longest=24)


def test_a_labeler_that_starts_from_a_run_has_the_reach_of_that(tmp_path):
    MaskedModel(**LEARNED, front_end="characters").fit(["a b"] * 8, output=tmp_path / "run", **ONCE)
    long = tagged(tmp_path / "long.tsv", last=[LONG, "b"])
    refused(long, 25, Labeler(pretrained=str(tmp_path / "run"), front_end="characters").fit, long, **ONCE)


def test_batches_of_a_labeler_are_filled_by_what_it_reads(tmp_path):
    """Eight sentences of 2 words, which are 22 characters: two of them in a batch of 44."""
    sentences = [(["abcabcabc", "cbacbacba"], ["X", "Y"])] * 8
    Labeler(**SMALL, front_end="characters").fit(sentences, output=tmp_path, **ONCE, batch_tokens=44)
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 4


@pytest.mark.parametrize("units", [*UNITS, "words", "symbols"])
def test_a_classifier_reads_in_windows_that_its_positions_reach(tmp_path, caplog, units):
    text = " ".join(f"w{number % 7}" for number in range(60))
    path = lines(tmp_path / "long.tsv", short="X\ta b", last=f"Y\t{text}")
    model = Classifier(**LEARNED, **UNITS.get(units, {"front_end": units}))
    with caplog.at_level(logging.WARNING):
        model.fit(path, path, **ONCE)
    assert "longer than 24 items: they are read in overlapping windows" in caplog.text
    assert len(model.predict([text, "a"])) == 2
    assert 0 <= model.evaluate(path)["accuracy"] <= 1


@pytest.mark.parametrize("units", [*UNITS, "words", "symbols"])
def test_a_masked_model_reads_in_windows_that_its_positions_reach(tmp_path, units):
    path = lines(tmp_path / "raw.txt", last=" ".join(f"w{number % 7}" for number in range(60)))
    model = MaskedModel(**LEARNED, **UNITS.get(units, {"front_end": units})).fit(path, path, **ONCE)
    assert 0 <= model.evaluate(path)["accuracy"] <= 1


@pytest.mark.parametrize("units", ["words", "symbols"])
def test_a_masked_model_fills_blanks_further_than_its_positions_reach(units):
    words = [f"w{number % 7}" for number in range(60)]
    model = MaskedModel(**LEARNED, front_end=units).fit([" ".join(words[:20])] * 8, **ONCE)
    (filled,) = model.predict([" ".join([*words[:40], "[MASK]", *words[41:]])])
    assert [*filled.split()[:40], *filled.split()[41:]] == words[:40] + words[41:]
    assert filled.split()[40] in words


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("units", UNITS)
def test_a_seq2seq_refuses_what_its_positions_do_not_reach(tmp_path, units, side):
    pair = {"source": f"{LONG}\tb", "target": f"b\t{LONG}"}[side]
    short = lines(tmp_path / "short.tsv", short="a b\tb a", last="a\tb")
    long = lines(tmp_path / "long.tsv", short="a b\tb a", last=pair)
    options = {**LEARNED, **UNITS[units], "target_units": units}
    refused(long, 9, Seq2Seq(**options).fit, long, output=tmp_path / "run", **ONCE)
    refused(long, 9, Seq2Seq(**options).fit, short, long, tmp_path / "run", **ONCE)
    assert not (tmp_path / "run").exists()
    model = Seq2Seq(**options).fit(short, **ONCE)
    refused(long, 9, model.evaluate, long)
    if side == "source":
        refused(long, 9, model.predict, long)
    assert len(model.predict(short)) == 9


@pytest.mark.parametrize("model", [Classifier, Labeler, MaskedModel, Seq2Seq])
def test_what_has_too_many_words_is_refused_before_it_is_cut(tmp_path, monkeypatch, model):
    words = ["a"] * 41
    text = " ".join(words)
    records = {
        Classifier: (("a b", "X"), (text, "X")),
        Labeler: ((["a", "b"], ["X", "X"]), (words, ["X"] * 41)),
        MaskedModel: ("a b", text),
        Seq2Seq: (("a b", "b"), (text, "b")),
    }
    short, long = records[model]
    others = [("b a", "Y")] if model is Classifier else []
    options = {**ONCE, "longest": 40, "longest_windowed": 40}
    subwords = {**SMALL, **UNITS["subwords"]}
    known = model(**subwords).fit([short] * 8 + others, **options)

    def cut(*_):
        raise AssertionError("it was cut")

    monkeypatch.setattr(Subwords, "learn", cut)
    monkeypatch.setattr(Subwords, "count", cut)
    for call in (
        lambda: model(**subwords).fit([long], output=tmp_path / "run", **options),
        lambda: known.evaluate([long]),
        lambda: known.predict([long if model is MaskedModel else long[0]]),
    ):
        with pytest.raises(DataError, match=r"at most 40 items.* found one of 41"):
            call()
    assert not (tmp_path / "run").exists()
