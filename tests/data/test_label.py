"""Sequences with one label each: what all formats share, JSONL, text and npz."""

import gzip
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import data
from regard.data import formats_for
from regard.errors import ConfigError, DataError

VECTORS = np.arange(10.0, dtype=np.float32).reshape(5, 2)

read = partial(data.read, goal="label")

find_format = partial(data.find_format, goal="label")
output_format = partial(data.output_format, goal="label")


def pairs(path, **options):
    return [(example.items, example.goal) for example in read(path, **options)]


@pytest.mark.parametrize(
    ("name", "format", "output"),
    [
        ("a.csv", "csv", "csv"),
        ("a.v2.CSV.GZ", "csv", "csv"),
        ("a.tsv", "tsv", "tsv"),
        ("a.jsonl", "jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl", "jsonl"),
        ("a.parquet", "parquet", "jsonl"),
        ("a.ts", "ts", "jsonl"),
        ("a.npz", "npz", "jsonl"),
    ],
)
def test_the_name_tells_the_format(name, format, output):
    assert find_format(name).name == find_format(name, labelled=False).name == format
    assert find_format(name, "tsv").name == "tsv"
    assert output_format(name).name == output


def test_a_folder_and_standard_input_tell_it_too(tmp_path):
    assert find_format(tmp_path).name == "folder"
    assert find_format("a.txt", labelled=False).name == find_format("-", labelled=False).name == "text"
    assert (output_format(tmp_path).name, output_format("-").name) == ("jsonl", "text")
    assert output_format([("a", "b")]).name == "jsonl"


def test_a_name_that_tells_nothing_lists_the_formats(save):
    choices = r"\(csv, tsv, jsonl, parquet, ts, npz, idx, folder, stm\)"
    with pytest.raises(DataError, match=rf"a.txt: .* {choices}, found .* '.txt', which is that of text without labels"):
        read(save("a.txt", "good day\n"))
    with pytest.raises(DataError, match=rf"a.conllu: .* the format itself {choices}, found the ending '.conllu'"):
        read(save("a.conllu", "good day\n"))
    with pytest.raises(DataError, match=rf"expected a format with labels {choices}, found text, which has none"):
        read(save("a.txt", "good day\n"), format="text")
    with pytest.raises(ConfigError, match=r"format must be auto, csv, .*, got 'cvs'; did you mean 'csv'\?"):
        read(save("a.csv", ""), format="cvs")


def test_text_is_read_one_a_line_where_no_labels_are_wanted(save):
    examples = read(save("a.txt", " The dog \r\n\nbarks"), labelled=False)
    assert [(example.items, example.place.line) for example in examples] == [(" The dog ", 1), ("", 2), ("barks", 3)]


def test_texts_of_a_pipe_come_as_they_are_written():
    code = (
        "from regard.data import iter_read\n"
        "for example in iter_read('-', goal='label', labelled=False): print(repr(example.items), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        for text in ("a dog", ""):
            child.stdin.write(f"{text}\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"{text!r}\n"  # although the pipe is still open
        child.stdin.close()
        assert child.wait() == 0


class TestJsonl:
    def test_texts_words_and_vectors(self, save):
        assert pairs(save("a.jsonl", '{"text": "a b", "label": "X"}\n\n{"label": "Y", "text": "é"}\n')) == [
            ("a b", "X"),
            ("é", "Y"),
        ]
        assert pairs(save("a.jsonl", '{"words": ["a", "b"], "label": "X", "text": null}')) == [(["a", "b"], "X")]
        ((array, label),) = pairs(save("a.jsonl", '{"vectors": [[1, 2], [3, 4]], "label": "X"}'))
        assert (array.tolist(), array.dtype, label) == ([[1, 2], [3, 4]], np.float32, "X")

    @pytest.mark.parametrize(("label", "name"), [("1", "1"), ("true", "True"), ('"1"', "1")])
    def test_labels_that_are_numbers(self, save, label, name):
        assert pairs(save("a.jsonl", f'{{"text": "a", "label": {label}}}')) == [("a", name)]

    def test_columns(self, save):
        path = save("a.jsonl", '{"text": "a", "title": "b", "label": "X", "stars": 5}\n')
        assert pairs(path) == [("a", "X")]
        assert pairs(path, column="stars", item_column="title") == [("b", "5")]
        with pytest.raises(
            DataError, match=r"a.jsonl:1: .* label under the key 'star', found the keys text, title, label, stars"
        ):
            read(path, column="star")
        with pytest.raises(DataError, match=r"a.jsonl:1: expected a key 'titel', found the keys"):
            read(path, item_column="titel")

    def test_labels_stay_unread_where_none_are_wanted(self, save):
        path = save("a.jsonl", '{"text": "", "label": 1.5}\n{"text": "a"}\n')
        assert pairs(path, labelled=False) == [("", None), ("a", None)]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('["a"]', "a JSON object on one line"),
            ('{"label": "X"}', r"a key 'text' \(or sentence, .*\), found the keys label"),
            ('{"text": "a"}', r"a label under the key 'label' \(or labels, class, .*\), found the keys text"),
            ('{"text": "a", "label": null}', r"a label under .*, found the keys text, label \(null\)"),
            ('{"text": "a", "label": 1.5}', r"a label that is a string or a whole number, found 1.5 \(float\)"),
            ('{"text": "a", "labels": ["X"]}', r"a label that is a string or a whole number, found \['X'\] \(list\)"),
            ('{"text": "a", "label": ""}', "a label of at least one character, found an empty one"),
            ('{"text": "", "label": "X"}', "a text of at least one character, found an empty one"),
            ('{"text": " \\t", "label": "X"}', "a text of at least one character, found only white space"),
            ('{"text": "\\ud800", "label": "X"}', r"a text of whole characters, found half a surrogate pair in '.ud8"),
            ('{"text": "a", "label": "\\ud800"}', "a label of whole characters"),
            ('{"text": 5, "label": "X"}', r"a text, a list of words or an array \[N, C\], found 5 \(int\)"),
            ('{"text": {"a": 1}, "label": "X"}', r"a text, a list of words .* found {'a': 1} \(dict\)"),
            ('{"words": [], "label": "X"}', "at least one item, found an empty sequence"),
            ('{"vectors": [], "label": "X"}', "at least one item, found an empty sequence"),
            ('{"vectors": [[1], [NaN]], "label": "X"}', "finite numbers, found nan at item 2, channel 1"),
            ('{"words": ["a"], "label": "X"}', "texts as before, found words"),
            ('{"vectors": [[1, 2]], "label": "X"}', r"texts as before, found arrays \[N, 2\]"),
        ],
    )
    def test_a_wrong_line_is_named(self, save, line, message):
        with pytest.raises(DataError, match=r"a.jsonl:2: expected " + message):
            read(save("a.jsonl", '{"text": "a", "label": "X"}\n' + line + "\n"))


