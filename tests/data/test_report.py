"""What is told of data, compared with what pandas and a plain count say, and what looks wrong in them."""

import logging
import random

import numpy as np
import pandas
import pictures
import pytest
import sounds

from regard import Classifier, Recording
from regard.data import read
from regard.data.records import Example, Place
from regard.data.report import look
from regard.data.segments import Segment

WORDS = ["the", "film", "was", "long", "short", "good", "bad", "dull", "bright", "old", "new"]


def texts(count, seed=1):
    """Different texts of 3 to 8 words."""
    draw = random.Random(seed)
    return [f"{number} {' '.join(draw.choices(WORDS, k=draw.randint(2, 7)))}" for number in range(count)]


def labelled(labels, seed=1):
    return read(list(zip(texts(len(labels), seed), labels, strict=True)), goal="label", items="text")


def warnings_of(labels, **options):
    return look(labelled(labels), goal="label", **options).warnings


def test_lengths_labels_and_repetitions_are_those_of_pandas():
    draw = random.Random(3)
    rows = [(draw.choice(texts(40)), draw.choice("abc")) for _ in range(120)]
    frame = pandas.DataFrame(rows, columns=["text", "label"])
    report = look(read(rows, goal="label", items="text"), goal="label")
    words = frame.text.str.split().str.len()
    found = report.train.lengths["words"]
    assert (found.shortest, found.longest) == (words.min(), words.max())
    assert (found.median, found.most) == tuple(words.quantile([0.5, 0.95], interpolation="nearest"))
    assert report.train.labels == frame.label.value_counts().to_dict()
    assert report.repeated == frame.text.duplicated().sum()
    assert report.contradicted == (frame.groupby("text").label.transform("nunique") > 1).sum()


def test_what_dev_shares_is_counted_with_its_places(tmp_path):
    some = texts(60)
    for name, part in (("train", some[:50]), ("dev", some[47:])):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"{text},{len(text) % 2}\n" for text in part))
    train, dev = (read(tmp_path / f"{name}.csv", goal="label") for name in ("train", "dev"))
    report = look(train, dev, goal="label")
    assert report.shared == 3
    (warning,) = report.warnings
    assert warning.startswith("dev shares 3 of its 13 examples (23.1 %) with train")
    assert f"{tmp_path}/dev.csv, lines 2, 3, 4" in warning


