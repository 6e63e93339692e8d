"""Whatever a format of a goal takes, it brings back."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reading import plain, read_back, written

from regard import data
from regard.data import writable_formats
from regard.errors import DataError

# every character that UTF-8 can write, and more often than not those that formats are made of
SPECIAL = ' \t\r\n#_-/\\",[]|:=@1\u00a0\u2028\ufeff\0'
CHARACTERS = st.one_of(st.sampled_from(SPECIAL), st.characters(exclude_categories=["Cs"]))
WORDS = st.text(CHARACTERS, min_size=1, max_size=6)
TEXTS = st.one_of(WORDS, st.sampled_from(["text", "label", "source", "Target", "class"])).filter(str.strip)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SEQUENCES = st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=5), min_size=1, max_size=4).map(
    lambda sequences: [([word for word, _ in pairs], [label for _, label in pairs]) for pairs in sequences]
)
HOLDS_ALL = ("csv", "jsonl", "parquet")
NOT_READ = ("text", "folder")  # answers alone, or words and labels on a line; no file (see test_folder.py)

quick = settings(max_examples=50, deadline=None)
needs_arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs pyarrow")


def formats(goal, *without):
    """The formats of a goal that are written and read."""
    names = set(writable_formats(goal)) - {*NOT_READ, *without}
    return [pytest.param(name, marks=needs_arrow if name == "parquet" else ()) for name in sorted(names)]


def arrays_of(channels, least):
    return st.integers(least, 4).flatmap(lambda count: arrays(np.float32, (count, channels), elements=NUMBERS))


def bytes_of(rows, goal, format, *, may_refuse, **names):
    """The file; None where the format cannot hold these rows, and may say so."""
    try:
        content = written(rows, goal=goal, format=format, **names)
    except DataError as error:
        refused = str(error)
    else:
        refused = None
    if refused is not None:
        assert may_refuse
        assert "format=jsonl takes it" in refused
        return None
    if writable_formats(goal)[format].medium == "text":
        assume(b"\0" not in content and not content.startswith(b"\xef\xbb\xbf"))  # marks of binary files, and of UTF-8
    return content


def rows_of(strategy, answers):
    return st.lists(st.tuples(strategy, answers), min_size=1, max_size=4)


@pytest.mark.parametrize("format", formats("labels", "npz"))
@quick
@given(rows=SEQUENCES)
def test_words_with_labels(format, rows):
    column = "xpos" if format == "conllu" else None
    content = bytes_of(rows, "labels", format, may_refuse=format not in HOLDS_ALL, column=column)
    if format not in HOLDS_ALL:
        rows = [(words, labels) for words, labels in rows if words]  # an empty one is one more blank line
    assume(any(label != "_" for _, labels in rows for label in labels))  # CoNLL-U's way to say that there is none
    if content is not None:
        assert read_back(content, goal="labels", format=format, column=column) == rows


@pytest.mark.parametrize("format", formats("labels", "conllu", "columns", "tsv", "csv", "jsonl"))
@quick
@given(drawn=st.data(), channels=st.integers(1, 3))
def test_vectors_with_labels(format, drawn, channels):
    items = drawn.draw(st.lists(arrays_of(channels, 0), min_size=1, max_size=4))
    assume(any(map(len, items)))
    rows = [(array, drawn.draw(st.lists(WORDS, min_size=len(array), max_size=len(array)))) for array in items]
    content = bytes_of(rows, "labels", format, may_refuse=any(label[-1] == "\0" for _, told in rows for label in told))
    if content is not None:
        told = read_back(content, goal="labels", format=format)
        assert told == [(array.tolist(), labels) for array, labels in rows]


@pytest.mark.parametrize("format", formats("label", "ts", "npz"))
@quick
@given(rows=rows_of(TEXTS, TEXTS), named=st.booleans())
def test_a_text_with_a_label(format, rows, named):
    names = {"column": "stars", "item_column": "body"} if named else {}
    content = bytes_of(rows, "label", format, may_refuse=format == "tsv", **names)
    if content is not None:
        assert read_back(content, goal="label", format=format, **names) == rows


@pytest.mark.parametrize("format", formats("label", "csv", "tsv", "jsonl"))
@quick
@given(drawn=st.data(), channels=st.integers(1, 3), column=st.sampled_from([None, "sex"]))
def test_vectors_with_a_label(format, drawn, channels, column):
    rows = drawn.draw(rows_of(arrays_of(channels, 1), TEXTS))
    content = bytes_of(rows, "label", format, may_refuse=format != "parquet", column=column)
    if content is not None:
        told = read_back(content, goal="label", format=format, column=column)
        assert told == [(array.tolist(), label) for array, label in rows]


@pytest.mark.parametrize("format", formats("target", "lines"))
@quick
@given(rows=rows_of(TEXTS, TEXTS), named=st.booleans())
def test_a_text_with_a_target(format, rows, named):
    names = {"column": "en", "item_column": "de"} if named else {}
    content = bytes_of(rows, "target", format, may_refuse=format == "tsv", **names)
    if content is not None:
        assert read_back(content, goal="target", format=format, **names) == rows


@quick
@given(rows=rows_of(TEXTS, TEXTS))
def test_targets_in_a_file_of_their_own(rows):
    targets = bytes_of(rows, "target", "lines", may_refuse=True)
    sources = bytes_of([(text, text) for text, _ in rows], "target", "lines", may_refuse=True)
    if targets is None or sources is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a"), Path(folder, "b")
        source.write_bytes(sources)
        target.write_bytes(targets)
        assert plain(data.read(source, goal="target", target=target)) == rows


@pytest.mark.parametrize("goal", ["label", "target"])
@pytest.mark.parametrize("format", ["jsonl", pytest.param("parquet", marks=needs_arrow)])
@quick
@given(rows=rows_of(st.lists(WORDS, min_size=1, max_size=3), TEXTS))
def test_words_with_one_goal(goal, format, rows):
    content = bytes_of(rows, goal, format, may_refuse=False)
    assert read_back(content, goal=goal, format=format) == rows


@pytest.mark.parametrize("format", ["csv", pytest.param("parquet", marks=needs_arrow)])
@quick
@given(rows=rows_of(TEXTS, st.lists(st.tuples(TEXTS, st.floats(-9, 0)), min_size=1, max_size=3)))
def test_several_candidates(format, rows):
    told = [(text, {"candidates": [{"target": goal, "score": score} for goal, score in some]}) for text, some in rows]
    content = bytes_of(told, "target", format, may_refuse=False, several=True)
    assert read_back(content, goal="target", format=format) == [(text, goal) for text, some in rows for goal, _ in some]