class TestNpz:
    @pytest.fixture
    def archive(self, tmp_path):
        def archive(**arrays):
            np.savez(tmp_path / "a.npz", **arrays)
            return tmp_path / "a.npz"

        return archive

    def test_a_label_for_each_sequence(self, archive):
        path = archive(vectors=VECTORS, offsets=[0, 2, 5], labels=np.array(["up", "down"]), sex=np.array([0, 1]))
        examples = read(path)
        assert [example.goal for example in examples] == ["up", "down"]
        np.testing.assert_array_equal(examples[1].items, VECTORS[2:])
        assert [example.goal for example in read(path, column="sex")] == ["0", "1"]
        assert [example.goal for example in read(path, labelled=False)] == [None, None]

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"labels": ["a"], "offsets": [0, 2, 5]}, r"as many labels as sequences \(2\), found 1 labels"),
            ({"labels": ["a"] * 5}, r"as many labels as sequences \(1\), found 5 labels"),
            ({"labels": ["a", ""], "offsets": [0, 2, 5]}, "a label of at least one .* an empty one in sequence 2"),
            ({"labels": ["a", "b"], "offsets": [0, 5, 5]}, "at least one item, found an empty sequence in sequence 2"),
            ({"offsets": [0, 2, 5]}, "an array 'label', found the arrays vectors, offsets"),
        ],
    )
    def test_arrays_that_do_not_fit(self, archive, arrays, message):
        with pytest.raises(DataError, match=r"a.npz: expected " + message):
            read(archive(vectors=VECTORS, **arrays))


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("content", ["", "\n\r\n", gzip.compress(b"")], ids=["nothing", "lines", "gzip"])
def test_an_empty_file(save, name, content, labelled):
    with pytest.raises(DataError, match=f"{name}: expected at least one sequence, found an empty file"):
        read(save(name, content), labelled=labelled)


# fmt: off
PIECES = [
    b"text", b"label", b",", b"\t", b"\n", b"\r", b'"', b":", b"@data\n", b"@classLabel true X\n", b"@dimensions 2\n",
    b"1,2:3,4:X", b"?", b"#", b"X", b'{"text": "a", "label": "X"}', b'{"vectors": ', b"[[1, 2]]", b"PAR1", b"\x1f\x8b",
]
# fmt: on


@pytest.mark.parametrize("format", sorted({*formats_for("label", labelled=False)} - {"folder", "audio"}))
@settings(max_examples=50, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12),
    labelled=st.booleans(),
)
def test_whatever_the_bytes_there_are_examples_or_one_clear_error(format, pieces, labelled):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(b"".join(pieces))
        try:
            examples = read(path, format=format, labelled=labelled)
        except DataError:
            return
    assert all((example.goal is None) == (not labelled) for example in examples)
    assert not labelled or all(len(example) and example.goal for example in examples)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=3))
def test_jsonl_gives_what_json_gives(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
        if all(text.strip() and label.strip() for text, label in rows):
            assert pairs(path) == rows
        else:
            with pytest.raises(DataError, match="at least one character"):
                read(path)