ODD = {
    "one label": (["a"] * 20, "all training data has one label, 'a', which every prediction will be"),
    "one example": (["a", "b"] * 9 + ["c"], "1 of 3 labels has one training example, from which little can be"),
    "nearly all differ": (list(map(str, range(20))), "20 different labels for 20 examples: nearly each has its own"),
    "fractions": (["0.5", "3.7"] * 9, "labels are numbers with fractions, '0.5', '3.7' say"),
    "comma": (["0,5", "3,0"] * 9, "labels are numbers with fractions, '0,5' say"),
    "case": (["Pos", "pos", "neg"] * 5, "learned as different ones: 'Pos' (5) and 'pos' (5); write them alike"),
    "blanks": (["a b", "a  b", "c"] * 5, "learned as different ones: 'a  b' (5) and 'a b' (5)"),
    "missing": (["a", "nan", "b"] * 5, "5 labels are 'nan', which looks like none at all"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_labels_are_told(case):
    labels, expected = ODD[case]
    (warning,) = warnings_of(labels)
    assert expected in warning


@pytest.mark.parametrize("labels", [["a", "b"] * 9, ["1", "2", "3.0"] * 5, ["0.5", "much"] * 9, ["a"] * 9 + ["b"] * 2])
def test_nothing_is_told_of_usual_labels(labels):
    assert warnings_of(labels) == []


def test_swapped_columns_are_told_apart_from_labels_that_differ():
    examples = read([(label, text) for text, label in zip(texts(30), "ab" * 15, strict=True)], goal="label")
    (warning,) = look(examples, goal="label").warnings
    assert warning == (
        "30 different labels for 30 examples, and only 2 different texts: label and text are likely swapped; tell them "
        "apart with `text_column` and `column`"
    )


def test_one_text_with_two_labels_and_what_came_in_twice():
    rows = [(text, "ab"[number % 2]) for number, text in enumerate(texts(10))]
    (warning,) = look(read([*rows, (rows[3][0], "a")], goal="label"), goal="label").warnings
    assert "2 of 11 training examples have the text of another one, and another label: example 4, example 11" in warning
    (warning,) = look(read(rows + rows[:2], goal="label"), goal="label").warnings
    assert "2 of 12 training examples stand there before: example 11, example 12" in warning


def test_a_quote_that_is_not_closed_and_a_wrong_encoding(tmp_path):
    rows = [f"{text},{number % 2}\n" for number, text in enumerate(texts(300))]
    (tmp_path / "train.csv").write_text(
        "text,label\nfa\ufffdade,1\n" + "".join(rows[:30]) + '"' + "".join(rows) + '",1\n'
    )
    broken, long = look(read(tmp_path / "train.csv", goal="label"), goal="label").warnings
    assert f"wrong encoding: {tmp_path}/train.csv, line 2;" in broken
    assert f"{tmp_path}/train.csv, line 33; a quote that is not closed?" in long


def test_labels_of_words_and_targets():
    words = read([(["a", "b"], ["X", "Y"]), (["c"], ["x"]), (["d"], ["X"])], goal="labels")
    report = look(words, words[:1], goal="labels")
    assert report.train.labels == {"X": 2, "Y": 1, "x": 1}
    assert "2 of 3 labels have one training item" in report.warnings[0]
    assert "'X' (2) and 'x' (1)" in report.warnings[1]
    pairs = read([(text, text.upper()) for text in texts(20)] + [("a long source of many words", "A")], goal="target")
    report = look(pairs, goal="target")
    assert report.train.lengths["target words"].longest == 8
    assert report.train.labels == {}
    assert "1 of 21 targets has more than 10 times the usual length" in report.warnings[0]


def test_recordings_by_their_files(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    draw = np.random.default_rng(1)
    quiet = np.zeros(8000)
    for name, middle in (("one", draw.normal(0, 0.1, 8000)), ("two", draw.normal(0, 0.1, 8000))):
        soundfile.write(tmp_path / f"{name}.wav", np.concatenate([quiet, middle, quiet]), 8000)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "one.wav").read_bytes())
    one, two, copy = (Recording.from_file(tmp_path / f"{name}.wav") for name in ("one", "two", "copy"))
    examples = read([(one, "a"), (two, "b"), (copy, "a")], goal="label", items="recordings")
    dev = read([(one.part(0, 1), "a"), (copy, "b")], goal="label", items="recordings")
    report = look(examples, dev, goal="label")
    assert report.repeated == 1  # and not 2: one and two are alike at their ends alone
    assert (report.shared, report.shared_files) == (1, 1)
    assert report.train.lengths["seconds"].longest == 3
    heard = read([(one, [Segment(0, 3, "a")]), (two, [Segment(0, 3, "a")])], goal="segments", items="recordings")
    assert "all training data has one label, 'a'" in look(heard, goal="segments").warnings[0]
    heard = read([(one, [Segment(0, 2, "a")]), (two, [Segment(0, 3, "a")])], goal="segments", items="recordings")
    assert look(heard, goal="segments").warnings == []  # there is what is outside, too


def test_masks_are_unpacked_where_that_is_asked_for(tmp_path):
    for name, pixels in (("image", 0), ("mask", 3)):
        pictures.save(tmp_path / f"{name}s" / "one.png", np.full((4, 4), pixels, np.uint8))
    (tmp_path / "list.csv").write_text("image,mask\nimages/one.png,masks/one.png\n")
    masks = read(tmp_path / "list.csv", goal="mask", items="images")
    assert look(masks, goal="mask", masks=True).train.labels == {"3": 1}
    assert look(masks, goal="mask").train.labels == {}


def test_what_was_read_of_folders_is_named_by_its_files(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / "read" / label).mkdir(parents=True)
        (tmp_path / "read" / label / "one.txt").write_text("the same text")
        sounds.save_tone(tmp_path / "heard" / label / "one.wav", "low")
    for folder, items, kind in ((tmp_path / "read", "text", "text"), (tmp_path / "heard", "recordings", "recording")):
        (warning,) = [
            line for line in look(read(folder, goal="label", items=items), goal="label").warnings if "another" in line
        ]
        assert f"2 of 2 training examples have the {kind} of another one, and another label" in warning
        ending = "txt" if items == "text" else "wav"
        assert f"{folder}/bad/one.{ending}, {folder}/good/one.{ending}" in warning


def test_lines_of_several_files_are_named_with_each():
    some = [Example("the same", label, Place(f"{label}.txt", line=4)) for label in ("good", "bad")]
    assert any("good.txt, line 4, bad.txt, line 4" in line for line in look(some, goal="label").warnings)


def test_training_tells_it_once_before_it_begins(caplog):
    rows = [(text, "ab"[number % 2]) for number, text in enumerate(texts(20))]
    sorter = Classifier(front_end="characters", dim=8, depth=1, heads=1)
    with caplog.at_level(logging.WARNING):
        sorter.fit([*rows, ("last", "c")], dev=rows[:2], epochs=2, baselines="all")
    told = [record.getMessage() for record in caplog.records]
    assert [line[:20] for line in told] == ["1 of 3 labels has on", "dev shares 2 of its "]
