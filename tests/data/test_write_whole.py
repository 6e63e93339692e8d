"""Predictions of one label, or one new text, for each sequence, as a user sees them."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_back, written

from regard import data
from regard.data import Example, Place, open_writer
from regard.errors import ConfigError, DataError

TEXTS = st.text(min_size=1, max_size=8).filter(str.strip)
CANDIDATES = [{"target": "a dog", "score": -0.5}, {"target": "dog", "score": -1.25}]


def classified(rows, format, **names):
    return written(rows, goal="label", format=format, **names).decode()


def transduced(rows, format, **names):
    return written(rows, goal="target", format=format, **names).decode()


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_python_reads_our_csv(rows):
    text = classified(rows, "csv", column="class", item_column='"text"')
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [['"text"', "class"], *map(list, rows)]


def test_each_format_as_a_user_sees_it():
    rows = [('Good, "very"!', "+"), ("", "-")]
    assert classified(rows, "csv") == 'text,label\n"Good, ""very""!",+\n,-\n'
    assert classified(rows, "tsv") == '+\tGood, "very"!\n-\t\n'
    assert classified(rows, "text") == "+\n-\n"
    assert classified(rows[1:], "jsonl", column="class", item_column="2") == '{"text": "", "class": "-"}\n'
    scored = [("", {"label": "-", "score": np.float32(0.5)})]
    assert classified(scored, "jsonl") == '{"text": "", "label": "-", "score": 0.5}\n'
    assert classified([], "csv") == "text,label\n"
    rows = [("ein Hund", "a dog"), ("", "")]
    assert transduced(rows, "lines") == transduced(rows, "text") == "a dog\n\n"
    assert transduced(rows, "tsv") == "ein Hund\ta dog\n\t\n"
    assert transduced(rows, "csv") == "source,target\nein Hund,a dog\n,\n"
    assert transduced(rows[:1], "jsonl") == '{"source": "ein Hund", "target": "a dog"}\n'


def test_several_candidates_are_a_row_each_with_their_scores():
    rows, options = [("ein Hund", {"candidates": CANDIDATES})], {"several": True}
    table = "ein Hund\ta dog\t-0.5000\nein Hund\tdog\t-1.2500\n"
    for format in ("lines", "text", "tsv"):
        assert transduced(rows, format, **options) == table
    assert transduced(rows, "csv", **options) == "source,target,score\n" + table.replace("\t", ",")
    assert json.loads(transduced(rows, "jsonl", **options)) == {"source": "ein Hund", "candidates": CANDIDATES}
    with pytest.raises(DataError, match=r"no tab or line end in what tsv holds, found .*; format=jsonl"):
        transduced([("a", {"candidates": [{"target": "a\tb", "score": 0.0}]})], "lines", **options)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_several_candidates_come_back_as_a_pair_each(format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    rows = [("ein Hund", {"candidates": CANDIDATES}), ("bellt", {"candidates": CANDIDATES[:1]})]
    content = written(rows, goal="target", format=format, several=True)
    told = read_back(content, f"a.{format}", goal="target")
    assert told == [("ein Hund", "a dog"), ("ein Hund", "dog"), ("bellt", "a dog")]


def test_rows_of_several_candidates_without_a_header_are_refused_as_pairs():
    content = written([("ein Hund", {"candidates": CANDIDATES})], goal="target", format="tsv", several=True)
    with pytest.raises(DataError, match=r"a.tsv:1: expected a column 'source' .*, found the columns ein Hund, a dog, "):
        read_back(content, "a.tsv", goal="target")


def test_each_sequence_is_in_the_file_once_it_is_put():
    for format, told in {"csv": "text,label\n0,X\n1,X\n", "tsv": "X\t0\nX\t1\n", "text": "X\nX\n"}.items():
        out = io.StringIO()
        with open_writer(out, format=format, goal="label") as put:
            for number in range(2):
                put(Example(str(number)), {"label": "X"})
                lines = told.splitlines(keepends=True)
                assert out.getvalue() == "".join(lines[: len(lines) - 1 + number])
        assert out.getvalue() == told


def test_a_first_row_that_would_be_taken_for_a_header_gets_one_above_it():
    assert classified([("text", "spam"), ("a", "b")], "tsv") == "label\ttext\nspam\ttext\nb\ta\n"
    assert transduced([("source", "x")], "tsv") == "source\ttarget\nsource\tx\n"
    assert classified([("a", "X")], "tsv", column="stars") == "stars\ttext\nX\ta\n"


def test_words_and_arrays_come_out_in_jsonl_only():
    words, array = Example(["a", "b"]), Example(np.zeros((2, 3), np.float32), place=Place("a.ts", 7))
    lines = classified([(words, "X"), (array, "Y")], "jsonl") + transduced([(words, "x"), (array, "y")], "jsonl")
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"words": ["a", "b"], "label": "X"},
        {"label": "Y"},
        {"words": ["a", "b"], "target": "x"},
        {"target": "y"},
    ]
    for format in ("csv", "tsv"):
        with pytest.raises(DataError, match=f"texts, which {format} is made of, found a list of words; format=jsonl"):
            classified([(words, "X")], format)
    with pytest.raises(DataError, match=r"a.ts:7: expected texts, which tsv is made of, found an array; format=jsonl"):
        transduced([(array, "x")], "tsv")
    with pytest.raises(DataError, match="expected an array, which ts is made of, found something else; format=jsonl"):
        classified([(words, "x")], "ts")


@pytest.mark.parametrize("wrong", ["a\tb", "a\nb", "a\rb"], ids=repr)
def test_what_would_read_back_as_something_else_is_refused(wrong):
    for row in ((wrong, "X"), ("a", wrong)):
        with pytest.raises(DataError, match=r"no tab or line end in what tsv holds, found .*; format=jsonl"):
            classified([row], "tsv")
        with pytest.raises(DataError, match=r"no tab or line end in what tsv holds, found .*; format=jsonl"):
            transduced([row], "tsv")


def test_a_line_end_where_each_stands_on_one_line():
    with pytest.raises(DataError, match=r"no line end in what stands on one line, found 'a\\nb'; format=jsonl takes"):
        transduced([("a", "a\nb")], "lines")
    with pytest.raises(DataError, match="no line end in what stands on one line"):
        classified([("a", "a\nb")], "text")


def test_wrong_calls():
    with pytest.raises(
        ConfigError, match="format must be csv, tsv, jsonl, parquet, ts, npz, folder, text, got 'conllu'"
    ):
        data.write([], [], io.StringIO(), format="conllu", goal="label")
    known = "lines, csv, tsv, jsonl, parquet, text"
    with pytest.raises(ConfigError, match=f"format must be {known}, got 'line'; did you mean 'lines'"):
        data.write([], [], io.StringIO(), format="line", goal="target")
    with pytest.raises(ConfigError, match="goal must be labels, segments, mask, label, target, nothing, got 'lable'"):
        data.read([("a", "X")], goal="lable")
    with pytest.raises(ValueError, match="zip"):
        data.write([Example("a")], [], io.StringIO(), format="csv", goal="label")
