"""Tables of pandas, polars, pyarrow and `datasets`, and dicts of columns: by column, a row is an example."""

from functools import partial

import datasets
import numpy as np
import pandas
import polars
import pyarrow
import pytest

from regard import Classifier, Labeler, MaskedModel, Seq2Seq, data
from regard.data import Place
from regard.errors import ConfigError, DataError

MAKE = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "arrow": pyarrow.table,
    "batch": pyarrow.RecordBatch.from_pydict,
    "dict": dict,
    "datasets": datasets.Dataset.from_dict,
}
SERIES = {
    "pandas": lambda values: pandas.Series(values, index=range(7, 7 + len(values))),
    "index": pandas.Index,
    "polars": polars.Series,
    "chunks": lambda values: pyarrow.chunked_array([values[:1], values[1:]]),
    "arrow": pyarrow.array,
    "datasets": lambda values: datasets.Dataset.from_dict({"a": values})["a"],
}
TEXTS = {"id": [4, 5], "text": ["a fine film", "what a bore"], "label": ["good", "bad"]}
SMALL = {"dim": 8, "depth": 1, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none"}

read_label, read_labels = partial(data.read, goal="label"), partial(data.read, goal="labels")
every_table = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
rows_of_tables = pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pandas.DataFrame, "DataFrame"),
        (polars.DataFrame, "DataFrame"),
        (pyarrow.table, "Table"),
        (dict, "dict of columns"),
    ],
    ids=["pandas", "polars", "arrow", "dict"],
)


def goals(examples):
    return [(example.items, example.goal) for example in examples]


@every_table
def test_every_task_learns_scores_and_predicts_a_row_at_a_time(make):
    texts = make({name: values * 4 for name, values in TEXTS.items()})
    words = make({"words": [["we", "fish"], ["I"]] * 4, "tags": [["X", "Y"], ["X"]] * 4})
    pairs = make({"source": ["ab", "ba"] * 4, "target": ["AB", "BA"] * 4})
    for model, table in (
        (Classifier(front_end="characters", **SMALL), texts),
        (MaskedModel(front_end="characters", **SMALL), texts),
        (Labeler(**SMALL), words),
        (Seq2Seq(front_end="characters", target_units="characters", **SMALL), pairs),
    ):
        model.fit(table, table, **ONCE)
        assert model.evaluate(table)
        assert len(model.predict(table)) == 8


@every_table
def test_columns_go_by_the_names_of_files(make):
    expected = list(zip(TEXTS["text"], TEXTS["label"], strict=True))
    assert goals(read_label(make(TEXTS))) == expected
    other = make({"Message": TEXTS["text"], "stars": TEXTS["label"], "label": [1, 2]})
    assert goals(read_label(other, item_column="Message", column="stars")) == expected
    assert goals(read_label(other, item_column="Message"))[0] == ("a fine film", "1")


@pytest.mark.parametrize("make", [MAKE[name] for name in ("pandas", "polars", "arrow", "batch")])
def test_a_column_goes_by_its_number_too(make):
    assert goals(read_label(make({"a": ["x"], "b": ["y"]}), item_column="2", column="1")) == [("y", "x")]


@rows_of_tables
def test_lists_of_words_and_labels(make, kind):
    words = [["we", "fish"], ["I", "saw"]]
    assert goals(read_labels(make({"words": words, "labels": [["X", "Y"]] * 2})))[1] == (["I", "saw"], ["X", "Y"])
    with pytest.raises(DataError, match=rf"^row 2 of the {kind}: expected as many labels as items \(2\), found 1"):
        read_labels(make({"words": words, "labels": [["X", "Y"], ["X"]]}))
    with pytest.raises(DataError, match=rf"^row 1 of the {kind}: expected labels that are strings, found 3 \(int\)"):
        read_labels(make({"words": words, "labels": [[3, 4]] * 2}))


def test_cells_of_text_hold_lists_as_in_csv(save):
    table = {"words": ["The dog", '["New York", "sleeps"]'], "labels": ["DET NOUN", "PROPN VERB"]}
    path = save("a.csv", pandas.DataFrame(table).to_csv(index=False))
    assert goals(read_labels(pandas.read_csv(path))) == goals(read_labels(path)) == goals(read_labels(table))


