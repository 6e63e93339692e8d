"""Sequences alone, for pretraining: raw text, and the items of every format."""

import gzip
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import plain

from regard import data
from regard.errors import DataError

read = partial(data.read, goal="nothing")
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\ufeff"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINE, min_size=1, max_size=8),
    mark=st.booleans(),
    ended=st.booleans(),
    windows=st.booleans(),
    lazily=st.booleans(),
)
def test_every_line_is_found_where_it_stands(tmp_path, lines, mark, ended, windows, lazily):
    end = "\r\n" if windows else "\n"
    path = tmp_path / "raw.txt"
    path.write_bytes(("\ufeff" * mark + end.join(lines) + end * ended).encode())
    wanted = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not wanted:
        with pytest.raises(
            DataError, match="expected at least one sequence, found an empty file, or nothing but blank"
        ):
            read(path, lazily=lazily)
        return
    corpus = read(path, lazily=lazily)
    assert [(example.place.line, example.items) for example in corpus] == wanted
    assert [corpus[place].items for place in reversed(range(len(corpus)))] == [line for _, line in reversed(wanted)]
    assert [example.items for example in corpus[:2]] == [line for _, line in wanted[:2]]
    assert (corpus[-1].items, corpus[-1].goal) == (wanted[-1][1], None)


def test_gzip_is_read_too(save):
    path = save("raw.txt.gz", gzip.compress(b"a\n\nb\n"))
    assert [example.items for example in read(path)] == [example.items for example in read(path, lazily=True)]
    assert [example.place.line for example in read(path, lazily=True)] == [1, 3]


def test_what_is_refused(save):
    for lazily in (False, True):
        with pytest.raises(DataError, match=r"raw\.txt:2: expected UTF-8 text, found byte 0xff"):
            read(save("raw.txt", b"fine\n\xff\n"), lazily=lazily)
        with pytest.raises(DataError, match=r"raw\.txt: expected a text file, found UTF-16; give encoding=utf-16"):
            read(save("raw.txt", "fine\n".encode("utf-16")), lazily=lazily)
        with pytest.raises(DataError, match=r"raw\.txt: expected a text file, found binary data"):
            read(save("raw.txt", b"fine\n\0\n"), lazily=lazily)
    with pytest.raises(DataError, match=r"example 2: expected a text, a list of words or an array .* found 7 \(int\)"):
        read(["a", 7])
    with pytest.raises(DataError, match="expected at least one sequence, found no examples"):
        read([])
    with pytest.raises(DataError, match="expected at least one sequence, found no examples"):
        read(["", " "])
    with pytest.raises(DataError, match=r"example 2: expected texts as before, found words"):
        read(["a", ["b"]])


def test_all_that_is_not_blank_is_kept_where_goals_are_wanted_and_everything_where_not(save):
    path = save("raw.txt", "a\n\n \nb\n")
    assert [example.items for example in read(path)] == ["a", "b"]
    assert [example.items for example in read(path, labelled=False)] == ["a", "", " ", "b"]
    assert read([], labelled=False) == []


@pytest.mark.parametrize(
    ("name", "content", "items"),
    [
        ("a.txt", "The dog\nbarks", ["The dog", "barks"]),
        ("a.unknown", "The dog\nbarks", ["The dog", "barks"]),
        ("a", "The dog\nbarks", ["The dog", "barks"]),
        ("a.conllu", "1\tdog\t_\t_\t_\t_\t_\t_\t_\t_\n\n", [["dog"]]),
        ("a.conll", "The DET\ndog NOUN\n\nbarks VERB\n", [["The", "dog"], ["barks"]]),
        ("a.csv", "id,text\n1,The dog\n2,\n", ["The dog"]),
        ("a.csv", "words\nThe dog\n", [["The", "dog"]]),
        ("a.tsv", "The dog\nbarks\n", ["The dog", "barks"]),
        ("a.tsv", "The dog\t1\nbarks\t2\n", ["The dog", "barks"]),
        ("a.tsv", "\t1\nbarks\t\n", ["barks"]),
        ("a.tsv", "id\ttext\n1\tThe dog\n", ["The dog"]),
        ("a.jsonl", '{"text": "The dog"}\n{"text": " "}\n', ["The dog"]),
        ("a.jsonl", '{"tokens": ["The", "dog"]}\n{"tokens": []}\n', [["The", "dog"]]),
        ("a.jsonl", '{"vectors": [[1, 2]]}\n', [[[1, 2]]]),
        ("a.ts", "@classLabel true X\n@data\n1,2:3,4:X\n", [[[1, 3], [2, 4]]]),
    ],
)
def test_every_format_of_text_has_items(save, name, content, items):
    assert plain(read(save(name, content))) == [(item, None) for item in items]
    assert plain(read(save(name, content), lazily=True)) == [(item, None) for item in items]


def test_binary_formats_and_folders_have_items_too(tmp_path):
    np.savez(tmp_path / "a.npz", vectors=np.ones((3, 2)), offsets=[0, 1, 1, 3])
    assert [len(example) for example in read(tmp_path / "a.npz")] == [1, 2]
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "texts" / "b.txt").write_text("\n")
    assert [example.items for example in read(tmp_path / "texts")] == ["one\ntwo"]
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(arrow.table({"text": ["a", "", "b"], "": [1, 2, 3]}), tmp_path / "a.parquet")
    assert [example.items for example in read(tmp_path / "a.parquet")] == ["a", "b"]


def test_a_column_of_the_items(save):
    path = save("a.csv", "text,title\na,b\n")
    assert [read(path, item_column=column)[0].items for column in ("title", "2", None)] == ["b", "b", "a"]
    with pytest.raises(DataError, match=r"a.csv:1: expected a column 'titel', found the columns text, title"):
        read(path, item_column="titel")


def test_python_values():
    assert plain(read(["a b", ("c", "X"), {"text": "d"}, ""])) == [("a b", None), ("c", None), ("d", None)]
    assert plain(read([["a", "b"], []])) == [(["a", "b"], None)]
    assert read([np.ones((2, 3))])[0].items.shape == (2, 3)
    with pytest.raises(DataError, match=r"example 1: expected a text, a list of words or an array .* found None"):
        read([None])
