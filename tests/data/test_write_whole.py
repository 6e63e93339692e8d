"""Predictions of one label, or one new text, for each sequence."""

import csv
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from regard.data import Example, read_classified, read_pairs, write_classified, write_transduced
from regard.data.fields import LABEL_NAMES, SOURCE_NAMES, TARGET_NAMES, TEXT_NAMES
from regard.errors import ConfigError, DataError

CHARACTERS = st.one_of(st.sampled_from(' \t\r\n",\\1\u00a0\u2028'), st.characters(exclude_categories=["Cs"]))
TEXTS = st.text(CHARACTERS, min_size=1, max_size=8).filter(str.strip)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)


def classified(rows, format, **options):
    out = io.StringIO(newline="")
    examples, labels = [Example(text) for text, _ in rows], [label for _, label in rows]
    write_classified(examples, labels, out, format=format, **options)
    return out.getvalue()


def transduced(rows, format):
    out = io.StringIO(newline="")
    write_transduced([Example(text) for text, _ in rows], [output for _, output in rows], out, format=format)
    return out.getvalue()


def read_back(text, name, read, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode())
        return [(example.items, example.label or example.target) for example in read(path, **options)]


def is_table(rows):
    """Neither binary, nor with a mark of UTF-8, nor with a first row that is taken for a header."""
    names = {*TEXT_NAMES, *LABEL_NAMES, *SOURCE_NAMES, *TARGET_NAMES}
    text = "".join(first + second for first, second in rows)
    return not set(text) & {"\0", "\ufeff"} and names.isdisjoint(cell.strip().lower() for cell in rows[0])


@pytest.mark.parametrize("format", ["csv", "jsonl", "tsv"])
@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_labels_come_back_or_the_format_refuses_to_write(format, rows):
    assume(is_table(rows))
    if format == "tsv" and any(set(text) & set("\t\r\n") for row in rows for text in row):
        with pytest.raises(DataError, match="format=jsonl takes it"):
            classified(rows, format)
        return
    assert read_back(classified(rows, format), f"a.{format}", read_classified) == rows


@pytest.mark.parametrize("format", ["jsonl", "tsv"])
@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_outputs_come_back_or_the_format_refuses_to_write(format, rows):
    assume(is_table(rows))
    if format == "tsv" and any(set(text) & set("\t\r\n") for row in rows for text in row):
        with pytest.raises(DataError, match="format=jsonl takes it"):
            transduced(rows, format)
        return
    assert read_back(transduced(rows, format), f"a.{format}", read_pairs) == rows


@given(ROWS)
def test_python_reads_our_csv(rows):
    text = classified(rows, "csv", column="class", text_column='"text"')
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [['"text"', "class"], *map(list, rows)]


def test_each_format_as_a_user_sees_it():
    rows = [('Good, "very"!', "+"), ("", "-")]
    assert classified(rows, "csv") == 'text,label\n"Good, ""very""!",+\n,-\n'
    assert classified(rows, "tsv") == '+\tGood, "very"!\n-\t\n'
    assert classified(rows, "text") == "+\n-\n"
    assert classified(rows[1:], "jsonl", column="class", text_column="2") == '{"text": "", "class": "-"}\n'
    assert classified(rows[1:], "jsonl", scores=[np.float32(0.5)]) == '{"text": "", "label": "-", "score": 0.5}\n'
    rows = [("ein Hund", "a dog"), ("", "")]
    assert transduced(rows, "lines") == transduced(rows, "text") == "a dog\n\n"
    assert transduced(rows, "tsv") == "ein Hund\ta dog\n\t\n"
    assert transduced(rows[:1], "jsonl") == '{"source": "ein Hund", "target": "a dog"}\n'


def test_writing_goes_on_in_the_same_file():
    out = io.StringIO()
    for number, text in enumerate(["a", "b"]):
        write_classified([Example(text)], ["X"], out, format="csv", header=number == 0)
    assert out.getvalue() == "text,label\na,X\nb,X\n"


def test_words_and_arrays_come_out_in_jsonl_only():
    words, array = Example(["a", "b"]), Example(np.zeros((2, 3), np.float32), source="a.ts", line=7)
    out = io.StringIO()
    write_classified([words, array], ["X", "Y"], out, format="jsonl")
    write_transduced([words, array], ["x", "y"], out, format="jsonl")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"words": ["a", "b"], "label": "X"},
        {"label": "Y"},
        {"words": ["a", "b"], "target": "x"},
        {"target": "y"},
    ]
    for format in ("csv", "tsv"):
        with pytest.raises(DataError, match=f"texts, which {format} is made of, found a list of words; format=jsonl"):
            write_classified([words], ["X"], out, format=format)
    with pytest.raises(DataError, match=r"a.ts:7: expected texts, which tsv is made of, found an array; format=jsonl"):
        write_transduced([array], ["x"], out, format="tsv")


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
    with pytest.raises(ConfigError, match="format must be csv, tsv, jsonl, text, got 'npz'"):
        classified([], "npz")
    with pytest.raises(ConfigError, match="format must be lines, text, tsv, jsonl, got 'line'; did you mean 'lines'"):
        transduced([], "line")
    with pytest.raises(ValueError, match="zip"):
        write_classified([Example("a")], [], io.StringIO(), format="csv")
