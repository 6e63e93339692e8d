from functools import partial

import numpy as np
import pytest
import torch

from regard import data
from regard.data import Example, output_format
from regard.errors import DataError

ARRAY = np.arange(6.0).reshape(3, 2)

read = partial(data.read, goal="labels")


@pytest.mark.parametrize(
    "entry",
    [
        (["a", "b"], ["X", "Y"]),
        [("a", "b"), ("X", "Y")],
        (np.array(["a", "b"]), np.array(["X", "Y"])),
        {"words": ["a", "b"], "labels": ["X", "Y"]},
        {"tokens": ["a", "b"], "upos": ["X", "Y"]},
        Example(["a", "b"], ["X", "Y"]),
    ],
    ids=["pair", "list of tuples", "arrays", "dict", "dict with other names", "Example"],
)
@pytest.mark.parametrize("container", [list, tuple, iter], ids=lambda container: container.__name__)
def test_labelled_values(entry, container):
    (example,) = read(container([entry]))
    assert (example.items, example.goal) == (["a", "b"], ["X", "Y"])


@pytest.mark.parametrize(
    "entry", [["a", "b"], ("a", "b"), np.array(["a", "b"]), (["a", "b"], ["X", "Y"]), (["a", "b"], None)], ids=repr
)
def test_bare_items_do_where_no_labels_are_wanted(entry):
    (example,) = read([entry], labelled=False)
    assert (example.items, example.goal) == (["a", "b"], None)


@pytest.mark.parametrize(
    "entry",
    [ARRAY, ARRAY.astype(np.int64), ARRAY.tolist(), tuple(ARRAY), torch.tensor(ARRAY), (ARRAY, ["x", "y", "z"])],
    ids=["float64", "int64", "lists", "tuple of rows", "tensor", "pair"],
)
def test_arrays(entry):
    (example,) = read([entry], labelled=False)
    assert example.items.dtype == np.float32
    np.testing.assert_array_equal(example.items, ARRAY)


def test_two_vectors_in_a_tuple_are_no_pair():
    (example,) = read([((1.0, 2.0), (3.0, 4.0))], labelled=False)
    assert example.items.shape == (2, 2)


def test_no_examples_are_no_error_until_labels_are_wanted():
    assert read([], labelled=False) == []
    assert read([[]], labelled=False)[0].items == []
    with pytest.raises(DataError, match="expected labelled items, found no examples"):
        read([])
    with pytest.raises(DataError, match="expected labelled items, found only empty sequences"):
        read([([], [])])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a b", r"a pair \(items, labels\), a dict or an Example, found 'a b' \(str\)"),
        (["a", "b", "c"], r"a pair \(items, labels\), a dict or an Example, found \['a', 'b', 'c'\] \(list\)"),
        (("a", "b"), r"a list of words or an array \[N, C\], found the string 'a'; put its words in a list"),
        ((["a"], ["X", "Y"]), r"as many labels as items \(1\), found 2 labels"),
        ((["a"], [1]), r"labels that are strings, found 1 \(int\) at item 1"),
        ((["a"], 1), "a list of labels, found 1"),
        ((None, ["X"]), r"a list of words or an array \[N, C\], found None"),
        ((["a"], None), "labels, found None"),
        ((5, ["X"]), r"a list of words or an array \[N, C\], found 5 \(int\)"),
        (Example(["a"]), "labels, found none; read it with labelled=True"),
        ({"words": ["a"]}, r"labels under the key 'upos' \(or labels, tags, .*\), found the keys words"),
        ((torch.ones(2, 3, dtype=torch.bfloat16), ["X", "Y"]), "rows of numbers, all of one length"),
    ],
)
def test_a_wrong_example_is_named_by_its_number(entry, message):
    with pytest.raises(DataError, match="example 2: expected " + message):
        read([(["a"], ["X"]), entry])


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("source", [b"train.tsv", 7, None], ids=repr)
def test_no_source_at_all(source, labelled):
    with pytest.raises(DataError, match="expected a path or an iterable of examples, found"):
        read(source, labelled=labelled)


def test_one_sentence_in_place_of_a_list_of_them():
    with pytest.raises(DataError, match=r"example 1: .* found the string 'The'; put its words in a list"):
        read(["The", "dog"], labelled=False)


def test_python_values_come_out_as_jsonl():
    assert output_format([["a"]], goal="labels").name == "jsonl"


class TestDatasets:
    """Hugging Face datasets."""

    @pytest.fixture
    def dataset(self):
        datasets = pytest.importorskip("datasets")
        names = datasets.ClassLabel(names=["O", "B-PER"])
        columns = {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(names),
            "upos": datasets.Sequence(datasets.Value("string")),
        }
        rows = {"tokens": [["Peter", "barks"], []], "ner_tags": [[1, 0], []], "upos": [["PROPN", "VERB"], []]}
        return datasets.Dataset.from_dict(rows, features=datasets.Features(columns))

    def test_label_numbers_become_names(self, dataset):
        first, second = read(dataset, column="ner_tags")
        assert (first.items, first.goal) == (["Peter", "barks"], ["B-PER", "O"])
        assert (second.items, second.goal) == ([], [])

    def test_the_column_upos_wins_and_without_it_the_usual_ones(self, dataset):
        assert read(dataset)[0].goal == ["PROPN", "VERB"]
        assert read(dataset.remove_columns("upos"))[0].goal == ["B-PER", "O"]

    def test_streams_and_formats_read_alike(self, dataset):
        for other in (dataset.to_iterable_dataset(), dataset.with_format("numpy")):
            assert read(other, column="ner_tags")[0].goal == ["B-PER", "O"]
        assert read(dataset, labelled=False)[0].goal is None

    def test_a_wrong_column_and_a_dict_of_splits(self, dataset):
        from datasets import DatasetDict

        with pytest.raises(DataError, match="labels under the key 'chunk', found the keys tokens, ner_tags, upos"):
            read(dataset, column="chunk")
        with pytest.raises(
            DataError, match=r"found a mapping with the keys train; take one of them, as in data\['train'\]"
        ):
            read(DatasetDict(train=dataset))

    def test_unknown_label_numbers(self, dataset):
        hidden = dataset.map(lambda row: {"ner_tags": [-1] * len(row["tokens"])})
        with pytest.raises(DataError, match="example 1: expected label numbers from 0 to 1, found -1"):
            read(hidden, column="ner_tags")
