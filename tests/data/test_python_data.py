import numpy as np
import pytest
import torch

from regard.data import Example, output_format, read_examples
from regard.errors import DataError

ARRAY = np.arange(6.0).reshape(3, 2)


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
    (example,) = read_examples(container([entry]))
    assert (example.items, example.labels) == (["a", "b"], ["X", "Y"])


@pytest.mark.parametrize(
    "entry", [["a", "b"], ("a", "b"), np.array(["a", "b"]), (["a", "b"], ["X", "Y"]), (["a", "b"], None)], ids=repr
)
def test_bare_items_do_where_no_labels_are_wanted(entry):
    (example,) = read_examples([entry], labelled=False)
    assert (example.items, example.labels) == (["a", "b"], None)


@pytest.mark.parametrize(
    "entry",
    [ARRAY, ARRAY.astype(np.int64), ARRAY.tolist(), tuple(ARRAY), torch.tensor(ARRAY), (ARRAY, ["x", "y", "z"])],
    ids=["float64", "int64", "lists", "tuple of rows", "tensor", "pair"],
)
def test_arrays(entry):
    (example,) = read_examples([entry], labelled=False)
    assert example.items.dtype == np.float32
    np.testing.assert_array_equal(example.items, ARRAY)


def test_two_vectors_in_a_tuple_are_no_pair():
    (example,) = read_examples([((1.0, 2.0), (3.0, 4.0))], labelled=False)
    assert example.items.shape == (2, 2)


def test_no_examples_are_no_error_until_labels_are_wanted():
    assert read_examples([], labelled=False) == []
    assert read_examples([[]], labelled=False)[0].items == []
    with pytest.raises(DataError, match="expected labelled items, found no examples"):
        read_examples([])
    with pytest.raises(DataError, match="expected labelled items, found only empty sequences"):
        read_examples([([], [])])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a b", r"a pair \(items, labels\), a dict or an Example, found 'a b' \(str\)"),
        (["a", "b", "c"], r"a pair \(items, labels\), a dict or an Example, found \['a', 'b', 'c'\] \(list\)"),
        (("a", "b"), r"a list of words or an array \[N, C\], found the string 'a'; put its words in a list"),
        ((["a"], ["X", "Y"]), r"as many labels as items \(1\), found 2 labels"),
        ((["a"], [1]), r"labels that are strings, found 1 \(int\) at item 1"),
        ((["a"], 1), "a list of labels, found 1"),
        ((5, ["X"]), r"a list of words or an array \[N, C\], found 5 \(int\)"),
        (Example(["a"]), "labels, found none; read the file with labelled=True"),
        ({"words": ["a"]}, "labels under one of the keys"),
        ((torch.ones(2, 3, dtype=torch.bfloat16), ["X", "Y"]), "rows of numbers, all of one length"),
    ],
)
def test_a_wrong_example_is_named_by_its_number(entry, message):
    with pytest.raises(DataError, match="example 2: expected " + message):
        read_examples([(["a"], ["X"]), entry])


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("source", [b"train.tsv", 7, None], ids=repr)
def test_no_source_at_all(source, labelled):
    with pytest.raises(DataError, match="expected a path or an iterable of examples, found"):
        read_examples(source, labelled=labelled)


def test_one_sentence_in_place_of_a_list_of_them():
    with pytest.raises(DataError, match=r"example 1: .* found the string 'The'; put its words in a list"):
        read_examples(["The", "dog"], labelled=False)


def test_python_values_come_out_as_jsonl():
    assert output_format([["a"]]) == "jsonl"


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
        first, second = read_examples(dataset, column="ner_tags")
        assert (first.items, first.labels) == (["Peter", "barks"], ["B-PER", "O"])
        assert (second.items, second.labels) == ([], [])

    def test_the_column_upos_wins_and_without_it_the_usual_ones(self, dataset):
        assert read_examples(dataset)[0].labels == ["PROPN", "VERB"]
        assert read_examples(dataset.remove_columns("upos"))[0].labels == ["B-PER", "O"]

    def test_streams_and_formats_read_alike(self, dataset):
        for other in (dataset.to_iterable_dataset(), dataset.with_format("numpy")):
            assert read_examples(other, column="ner_tags")[0].labels == ["B-PER", "O"]
        assert read_examples(dataset, labelled=False)[0].labels is None

    def test_a_wrong_column_and_a_dict_of_splits(self, dataset):
        from datasets import DatasetDict

        with pytest.raises(DataError, match="labels under the key 'chunk', found the keys tokens, ner_tags, upos"):
            read_examples(dataset, column="chunk")
        with pytest.raises(
            DataError, match=r"found a mapping with the keys train; take one of them, as in data\['train'\]"
        ):
            read_examples(DatasetDict(train=dataset))

    def test_unknown_label_numbers(self, dataset):
        hidden = dataset.map(lambda row: {"ner_tags": [-1] * len(row["tokens"])})
        with pytest.raises(DataError, match="example 1: expected label numbers from 0 to 1, found -1"):
            read_examples(hidden, column="ner_tags")
