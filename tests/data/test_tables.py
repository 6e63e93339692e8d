"""CSV, TSV and Parquet, with labels."""

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import save_list
from pyarrow.parquet import read_table
from reading import written

from regard import data
from regard.errors import DataError, UnsupportedError

read = partial(data.read, goal="label")

iter_read = partial(data.iter_read, goal="label")


def pairs(path, **options):
    return [(example.items, example.goal) for example in read(path, **options)]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))  # which is the mark of binary files


class TestCsv:
    def test_quotes_hold_commas_line_ends_and_quotes(self, save):
        path = save("a.csv", 'text,label\r\n"one, ""two""\nthree",X\r\n\r\nfour,Y\r\n')
        assert pairs(path) == [('one, "two"\nthree', "X"), ("four", "Y")]
        assert [example.place.line for example in read(path)] == [2, 5]

    def test_gzip(self, save):
        assert pairs(save("a.csv.gz", gzip.compress(b"text,label\na,X\n"))) == [("a", "X")]

    @pytest.mark.parametrize(
        "header",
        ["label,text", "class,sentence", "Category,Message", "spam, text", "y,content", "label,text,sentence,class"],
    )
    def test_the_usual_names(self, save, header):
        row = ",".join(["X", "a", "other", "other"][: header.count(",") + 1])
        assert pairs(save("a.csv", f"{header}\n{row}\n")) == [("a", "X")]

    def test_columns_by_name_and_by_number(self, save):
        path = save("a.csv", ",text,label,title,stars\n0,a,X,b,5\n")
        assert pairs(path) == [("a", "X")]
        assert pairs(path, column="stars", item_column="title") == [("b", "5")]
        assert pairs(path, column="5", item_column="4") == [("b", "5")]
        assert pairs(path, column="5", item_column="5") == [("5", "5")]
        with pytest.raises(DataError, match=r"a.csv:1: expected a column 'Stars', found the columns , text, label"):
            read(path, column="Stars")
        with pytest.raises(DataError, match=r"a.csv:1: expected a column '6', found the columns"):
            read(path, column="6")

    def test_labels_may_be_absent_where_none_are_wanted(self, save):
        assert pairs(save("a.csv", "id,text\n1,a\n2,\n"), labelled=False) == [("a", None), ("", None)]
        with pytest.raises(
            DataError, match=r"a.csv:1: expected a column 'label' \(or labels, class, .*\), found .* id"
        ):
            read(save("a.csv", "id,text\n1,a\n"))

    @pytest.mark.parametrize(
        ("content", "place", "message"),
        [
            ("text,label\na,X\nb\n", 3, r"2 columns as in line 1, found 1: \['b'\]"),
            ('text,label\n"a\nb",X\nc,d,Y\n', 4, r"2 columns as in line 1, found 3: \['c', 'd', 'Y'\]"),
            (
                'text,label\n"a,X\nb,Y\n',
                2,
                "a row of CSV, its quotes closed .*, found unexpected end of data in line 3",
            ),
            ('text,label\n"a"b,X\n', 2, "a row of CSV, its quotes closed .*, found ',' expected after '\"'$"),
            ('text,label\n"a,X\nb,"Y"\n', 2, "a row of CSV, .* found ',' expected after '\"' in line 3"),
            ('text,label\n"a\n\n",X\n ,Y\n', 5, "a text of at least one character, found only white space"),
            ("text,label\ra,X\r", 1, "a row of CSV, .* found new-line character seen in unquoted field$"),
            ("text,label\na,\n", 2, "a label of at least one character, found an empty one"),
            ("text,label,label\na,X,Y\n", 1, "columns of different names, found two called 'label'; choose one by"),
            ("a,X\nb,Y\n", 1, r"a column 'text' \(or sentence, .*\), found the columns a, X"),
        ],
    )
    def test_a_wrong_row_is_named(self, save, content, place, message):
        with pytest.raises(DataError, match=f"a.csv:{place}: expected {message}"):
            read(save("a.csv", content))

    def test_a_header_alone(self, save):
        with pytest.raises(DataError, match=r"a.csv: expected at least one sequence, found .* and a header"):
            read(save("a.csv", "text,label\n"))

    def test_a_long_document(self, save):
        assert len(read(save("a.csv", f"text,label\n{'a' * 200_000},X\n"))[0]) == 200_000

    def test_rows_come_one_by_one(self, save):
        examples = iter_read(save("a.csv", "text,label\na,X\nb\n"))
        assert next(examples).items == "a"
        with pytest.raises(DataError, match=r"a.csv:3"):
            next(examples)

    @given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1), st.sampled_from(["\n", "\r\n"]))
    def test_whatever_python_writes(self, rows, end):
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("id", "text", "label"), *rows])
        assert examples_of(out.getvalue(), "a.csv") == [text for _, text, _ in rows]

    def test_pandas_agrees(self, save):
        pandas = pytest.importorskip("pandas")
        path = save("a.csv", 'id,text,label\n1,"a ""b"",\n c",X\n2, d ,Y\n\n3,"""",Z\n')
        frame = pandas.read_csv(path)
        assert pairs(path) == list(zip(frame["text"], frame["label"], strict=True))


