"""Python values with one label, or one target, for a whole sequence."""

from functools import partial

import numpy as np
import pytest

from regard import data
from regard.data import Example, Place
from regard.errors import DataError

read_label = partial(data.read, goal="label")
read_target = partial(data.read, goal="target")
ARRAY = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    "entry",
    [
        ("a b", "X"),
        ["a b", "X"],
        {"text": "a b", "label": "X"},
        {"sentence": "a b", "class": "X"},
        Example("a b", "X"),
    ],
    ids=["pair", "list", "dict", "dict with other names", "Example"],
)
@pytest.mark.parametrize("container", [list, tuple, iter], ids=lambda container: container.__name__)
def test_labelled_values(entry, container):
    (example,) = read_label(container([entry]))
    assert (example.items, example.goal) == ("a b", "X")
    assert read_label([entry], labelled=False)[0].items in ("a b", ["a b", "X"])  # a list is one of words there


@pytest.mark.parametrize(
    ("label", "name"), [(1, "1"), (True, "True"), (np.int64(2), "2"), (np.str_("a"), "a"), (np.True_, "True")]
)
def test_labels_become_strings(label, name):
    (example,) = read_label([("a", label)])
    assert (example.goal, type(example.goal)) == (name, str)


def test_words_and_arrays():
    assert read_label([(["a", "b"], "X")])[0].items == ["a", "b"]
    assert read_label([(ARRAY, "X")])[0].items.dtype == np.float32
    assert read_target([(ARRAY, "x")])[0].items.shape == (3, 2)
    assert read_target([{"words": ["a"], "target": "x"}])[0].items == ["a"]


@pytest.mark.parametrize("entry", ["a b", ("a b", "X"), ("a b", None), {"text": "a b"}, Example("a b")], ids=repr)
def test_bare_items_do_where_no_labels_are_wanted(entry):
    (example,) = read_label([entry], labelled=False)
    assert (example.items, example.goal) == ("a b", None)


def test_bare_words_and_arrays():
    assert read_label([["a", "b"]], labelled=False)[0].items == ["a", "b"]
    assert read_label([ARRAY.tolist()], labelled=False)[0].items.shape == (3, 2)
    assert read_label([((1.0, 2.0), (3.0, 4.0))], labelled=False)[0].items.shape == (2, 2)
    assert read_label([""], labelled=False)[0].items == ""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a b", r"a pair \(items, label\), a dict or an Example, found 'a b' \(str\)"),
        (("a", "b", "c"), r"a pair \(items, label\), a dict or an Example, found \('a', 'b', 'c'\) \(tuple\)"),
        (("a", 1.5), r"a label that is a string or a whole number, found 1.5 \(float\)"),
        (("a", None), "a label, found None"),
        ((None, "X"), r"a text, a list of words or an array \[N, C\], found None"),
        (("a", ""), "a label of at least one character, found an empty one"),
        (("", "X"), "a text of at least one character, found an empty one"),
        ((b"a", "X"), r"a text, a list of words or an array \[N, C\], found b'a' \(bytes\)"),
        (([], "X"), "at least one item, found an empty sequence"),
        ((["a", 1], "X"), r"words that are strings, found 1 \(int\) at item 2"),
        (Example("a"), "a label, found none; read it with labelled=True"),
        (Example("", "X"), "a text of at least one character"),
        ((["a"], "X"), "texts as before, found words"),
    ],
)
def test_a_wrong_example_is_named_by_its_number(entry, message):
    with pytest.raises(DataError, match="example 2: expected " + message):
        read_label([("a", "X"), entry])


def test_a_wrong_target():
    with pytest.raises(DataError, match=r"example 1: expected a target that is a string, found 1 \(int\)"):
        read_target([("a", 1)])
    with pytest.raises(DataError, match="example 1: expected a target, found none"):
        read_target([Example("a")])
    with pytest.raises(DataError, match=r"a.tsv:7: expected a target, found none"):
        read_target([Example("a", place=Place("a.tsv", 7))])


@pytest.mark.parametrize("source", [b"train.tsv", 7, None, {"train": []}], ids=repr)
def test_no_source_at_all(source):
    with pytest.raises(DataError, match=r"expected (a path or )?an iterable of examples, found"):
        read_label(source)


def test_no_examples_are_no_error_until_labels_are_wanted():
    assert read_label([], labelled=False) == read_target([], labelled=False) == []
    with pytest.raises(DataError, match="expected labelled items, found no examples"):
        read_label([])


def test_a_text_has_no_label_for_each_word():
    with pytest.raises(DataError, match=r"example 1: expected a list of words or an array .* found the string 'a b'"):
        data.read([Example("a b")], goal="labels", labelled=False)


class TestDatasets:
    """Hugging Face datasets."""

    @pytest.fixture
    def dataset(self):
        datasets = pytest.importorskip("datasets")
        columns = {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["ham", "spam"]),
            "stars": datasets.Value("int64"),
        }
        rows = {"text": ["a", "b"], "label": [1, 0], "stars": [5, 4]}
        return datasets.Dataset.from_dict(rows, features=datasets.Features(columns))

    def test_label_numbers_become_names(self, dataset):
        for other in (dataset, dataset.to_iterable_dataset(), dataset.with_format("numpy")):
            assert [example.goal for example in read_label(other)] == ["spam", "ham"]
            assert [example.goal for example in read_label(other, column="stars")] == ["5", "4"]

    def test_hidden_labels(self, dataset):
        hidden = dataset.map(lambda row: {"label": -1})
        assert [example.items for example in read_label(hidden, labelled=False)] == ["a", "b"]
        with pytest.raises(DataError, match="example 1: expected label numbers from 0 to 1, found -1"):
            read_label(hidden)

    def test_translations(self):
        datasets = pytest.importorskip("datasets")
        dataset = datasets.Dataset.from_list([{"translation": {"de": "Hund", "en": "dog"}}])
        (example,) = read_target(dataset, item_column="de", column="en")
        assert (example.items, example.goal) == ("Hund", "dog")
