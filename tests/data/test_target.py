"""Sequences with the text that each is to become."""

import gzip
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import data
from regard.data import formats_for
from regard.errors import ConfigError, DataError

MULTI30K = Path(__file__).resolve().parents[3] / "shared" / "data" / "multi30k"

read = partial(data.read, goal="target")

iter_read = partial(data.iter_read, goal="target")
find_format = partial(data.find_format, goal="target")
output_format = partial(data.output_format, goal="target")


def pairs(path, **options):
    return [(example.items, example.goal) for example in read(path, **options)]


@pytest.mark.parametrize(
    ("name", "format", "output"),
    [
        ("a.tsv", "tsv", "tsv"),
        ("a.csv.gz", "csv", "csv"),
        ("a.jsonl", "jsonl", "jsonl"),
        ("a.parquet", "parquet", "jsonl"),
    ],
)
def test_the_name_tells_the_format(name, format, output):
    assert find_format(name).name == find_format(name, labelled=False).name == format
    assert output_format(name).name == output


def test_beside_a_target_it_is_lines():
    assert find_format("train.de.gz", beside="train.en.gz").name == "lines"
    assert find_format("a.tsv", beside="b.tsv").name == "lines"
    for name in ("a.txt", "val.de.gz", "-", "val"):
        assert find_format(name, labelled=False).name == output_format(name).name == "lines"
    assert output_format([("a", "b")]).name == "jsonl"


def test_wrong_calls(save):
    path = save("a.de", "a\n")
    with pytest.raises(
        DataError,
        match=r"a.de: .* itself \(csv, tsv, jsonl, parquet, stm, ctm\), found .* '.de'; a file of lines needs",
    ):
        read(path)
    with pytest.raises(ConfigError, match=r"format=lines needs the file of targets beside '.*a.de', got none"):
        read(path, format="lines")
    with pytest.raises(ConfigError, match=r"format must be lines beside a file of targets \('b.en'\), got 'tsv'"):
        read(path, target="b.en", format="tsv")
    with pytest.raises(ConfigError, match=r"format must be auto, lines, csv, tsv.* got 'line'; did you mean 'lines'\?"):
        read(path, format="line")
    with pytest.raises(ConfigError, match=r"target goes with the path of a source, got 'b.en' and Python values"):
        read([("a", "b")], target="b.en")


class TestLines:
    def test_line_n_goes_with_line_n(self, save):
        source, target = save("a.de", "ein Hund \r\nbellt"), save("a.en.gz", gzip.compress(b"a dog\nbarks\n"))
        assert pairs(source, target=target) == [("ein Hund ", "a dog"), ("bellt", "barks")]
        assert [(example.place.source, example.place.line) for example in read(source, target=target)][1] == (
            str(source),
            2,
        )

    def test_without_targets(self, save):
        path = save("a.de", "ein Hund\n\nbellt\n")
        assert pairs(path, labelled=False) == [("ein Hund", None), ("", None), ("bellt", None)]
        assert pairs(path, target="nowhere", labelled=False) == pairs(path, labelled=False)

    @pytest.mark.parametrize(
        ("source", "target", "message"),
        [
            ("a\nb\nc\n", "x\n", r"a.de: expected as many lines as in .*a.en \(1\), found 3 lines"),
            ("a", "x\ny\nz\n", r"a.de: expected as many lines as in .*a.en \(3\), found 1 lines"),
            ("a\nb\n", "x\n \n", r"a.en:2: expected a target of at least one character, found only white space"),
            ("a\n\nc\n", "x\ny\nz\n", r"a.de:2: expected a text of at least one character, found an empty one"),
            ("", "", r"a.de: expected at least one sequence, found an empty file"),
        ],
    )
    def test_files_that_do_not_fit(self, save, source, target, message):
        with pytest.raises(DataError, match=message):
            read(save("a.de", source), target=save("a.en", target))

    def test_a_missing_target(self, save, tmp_path):
        with pytest.raises(DataError, match=r"a.en: expected a file, found nothing of that name"):
            read(save("b.de", "a\n"), target=tmp_path / "a.en")

    @given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"))] * 2)))
    def test_as_python_splits_them(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "a"), Path(folder, "b")
            source.write_bytes("".join(f"{text}\n" for text, _ in rows).encode())
            target.write_bytes("".join(f"{text}\n" for _, text in rows).encode())
            if rows and all(text.strip() and goal.strip() for text, goal in rows):
                assert pairs(source, target=target) == rows
            else:
                with pytest.raises(DataError, match="at least one"):
                    read(source, target=target)

    @pytest.mark.skipif(not MULTI30K.is_dir(), reason="needs shared/data/multi30k")
    def test_multi30k(self):
        source, target = MULTI30K / "val.de.gz", MULTI30K / "val.en.gz"
        read = pairs(source, target=target)
        with gzip.open(source, "rt", encoding="utf-8") as german, gzip.open(target, "rt", encoding="utf-8") as english:
            assert read == list(zip(german.read().splitlines(), english.read().splitlines(), strict=True))
        assert len(read) == 1014