def examples_of(content, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content.encode())
        return [example.items for example in read(path, labelled=False)]


class TestTsv:
    def test_a_header_names_the_columns(self, save):
        assert pairs(save("a.tsv", 'id\ttext\tlabel\n1\t"a, b\tX\r\n\n')) == [('"a, b', "X")]
        assert pairs(save("a.tsv", "sentence\tlabel\na\tX\n")) == pairs(save("a.tsv", "label\tsentence\nX\ta\n"))

    def test_without_a_header_the_label_stands_first(self, save):
        path = save("a.tsv", 'ham\t"Ok" lar...\nspam\tFree entry\n')
        assert pairs(path) == [('"Ok" lar...', "ham"), ("Free entry", "spam")]
        assert pairs(path, labelled=False) == [('"Ok" lar...', None), ("Free entry", None)]
        assert pairs(path, column="2", item_column="1")[1] == ("spam", "Free entry")

    @pytest.mark.parametrize("label", ["spam", "question", "message", "class"])
    def test_a_label_that_is_a_usual_name_is_no_header(self, save, label):
        assert pairs(save("a.tsv", f"{label}\tHow are you?\n")) == [("How are you?", label)]

    @pytest.mark.parametrize("header", ["index\tsentence", "text\tid", "text", "sentence"])
    def test_headers_without_labels(self, save, header):
        row = {"index\tsentence": "1\ta", "text\tid": "a\t1"}.get(header, "a")
        assert pairs(save("a.tsv", f"{header}\n{row}\n"), labelled=False) == [("a", None)]

    def test_a_text_a_line_without_labels(self, save):
        assert pairs(save("a.tsv", "a b\nc\n"), labelled=False) == [("a b", None), ("c", None)]

    @pytest.mark.parametrize(
        ("content", "options", "message"),
        [
            ("X\ta\nY\tb\tc\n", {}, r"a.tsv:2: expected 2 columns as in line 1, found 3: \['Y', 'b', 'c'\]"),
            ("X\ta\n\t\nY\t\n", {}, r"a.tsv:3: expected a text of at least one character, found an empty one"),
            ("X\ta\n\tb\n", {}, r"a.tsv:2: expected a label of at least one character, found an empty one"),
            ("X\ta\n", {"column": "stars"}, r"a.tsv:1: expected a column 'text' .*, found the columns X, a"),
            ("a\nb\n", {}, r"a.tsv:1: expected a column 'text' .*, found the columns a"),
            ("label\ta\n", {}, r"a.tsv:1: expected a column 'text' .*, found the columns label, a"),
            ("1\t2\t3\n", {}, r"a.tsv:1: expected a column 'text' .*, found the columns 1, 2, 3"),
        ],
    )
    def test_a_wrong_row_is_named(self, save, content, options, message):
        with pytest.raises(DataError, match=message):
            read(save("a.tsv", content), **options)