@rows_of_tables
def test_vectors_in_cells(make, kind):
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    for table in (make({"vectors": rows, "label": [0, 1]}), pandas.DataFrame({"vectors": rows, "label": [0, 1]})):
        examples = read_label(table, items="vectors")
        assert [example.items.tolist() for example in examples] == rows
        assert [example.goal for example in examples] == ["0", "1"]


def test_arrays_in_cells(tmp_path):
    arrays = [np.arange(6.0).reshape(3, 2), np.ones((1, 2))]
    table = pandas.DataFrame({"vectors": arrays, "labels": [np.array(["X", "Y", "X"]), np.array(["Y"])]})
    first, second = read_labels(table)
    np.testing.assert_array_equal(first.items, arrays[0])
    assert (first.goal, second.goal) == (["X", "Y", "X"], ["Y"])
    lists = pandas.DataFrame({"vectors": [array.tolist() for array in arrays], "labels": table["labels"]})
    lists.to_parquet(tmp_path / "a.parquet")  # of which pandas makes arrays of arrays
    assert [example.items.shape for example in read_labels(pandas.read_parquet(tmp_path / "a.parquet"))] == [
        (3, 2),
        (1, 2),
    ]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pandas.Series(["+", "-"], dtype="category"), ["+", "-"]),
        (pandas.Series([1, 0]), ["1", "0"]),
        (pandas.Series([1, 0], dtype="Int64"), ["1", "0"]),
        (pandas.Series([True, False]), ["True", "False"]),
        (pandas.Series(["+", "-"], dtype="string"), ["+", "-"]),
        (polars.Series(["+", "-"], dtype=polars.Categorical), ["+", "-"]),
        (polars.Series(["+", "-"], dtype=polars.Enum(["-", "+"])), ["+", "-"]),
        (polars.Series([1, 0], dtype=polars.UInt8), ["1", "0"]),
        (pyarrow.array(["+", "-"]).dictionary_encode(), ["+", "-"]),
        (np.array([1, 0], dtype=np.int8), ["1", "0"]),
    ],
    ids=["category", "int64", "Int64", "bool", "string", "Categorical", "Enum", "UInt8", "dictionary", "int8"],
)
def test_labels_of_any_type(labels, names):
    make = {"pandas": pandas.DataFrame, "polars": polars.DataFrame, "pyarrow": pyarrow.table}
    table = make.get(type(labels).__module__.split(".")[0], dict)({"text": ["a", "b"], "label": labels})
    assert [example.goal for example in read_label(table)] == names


def test_numbered_labels_of_datasets_keep_their_names_in_arrow(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])}
    )
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}, features=features).to_parquet(str(tmp_path / "a.parquet"))
    from pyarrow import parquet

    assert read_label(parquet.read_table(tmp_path / "a.parquet"))[0].goal == "spam"


@pytest.mark.parametrize("index", [[7, 8, 9], ["x", "y", "z"], [2, 1, 0], [0, 0, 0]], ids=str)
def test_rows_of_pandas_go_by_their_place_whatever_the_index(index):
    table = pandas.DataFrame({"text": ["a", "b", "c"], "label": ["X", "Y", "Z"]}, index=index)
    assert goals(read_label(table)) == [("a", "X"), ("b", "Y"), ("c", "Z")]
    assert goals(read_label(table.iloc[1:])) == [("b", "Y"), ("c", "Z")]
    assert read_label(table.iloc[1:])[1].place == Place(number=2, table="DataFrame")


def test_more_rows_than_are_made_into_values_at_once():
    texts = [f"text {number}" for number in range(2500)]
    for make in (pandas.DataFrame, polars.DataFrame, pyarrow.table):
        assert [example.items for example in read_label(make({"text": texts}), labelled=False)] == texts


@pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)
def test_a_series_is_a_sequence_of_values(make):
    assert [example.items for example in read_label(make(["a b", "c"]), labelled=False)] == ["a b", "c"]


@pytest.mark.parametrize("make", [SERIES[name] for name in ("pandas", "polars", "chunks", "datasets")])
def test_a_series_of_lists(make):
    words = [["we", "fish"], ["I", "saw"]]
    assert [example.items for example in read_labels(make(words), labelled=False)] == words