class TestRecords:
    def test_tsv(self, save):
        path = save("a.tsv", "ein Hund\ta dog\n\nbellt\tbarks\n")
        assert pairs(path) == [("ein Hund", "a dog"), ("bellt", "barks")]
        assert pairs(path, item_column="2", column="1")[1] == ("barks", "bellt")
        assert pairs(path, labelled=False) == [("ein Hund", None), ("bellt", None)]
        assert pairs(save("a.tsv", "ein Hund\nbellt\n"), labelled=False) == [("ein Hund", None), ("bellt", None)]

    @pytest.mark.parametrize(
        ("header", "options"),
        [
            ("source\ttarget\tid", {}),
            ("de\ten\tid", {"item_column": "de", "column": "en"}),
            ("de\ten\tid", {"item_column": "1", "column": "2"}),
        ],
    )
    def test_a_header_names_the_columns(self, save, header, options):
        assert pairs(save("a.tsv", f"{header}\na\tx\t1\n"), **options) == [("a", "x")]
        assert pairs(save("a.csv", f"{header}\na\tx\t1\n".replace("\t", ",")), **options) == [("a", "x")]

    def test_a_header_of_two_columns(self, save):
        assert pairs(save("a.tsv", "target\tsource\nx\ta\n")) == [("a", "x")]
        assert pairs(save("a.tsv", "de\ten\na\tx\n"), item_column="de", column="en") == [("a", "x")]

    def test_jsonl(self, save):
        path = save("a.jsonl", '{"id": 1, "translation": {"de": "Hund", "en": "dog"}, "de": "Katze"}\n')
        assert pairs(path, item_column="de", column="en") == [("Hund", "dog")]
        assert pairs(save("a.jsonl", '{"source": ["a", "b"], "target": "x"}')) == [(["a", "b"], "x")]
        ((array, _),) = pairs(save("a.jsonl", '{"vectors": [[1, 2]], "target": "x"}'))
        assert array.tolist() == [[1, 2]]

    def test_parquet(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        rows = [{"translation": {"de": "Hund", "en": "dog"}}, {"translation": {"de": "a", "en": ""}}]
        write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
        options = {"item_column": "de", "column": "en"}
        assert next(iter_read(tmp_path / "a.parquet", **options)).goal == "dog"
        with pytest.raises(DataError, match=r"a.parquet: expected a target of .*, found an empty one in sequence 2"):
            read(tmp_path / "a.parquet", **options)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.tsv", "a\tx\nb\n", r"a.tsv:2: expected 2 columns as in line 1, found 1: \['b'\]"),
            ("a.tsv", "a\tx\nb\t\n", r"a.tsv:2: expected a target of at least one character, found an empty one"),
            ("a.tsv", "source\ten\na\tx\n", r"a.tsv:1: expected a column 'target', found the columns source, en"),
            (
                "a.csv",
                "de,en\na,x\n",
                r"a.csv:1: expected a column 'source' \(or words, .*\), found the columns de, en",
            ),
            ("a.jsonl", '{"source": "a"}', r"a.jsonl:1: expected a target under the key 'target', found the keys sou"),
            ("a.jsonl", '{"target": "a"}', r"a.jsonl:1: expected a key 'source' \(or .*\), found the keys target"),
            ("a.jsonl", '{"source": "a", "target": 1}', r"a.jsonl:1: expected a target that is a string, found 1 "),
        ],
    )
    def test_a_wrong_record_is_named(self, save, name, content, message):
        with pytest.raises(DataError, match=message):
            read(save(name, content))


def test_an_endless_source_is_read_with_bounded_memory():
    def endless():
        while True:
            yield "a", "b"

    assert len(list(islice(iter_read(endless()), 1000))) == 1000


@pytest.mark.parametrize("format", formats_for("target"))
@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.one_of(st.sampled_from([b"source", b"\t", b"\n", b'"', b","]), st.binary(max_size=4))))
def test_whatever_the_bytes_there_are_examples_or_one_clear_error(format, pieces):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(b"".join(pieces))
        try:
            examples = read(path, target=path if format == "lines" else None, format=format)
        except DataError:
            return
    assert all(example.items and example.goal for example in examples)