class TestParquet:
    @pytest.fixture
    def parquet(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        def parquet(**columns):
            write_table(arrow.table(columns), tmp_path / "a.parquet", row_group_size=2)
            return tmp_path / "a.parquet"

        return parquet

    def test_columns(self, parquet):
        path = parquet(id=[1, 2, 3], text=["a", "b\n", "c"], label=["X", "Y", "X"], stars=[5, 4, 3])
        assert pairs(path) == [("a", "X"), ("b\n", "Y"), ("c", "X")]
        assert pairs(path, column="stars") == pairs(path, column="4") == [("a", "5"), ("b\n", "4"), ("c", "3")]
        assert pairs(path, labelled=False)[0] == ("a", None)

    def test_more_rows_than_a_batch(self, parquet):
        assert pairs(parquet(text=["a"] * 3000, label=list(range(1, 3001))))[-1] == ("a", "3000")

    def test_words_and_vectors(self, parquet):
        assert pairs(parquet(words=[["a", "b"], ["c"]], label=[True, False])) == [
            (["a", "b"], "True"),
            (["c"], "False"),
        ]
        ((array, _),) = pairs(parquet(vectors=[[[1.0, 2.0], [3.0, 4.0]]], label=["X"]))
        assert array.tolist() == [[1, 2], [3, 4]]

    def test_numbered_labels_of_datasets_get_their_names(self, tmp_path):
        datasets = pytest.importorskip("datasets")
        features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["ham", "spam"]))
        path = tmp_path / "a.parquet"
        datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(path)
        assert pairs(path) == pairs(path, column="2") == [("a", "spam"), ("b", "ham")]
        datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features).to_parquet(path)
        assert pairs(path, labelled=False) == [("a", None), ("b", None)]
        with pytest.raises(DataError, match=r"a.parquet: expected label numbers from 0 to 1, found -1 in sequence 2"):
            read(path)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"text": ["a", None], "label": ["X", "Y"]},
                "a key 'text' .* found .* text \\(null\\), label in sequence 2",
            ),
            ({"text": ["a", "b"], "label": ["X", None]}, "a label under the key .* label \\(null\\) in sequence 2"),
            ({"text": ["a", ""], "label": ["X", "Y"]}, "a text of at least .* found an empty one in sequence 2"),
            ({"text": ["a", "b"], "label": [0.5, 1]}, r"a label that is a string .* found 0.5 \(float\) in sequence 1"),
            ({"body": ["a"], "label": ["X"]}, r"a key 'text' \(or .*\), found the keys body, label in sequence 1"),
        ],
    )
    def test_a_wrong_row_is_named(self, parquet, columns, message):
        with pytest.raises(DataError, match=r"a.parquet: expected " + message):
            read(parquet(**columns))

    def test_features_of_another_make_are_passed_over(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        table = arrow.table({"text": ["a"], "label": [1]})
        for told in (b"[", b"[]", b'{"info": null}', b'{"info": {"features": {"label": [7]}}}'):
            write_table(table.replace_schema_metadata({b"huggingface": told}), tmp_path / "a.parquet")
            assert pairs(tmp_path / "a.parquet") == [("a", "1")]

    def test_no_parquet(self, save, tmp_path):
        pytest.importorskip("pyarrow")
        with pytest.raises(DataError, match=r"a.parquet: expected a sound Parquet file, found .*magic bytes"):
            read(save("a.parquet", b"PAR1" + b"x" * 20))
        with pytest.raises(DataError, match=r"b.parquet: expected a file, found nothing of that name"):
            read(tmp_path / "b.parquet")

    def test_numbers_beside_texts(self, tmp_path, monkeypatch):
        """Each column is looked through for what is too long, but those that hold none."""
        monkeypatch.setattr("regard.data.formats.parquet._SHORT", 0)
        save_list(tmp_path / "a.parquet", [{"text": "a", "label": 1}, {"text": "b", "label": 2}])
        assert pairs(tmp_path / "a.parquet") == [("a", "1"), ("b", "2")]

    @pytest.mark.parametrize("count", [0, 3, 4])
    def test_rows_are_written_a_part_at_a_time(self, count, tmp_path, monkeypatch):
        monkeypatch.setattr("regard.data.formats.parquet._ROWS", 2)
        rows = [(f"text {number}", {"label": "X"}) for number in range(count)]
        (tmp_path / "a.parquet").write_bytes(written(rows, goal="label", format="parquet"))
        found = read_table(tmp_path / "a.parquet").to_pylist()
        assert [row["text"] for row in found] == [text for text, _ in rows]

    def test_what_goes_wrong_while_it_is_written_is_told(self):
        with (
            pytest.raises(KeyError, match="here"),
            data.open_writer(io.BytesIO(), format="parquet", goal="label", items="text"),
        ):
            raise KeyError("here")

    def test_without_pyarrow(self, save, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(UnsupportedError, match=r"Parquet needs pyarrow: pip install 'regard\[parquet\]'"):
            read(save("a.parquet", b"PAR1"))


def test_no_damage_to_the_footer_of_a_parquet_file_ends_the_process(tmp_path):
    """By a process of its own, as what C++ throws where Python cannot catch it ends that."""
    code = """
import struct, sys
from pathlib import Path
from regard import RegardError, data

path = Path(sys.argv[1])
whole = path.read_bytes()
refused = 0
for place in range(len(whole) - 8 - struct.unpack("<I", whole[-8:-4])[0], len(whole) - 8):
    damaged = bytearray(whole)
    damaged[place] ^= 0x10  # the length of a list, where one begins
    path.write_bytes(damaged)
    try:
        data.read(path, goal="label")
    except RegardError as error:
        assert str(path) in str(error)
        refused += 1
print(refused)
"""
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    columns = {"text": ["a", "b"] * 3, "label": ["x", "y"] * 3, "tokens": [["a", "b"], ["c"]] * 3}
    write_table(arrow.table(columns), tmp_path / "a.parquet")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.parquet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
