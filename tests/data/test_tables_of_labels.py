"""CSV and Parquet with a label for every item: lists in cells, which are split at blanks or written as JSON."""

import gzip
from functools import partial

import pandas
import pyarrow
import pytest
from reading import plain, read_back, written

from regard import data
from regard.errors import DataError

read = partial(data.read, goal="labels")
ROWS = [(["The", "dog"], ["DET", "NOUN"]), ([], []), (["New York", "[1]"], ["PROPN", "NUM"])]


class TestCsv:
    def test_words_between_blanks_or_lists_of_json(self, save):
        path = save("a.csv", 'words,labels\r\nThe  dog ,DET NOUN\r\n"[""New York"", ""a""]","[""X"", ""Y""]"\r\n\n,\n')
        assert plain(read(path)) == [(["The", "dog"], ["DET", "NOUN"]), (["New York", "a"], ["X", "Y"]), ([], [])]
        assert [example.place.line for example in read(path)] == [2, 3, 5]
        assert plain(read(path, labelled=False))[0] == (["The", "dog"], None)

    @pytest.mark.parametrize("header", ["tokens,tags", "ner_tags,text", "Sentence,UPOS", "id,items,pos_tags"])
    def test_the_usual_names(self, save, header):
        cells = {"tokens": "a b", "text": "a b", "Sentence": "a b", "items": "a b", "id": "7"}
        row = ",".join(cells.get(name, "X Y") for name in header.split(","))
        assert plain(read(save("a.csv", f"{header}\n{row}\n"))) == [(["a", "b"], ["X", "Y"])]

    def test_columns_by_name_and_by_number(self, save):
        path = save("a.csv", "words,labels,title,chunk\na,X,b,O\n")
        assert plain(read(path, column="chunk", item_column="title")) == [(["b"], ["O"])]
        assert plain(read(path, column="4", item_column="3")) == [(["b"], ["O"])]
        with pytest.raises(DataError, match=r"a.csv:1: expected a column 'chunks', found the columns words, labels, t"):
            read(path, column="chunks")

    def test_vectors(self, save):
        (example,) = read(save("a.csv", 'vectors,labels\n"[[1, 2], [3, 4]]",a b\n'))
        assert (example.items.tolist(), example.goal) == ([[1, 2], [3, 4]], ["a", "b"])

    def test_gzip(self, save):
        assert plain(read(save("a.csv.gz", gzip.compress(b"words,labels\na,X\n")))) == [(["a"], ["X"])]

    @pytest.mark.parametrize(
        ("content", "place", "message"),
        [
            ("words,labels\na b,X\n", 2, r"as many labels as items \(2\), found 1 labels"),
            ('words,labels\n"a\n\nb",X Y\nc,X Y\n', 5, r"as many labels as items \(1\), found 2 labels"),
            ("words,labels\n,X\n", 2, r"as many labels as items \(0\), found 1 labels"),
            ('words,labels\n"[""a"", 5]",X Y\n', 2, r"words that are strings, found 5 \(int\) at item 2"),
            ('words,labels\na,"[0]"\n', 2, r"labels that are strings, found 0 \(int\) at item 1; turn it into one"),
            (
                'words,labels\n"[""a"", """"]",X Y\n',
                2,
                "a word of at least one character, found an empty one at item 2",
            ),
            ('words,labels\na,X\n"[[1, 2]]",X\n', 3, r"words as before, found arrays \[N, 2\]"),
            ("words,labels\na,X,Y\n", 2, r"2 columns as in line 1, found 3: \['a', 'X', 'Y'\]"),
            ('words,labels\n"a,X\n', 2, "a row of CSV, its quotes closed and doubled within, found unexpected end"),
            (
                "words,id\na,X\n",
                1,
                r"a column 'upos' \(or labels, tags, ner_tags, pos_tags\), found the columns words, i",
            ),
            ("labels,id\nX,a\n", 1, r"a column 'words' \(or tokens, .*\), found the columns labels, id"),
        ],
    )
    def test_a_wrong_row_is_named(self, save, content, place, message):
        with pytest.raises(DataError, match=rf"a.csv:{place}: expected {message}"):
            read(save("a.csv", content))

    def test_labels_of_spans_follow_one_scheme(self, save):
        with pytest.raises(DataError, match=r"a.csv:3: expected IOBES .* found 'B-PER' at the end of a sequence"):
            read(save("a.csv", "words,labels\nRome,S-LOC\na Peter,O B-PER\n"))

    def test_what_is_written_is_read_again(self):
        content = written(ROWS, goal="labels", format="csv")
        assert content.decode() == ('words,labels\nThe dog,DET NOUN\n,\n"[""New York"", ""[1]""]",PROPN NUM\n')
        assert read_back(content, "a.csv", goal="labels") == ROWS
        assert read_back(content, "a.csv", goal="labels", lazily=True) == ROWS