def test_texts_and_labels_side_by_side_are_told_to_be_zipped():
    with pytest.raises(DataError, match=r"example 1: expected a pair .* found 'a' \(str\); zip\(items, goals\)"):
        read_label(pandas.Series(["a", "b"]))
    table = pandas.DataFrame({"a": ["x"], "b": ["y"]})
    assert goals(read_label(zip(table.a, table.b, strict=True))) == [("x", "y")]


@rows_of_tables
def test_a_column_that_is_not_there(make, kind):
    with pytest.raises(
        DataError,
        match=rf"^the {kind}: expected a column 'label' \(or .*found the columns text, stars; rename the right one to",
    ):
        read_label(make({"text": ["a"], "stars": [5]}))
    with pytest.raises(
        DataError,
        match=rf"^the {kind}: expected a column 'chunk', found the columns text, stars; rename the right one to '",
    ):
        read_label(make({"text": ["a"], "stars": [5]}), column="chunk")
    if kind != "dict of columns":
        with pytest.raises(
            DataError,
            match=rf"^the {kind}: expected a column 'text' .*found the columns review; rename the right one to 'text'",
        ):
            read_label(make({"review": ["a"]}), labelled=False)
        with pytest.raises(DataError, match=rf"^the {kind}: expected a column 'text' .*found no columns$"):
            read_label(make({}), labelled=False)


def test_two_columns_of_one_name():
    table = pandas.DataFrame([["a", "X", "Y"]], columns=["text", "label", "label"])
    with pytest.raises(DataError, match="the DataFrame: expected columns of different names, found two called 'label'"):
        read_label(table)


@rows_of_tables
def test_missing_values_are_told_by_row(make, kind):
    with pytest.raises(
        DataError, match=rf"^row 2 of the {kind}: expected a value in the column 'text', found (None|nan)"
    ):
        read_label(make({"text": ["a", None]}), labelled=False)
    with pytest.raises(
        DataError, match=rf"^row 3 of the {kind}: expected a value in the column 'label', found (None|nan)"
    ):
        read_label(make({"text": ["a", "b", "c"], "label": [1, 0, None]}))
    assert len(read_label(make({"text": ["a"], "label": [None]}), labelled=False)) == 1


@pytest.mark.parametrize("missing", [pandas.NA, pandas.NaT, float("nan"), None], ids=["NA", "NaT", "NaN", "None"])
def test_all_that_pandas_has_for_nothing(missing):
    table = pandas.DataFrame({"text": ["a", "b"], "label": pandas.Series(["X", missing], dtype=object)})
    with pytest.raises(DataError, match=r"^row 2 of the DataFrame: expected a value in the column 'label'"):
        read_label(table)


@rows_of_tables
def test_a_wrong_value_is_told_by_row(make, kind):
    with pytest.raises(DataError, match=rf"^row 1 of the {kind}: expected a label that is a string or a whole number"):
        read_label(make({"text": ["a"], "label": [1.5]}))
    with pytest.raises(DataError, match=rf"^row 2 of the {kind}: expected a text of at least one character"):
        read_label(make({"text": ["a", ""], "label": ["X", "Y"]}))


@rows_of_tables
def test_an_empty_table(make, kind):
    empty = make({"text": [], "label": []})
    assert read_label(empty, labelled=False) == []
    with pytest.raises(DataError, match="expected labelled items, found no examples"):
        read_label(empty)


def test_a_table_that_is_not_computed_yet():
    with pytest.raises(DataError, match=r"a table in memory, found a LazyFrame, .*give its \.collect\(\)"):
        read_label(polars.LazyFrame(TEXTS))


def test_several_tables():
    for splits in ({"train": pandas.DataFrame(TEXTS)}, datasets.DatasetDict(train=datasets.Dataset.from_dict(TEXTS))):
        with pytest.raises(DataError, match=r"a mapping with the keys train; take one of them, as in data\['train'\]"):
            read_label(splits)
    with pytest.raises(DataError, match="an iterable of examples, found an empty mapping"):
        read_label({})


