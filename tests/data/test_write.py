"""Predictions of a label for every item, as a user sees them. See test_round_trips.py for what comes back."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_back, written

from regard import data
from regard.data import Example, Place, open_writer, writable_formats
from regard.errors import ConfigError, DataError


def rows(sequences):
    return [([word for word, _ in pairs], [label for _, label in pairs]) for pairs in sequences]


def text_of(sequences, format, **names):
    return written(rows(sequences), goal="labels", format=format, **names).decode()


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), max_size=5), min_size=1))
def test_text_keeps_the_sentences_and_their_order(sentences):
    content = "".join(" ".join(words) + "\n" for words in sentences).encode()
    read = [words for words, _ in read_back(content, "a.txt", goal="labels", labelled=False)]
    lines = text_of([[(word, "X") for word in words] for words in read], "text").split("\n")[:-1]
    assert [[word.removesuffix("/X") for word in line.split()] for line in lines] == sentences


def test_each_format_as_a_user_sees_it():
    sequences = [[("The", "DET"), ("dog", "NOUN")], [], [("é", "X")]]
    assert text_of(sequences, "text") == "The/DET dog/NOUN\n\né/X\n"
    assert text_of(sequences, "tsv") == text_of(sequences, "columns") == "The\tDET\ndog\tNOUN\n\n\né\tX\n\n"
    assert text_of(sequences, "jsonl").splitlines() == [
        '{"words": ["The", "dog"], "labels": ["DET", "NOUN"]}',
        '{"words": [], "labels": []}',
        '{"words": ["é"], "labels": ["X"]}',
    ]
    assert text_of(sequences, "csv") == "words,labels\nThe dog,DET NOUN\n,\né,X\n"
    assert text_of([[("New York", "X")]], "csv") == 'words,labels\n"[""New York""]",X\n'
    row = "1\té\t_\t{}\t_\t{}\t_\t_\t_\t_\n\n"
    assert text_of([[("é", "X")]], "conllu") == row.format("X", "_")
    assert text_of([[("é", "Sing")]], "conllu", column="feats.Number") == row.format("_", "Number=Sing")


@pytest.mark.parametrize(
    ("format", "first", "second"),
    [
        ("text", "a/X\n", "b/X\n"),
        ("csv", "words,labels\na,X\n", "b,X\n"),
        ("tsv", "a\tX\n\n", "b\tX\n\n"),
        ("jsonl", '{"words": ["a"], "labels": ["X"]}\n', '{"words": ["b"], "labels": ["X"]}\n'),
    ],
)
def test_each_sequence_is_in_the_file_once_it_is_put(format, first, second):
    out = io.StringIO()
    with open_writer(out, format=format, goal="labels") as put:
        put(Example(["a"]), {"labels": ["X"]})
        assert out.getvalue() == first
        put(Example(["b"]), {"labels": ["X"]})
        assert out.getvalue() == first + second


def test_arrays_come_out_as_labels_in_the_text_formats_in_jsonl_only():
    example = Example(np.zeros((2, 3), np.float32))
    told = written([(example, ["up", "down"])], goal="labels", format="jsonl")
    assert json.loads(told) == {"labels": ["up", "down"]}
    text_formats = {name for name, row in writable_formats("labels").items() if row.medium == "text"}
    assert text_formats == {"conllu", "columns", "csv", "tsv", "jsonl", "text"}
    for format in text_formats - {"jsonl"}:
        with pytest.raises(DataError, match=f"words, which {format} is made of, found an array; format=jsonl takes it"):
            written([(example, ["up", "down"])], goal="labels", format=format)
    with pytest.raises(DataError, match="an array, which npz is made of, found text; format=jsonl takes it"):
        written([(["a"], ["X"])], goal="labels", format="npz")


def test_words_that_a_format_cannot_hold():
    example = Example(["New York"], place=Place("a.jsonl", 3))
    for format in ("text", "columns"):
        with pytest.raises(
            DataError, match=rf"a.jsonl:3: expected no white space in what {format} holds, found 'New York'"
        ):
            written([(example, ["X"])], goal="labels", format=format)


@pytest.mark.parametrize(
    ("format", "word"),
    [("tsv", "a\tb"), ("tsv", " "), ("tsv", "a\nb"), ("columns", "a b"), ("conllu", "a\nb"), ("text", "a\u00a0b")],
)
@pytest.mark.parametrize("as_label", [True, False], ids=["label", "word"])
def test_what_would_read_back_as_something_else_is_refused(format, word, as_label):
    pair = ("dog", word) if as_label else (word, "NOUN")
    with pytest.raises(DataError, match="format=jsonl takes it"):
        text_of([[pair]], format)


def test_marks_of_a_format_are_no_words_and_no_labels_of_it():
    with pytest.raises(DataError, match="expected words alone, found '-DOCSTART-', which parts documents; format=jso"):
        text_of([[("-DOCSTART-", "X")]], "columns")
    with pytest.raises(DataError, match=r"no tab, line end or bar in what conllu holds, found 'a\|b'; format=jsonl"):
        text_of([[("a", "a|b")]], "conllu", column="feats.Case")
    with pytest.raises(DataError, match=r"no null character at the end of what npz holds, found 'a\\x00'; format="):
        written([(np.ones((1, 1), np.float32), ["a\0"])], goal="labels", format="npz")


def test_wrong_calls():
    known = "conllu, columns, tsv, csv, jsonl, parquet, npz, text"
    with pytest.raises(ConfigError, match=f"format must be {known}, got 'lines'"):
        data.write([], [], io.StringIO(), format="lines", goal="labels")
    with pytest.raises(DataError, match="a label for each of 2 items, found 1 labels"):
        written([(["a", "b"], ["X"])], goal="labels", format="tsv")
    with pytest.raises(DataError, match=r"a column of CoNLL-U: .* found 'upso'; did you mean 'upos'"):
        text_of([], "conllu", column="upso")