class TestParquet:
    @pytest.fixture
    def parquet(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        def parquet(**columns):
            write_table(arrow.table(columns), tmp_path / "a.parquet")
            return tmp_path / "a.parquet"

        return parquet

    def test_lists(self, parquet):
        path = parquet(id=[1, 2], tokens=[["New York", "é"], []], upos=[["X", "Y"], []], chunk=[["O", "O"], []])
        assert plain(read(path)) == [(["New York", "é"], ["X", "Y"]), ([], [])]
        assert plain(read(path, column="chunk")) == plain(read(path, column="4"))
        assert read(path, column="chunk")[0].goal == ["O", "O"]
        assert plain(read(path, labelled=False))[0] == (["New York", "é"], None)

    def test_one_of_two_columns_of_a_name_by_its_number(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        columns = [[["a", "b"]], [["X", "Y"]], [["O", "O"]]]
        write_table(
            arrow.Table.from_arrays(list(map(arrow.array, columns)), ["words", "x", "x"]), tmp_path / "a.parquet"
        )
        assert plain(read(tmp_path / "a.parquet", column="2")) == [(["a", "b"], ["X", "Y"])]
        assert plain(read(tmp_path / "a.parquet", column="3")) == [(["a", "b"], ["O", "O"])]

    def test_vectors(self, parquet):
        (example,) = read(parquet(vectors=[[[1.0, 2.0], [3.0, 4.0]]], labels=[["a", "b"]]))
        assert (example.items.tolist(), example.goal) == ([[1, 2], [3, 4]], ["a", "b"])

    def test_numbered_labels_of_datasets_get_their_names(self, tmp_path):
        datasets = pytest.importorskip("datasets")
        names = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
        features = datasets.Features(tokens=datasets.Sequence(datasets.Value("string")), ner_tags=names)
        rows = {"tokens": [["Peter", "barks"]], "ner_tags": [[1, 0]]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
        assert plain(read(tmp_path / "a.parquet")) == [(["Peter", "barks"], ["B-PER", "O"])]

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"words": [["a"], ["b"]], "labels": [["X"], ["Y", "Z"]]}, r"as many labels as items \(1\), found 2 .* 2$"),
            ({"words": [["a"], None], "labels": [["X"], ["Y"]]}, r"a key 'words' .* words \(null\), labels in sequen"),
            ({"words": [["a"]], "labels": [None]}, r"labels under the key 'upos' .* labels \(null\) in sequence 1"),
            (
                {"words": ["a b"], "labels": [["X", "Y"]]},
                r"a list of words .* found the string 'a b'; put its words in",
            ),
            ({"words": [["a"]], "labels": ["X"]}, "a list of labels, found 'X' in sequence 1"),
            ({"words": [["a"]], "labels": [[1]]}, r"labels that are strings, found 1 \(int\) at item 1"),
        ],
    )
    def test_a_wrong_row_is_named(self, parquet, columns, message):
        with pytest.raises(DataError, match=r"a.parquet: expected " + message):
            read(parquet(**columns))

    def test_what_is_written_is_read_again(self):
        pytest.importorskip("pyarrow")
        assert read_back(written(ROWS, goal="labels", format="parquet"), "a.parquet", goal="labels") == ROWS
        many = [([str(number)], ["X"]) for number in range(3000)]
        assert read_back(written(many, goal="labels", format="parquet"), "a.parquet", goal="labels") == many


def test_parquet_begins_with_many_empty_sequences(tmp_path):
    pytest.importorskip("pyarrow")
    rows = [data.Example([])] * 1500 + [data.Example(["a", "b"])]
    answers = [{"labels": [], "scores": []}] * 1500 + [{"labels": ["X", "Y"], "scores": [0.5, 1.0]}]
    with (tmp_path / "a.parquet").open("wb") as file:
        data.write(rows, answers, file, format="parquet", goal="labels")
    examples = data.read(tmp_path / "a.parquet", goal="labels")
    assert (len(examples), examples[-1].items, examples[-1].goal) == (1501, ["a", "b"], ["X", "Y"])


CUT_UP = {"sentence": [0, 0, 1, 1], "words": ["The", "dog", "It", "barks"], "labels": ["DET", "NOUN", "PRON", "VERB"]}
GROUP = r'a row for each word; put words together into sentences, .* df.groupby\("sentence"\).agg\(list\)$'


class TestARowForEachWord:
    @pytest.mark.parametrize("make", [dict, pandas.DataFrame, pyarrow.table])
    def test_is_refused(self, make):
        with pytest.raises(DataError, match=r"^the .*: expected a row for each sentence, .*" + GROUP):
            read(make(CUT_UP))
        assert len(read(make(CUT_UP), labelled=False)) == 4

    def test_is_taken_from_a_file(self, save):
        """`predict` writes one where all sentences are that short."""
        assert len(read(save("a.csv", pandas.DataFrame(CUT_UP).to_csv(index=False)))) == 4

    def test_is_taken_as_it_is_advised(self):
        grouped = read(pandas.DataFrame(CUT_UP).groupby("sentence").agg(list))
        assert plain(grouped) == [(["The", "dog"], ["DET", "NOUN"]), (["It", "barks"], ["PRON", "VERB"])]

    def test_labels_that_are_numbers(self):
        with pytest.raises(
            DataError,
            match=r"row 1 of the DataFrame: expected a list of labels, found 0; put .* df.groupby\(",
        ):
            read(pandas.DataFrame(CUT_UP | {"labels": [0, 1, 2, 3]}))

    @pytest.mark.parametrize(
        "rows",
        [
            [("Yes", "INTJ")],
            [("Yes", "INTJ"), ("It barks", "PRON VERB")],
            [('["Yes"]', '["INTJ"]'), ('["No"]', '["INTJ"]')],
            [(["Yes"], ["INTJ"]), (["No"], ["INTJ"])],
        ],
    )
    def test_short_sentences_are_none(self, rows):
        words, labels = zip(*rows, strict=True)
        assert len(read({"words": list(words), "labels": list(labels)})) == len(rows)

    def test_it_is_what_one_label_for_a_text_needs(self):
        assert len(data.read({"text": CUT_UP["words"], "label": CUT_UP["labels"]}, goal="label")) == 4