def test_dicts_that_are_no_tables():
    with pytest.raises(DataError, match=r"found 'a' under 'text'; put a single example in a list: \[\{...\}\]"):
        read_label({"text": "a", "label": "X"})
    with pytest.raises(
        DataError, match="the dict of columns: expected columns of one length, found 1 under 'text' and 2"
    ):
        read_label({"text": ["a"], "label": ["X", "Y"]})
    with pytest.raises(
        DataError, match=r"the dict of columns: expected a column 'text' .* found the columns review, label"
    ):
        read_label({"review": ["a"], "label": ["X"]})


def test_translations_in_a_column():
    pairs = [{"de": "Hund", "en": "dog"}]
    for make in (pandas.DataFrame, polars.DataFrame, pyarrow.table):
        examples = data.read(make({"translation": pairs}), goal="target", item_column="de", column="en")
        assert goals(examples) == [("Hund", "dog")]


def test_a_table_has_no_file_of_targets():
    with pytest.raises(ConfigError, match="target goes with the path of a source"):
        data.read(pandas.DataFrame(TEXTS), goal="target", target="a.txt")


class TestDatasets:
    """What else `datasets` hands out."""

    @pytest.mark.parametrize("form", ["pandas", "polars", "arrow", "torch", "numpy"])
    def test_any_format(self, form):
        dataset = datasets.Dataset.from_dict(TEXTS).with_format(form)
        assert goals(read_label(dataset))[1] == ("what a bore", "bad")
        assert goals(read_label(dataset, column="id"))[1] == ("what a bore", "5")

    def test_a_column_that_nobody_asked_for_is_not_decoded(self):
        features = datasets.Features({"text": datasets.Value("string"), "image": datasets.Image()})
        broken = {"text": ["a"], "image": [{"bytes": b"no image", "path": None}]}
        dataset = datasets.Dataset.from_dict(broken, features=features)
        for some in (dataset, dataset.to_iterable_dataset()):
            assert [example.items for example in read_label(some, labelled=False)] == ["a"]

    def test_a_transform_of_the_users_own_has_all_columns(self):
        def with_title(rows):
            return {"text": [f"{title} {text}" for title, text in zip(rows["title"], rows["text"], strict=True)]}

        dataset = datasets.Dataset.from_dict({"title": ["A"], "text": ["b"]}).with_transform(with_title)
        assert [example.items for example in read_label(dataset, labelled=False)] == ["A b"]


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (
            lambda table: table.rename(columns={"text": "review"}),
            r"found the columns .*; rename the right one to 'text'",
        ),
        (lambda table: pandas.DataFrame(np.ones((3, 2)), columns=["a", "b"]), r"a, b; a table of numbers .*: \[df\]"),
        (lambda table: pyarrow.Table.from_pandas(table).to_reader(), r"RecordBatchReader, .*; give its .read_all\(\)"),
        (lambda table: table.groupby("label"), r"DataFrameGroupBy, .*; give its .agg\(list\)"),
        (lambda table: table.itertuples(), "a row with its index; give the DataFrame itself"),
        (lambda table: table.iterrows(), "a row with its index; give the DataFrame itself"),
        (lambda table: table.assign(label=[0.0, 1.0]), r"0.0 \(float\); make it whole again with astype\(int\)"),
    ],
    ids=["name", "numbers", "reader", "groups", "itertuples", "iterrows", "floats"],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_told_of_pandas_and_arrow(give, message, labelled):
    table = give(pandas.DataFrame(TEXTS))
    if not labelled and "astype" in message:
        return
    with pytest.raises(DataError, match=message):
        read_label(table, labelled=labelled)


def test_numbers_of_a_dataset_that_names_them():
    feature = datasets.Sequence(datasets.ClassLabel(names=["O", "X"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": feature})
    dataset = datasets.Dataset.from_dict({"tokens": [["a", "b"]], "ner_tags": [[0, 1]]}, features=features)
    with pytest.raises(DataError, match=r"found 0 \(int\) .* give the dataset that knows its name"):
        read_labels(dataset.to_pandas())
    assert goals(read_labels(dataset)) == [(["a", "b"], ["O", "X"])]
