"""Items as a task wants them: as they are found, or made into texts, words or vectors."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import written

from regard import data
from regard.data import Place
from regard.data.goals import labels
from regard.data.items import join_cell, split_cell
from regard.errors import DataError

TEXT, WORDS, ARRAY = "It's a dog.", ["It's", "a", "dog."], np.ones((2, 3), np.float32)
WHOLE = {"label": "X", "target": "x", "nothing": None}  # goals of a whole sequence


def items_of(items, kind, goal, *, labelled=True):
    """One example made of Python values."""
    told = {"labels": ["X"] * len(items), **WHOLE}[goal]
    source = [items] if goal == "nothing" or not labelled else [(items, told)]
    (example,) = data.read(source, goal=goal, items=kind, labelled=labelled)
    return example.items


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("goal", WHOLE)
class TestWhole:
    def test_as_they_are_found(self, goal, labelled):
        assert items_of(TEXT, None, goal, labelled=labelled) == TEXT
        assert items_of(WORDS, None, goal, labelled=labelled) == WORDS
        np.testing.assert_array_equal(items_of(ARRAY, None, goal, labelled=labelled), ARRAY)

    def test_words_are_cut_from_a_text(self, goal, labelled):
        assert items_of(TEXT, "words", goal, labelled=labelled) == ["It's", "a", "dog", "."]
        assert items_of(WORDS, "words", goal, labelled=labelled) == WORDS

    def test_words_are_joined_to_a_text(self, goal, labelled):
        assert items_of(WORDS, "text", goal, labelled=labelled) == TEXT
        assert items_of(TEXT, "text", goal, labelled=labelled) == TEXT

    def test_vectors_are_neither(self, goal, labelled):
        wanted = r"\(front_end=vectors takes arrays\), found an array \[2, 3\]"
        with pytest.raises(DataError, match=rf"example 1: expected a text or a list of words {wanted}"):
            items_of(ARRAY, "text", goal, labelled=labelled)
        with pytest.raises(DataError, match=rf"example 1: expected words {wanted}"):
            items_of(ARRAY, "words", goal, labelled=labelled)

    def test_neither_is_made_into_vectors(self, goal, labelled):
        with pytest.raises(DataError, match=r"an array \[N, C\] \(other front ends take text\), found the text \"It's"):
            items_of(TEXT, "vectors", goal, labelled=labelled)
        with pytest.raises(DataError, match=r"expected an array \[N, C\] \(front_end=words takes words\), found words"):
            items_of(WORDS, "vectors", goal, labelled=labelled)
        np.testing.assert_array_equal(items_of(ARRAY.tolist(), "vectors", goal, labelled=labelled), ARRAY)


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
class TestLabels:
    def test_words_and_vectors_stay_what_they_are(self, labelled):
        for kind in (None, "words"):
            assert items_of(WORDS, kind, "labels", labelled=labelled) == WORDS
        for kind in (None, "vectors"):
            np.testing.assert_array_equal(items_of(ARRAY, kind, "labels", labelled=labelled), ARRAY)

    def test_a_text_given_from_python_is_an_error(self, labelled):
        for kind in (None, "words"):
            with pytest.raises(DataError, match=r"example 1: .* found the string \"It's a dog\.\"; put its words in a"):
                items_of(TEXT, kind, "labels", labelled=labelled)

    def test_vectors_are_no_words_and_words_no_vectors(self, labelled):
        with pytest.raises(DataError, match=r"words \(front_end=vectors takes arrays\), found an array \[2, 3\]"):
            items_of(ARRAY, "words", "labels", labelled=labelled)
        with pytest.raises(DataError, match=r"an array \[N, C\] \(front_end=words takes words\), found words"):
            items_of(WORDS, "vectors", "labels", labelled=labelled)
        with pytest.raises(DataError, match=r"an array \[N, C\] \(other front ends take text\), found the text"):
            items_of(TEXT, "vectors", "labels", labelled=labelled)


def test_words_are_joined_where_no_label_for_each_is_wanted():
    assert items_of(WORDS, "text", "labels", labelled=False) == TEXT


@pytest.mark.parametrize("kind", [None, "words"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "It's a  dog.\n"),
        ("a.txt", '["It\'s", "a", "dog."]\n'),
        ("a.csv", "text,labels\nIt's a dog.,X\n"),
        ("a.csv", 'words\n"[""It\'s"", ""a"", ""dog.""]"\n'),
    ],
)
def test_cells_and_lines_are_split_at_blanks_where_every_item_has_a_label(save, kind, name, content):
    (example,) = data.read(save(name, content), goal="labels", items=kind, labelled=False)
    assert example.items == WORDS


def test_a_text_of_jsonl_is_not_split(save):
    with pytest.raises(DataError, match=r"a.jsonl:1: .* found the string 'a b'; put its words in a list"):
        data.read(save("a.jsonl", '{"text": "a b"}\n'), goal="labels", labelled=False, items="words")


def test_a_cell_holds_vectors(save):
    path = save("a.csv", 'vectors,labels\n"[[1, 2], [3, 4]]",X Y\n')
    (example,) = data.read(path, goal="labels", items="vectors")
    assert (example.items.tolist(), example.goal) == ([[1, 2], [3, 4]], ["X", "Y"])


def test_all_must_be_made_into_the_same():
    mixed = [("a b", "X"), (["a", "b"], "Y")]
    assert [example.items for example in data.read(mixed, goal="label", items="words")] == [["a", "b"]] * 2
    with pytest.raises(DataError, match="example 2: expected texts as before, found words"):
        data.read(mixed, goal="label")


@given(st.lists(st.text(min_size=1), max_size=5))
def test_a_list_in_a_cell_comes_back(values):
    assert split_cell(join_cell(values)) == values


@pytest.mark.parametrize(("found", "kind"), [(TEXT, "words"), (WORDS, "text")])
@pytest.mark.parametrize("goal", ["label", "target"])
def test_what_was_made_into_another_kind_is_written_as_it_was_found(goal, found, kind):
    examples = data.read([found], goal=goal, items=kind, labelled=False)
    again = data.read(examples, goal=goal, items=kind, labelled=False)
    for (example,) in (examples, again):
        assert (example.items != found, example.found) == (True, found)
        (told,) = written([(example, "X")], goal=goal, format="jsonl").splitlines()
        assert found in json.loads(told).values()


def test_no_words_may_be_an_empty_array():
    examples = data.read([np.zeros((0, 3)), WORDS], goal="labels", items="words", labelled=False)
    assert [example.items for example in examples] == [[], WORDS]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (5, r"5 \(int\)"),
        (iter([[1.0]]), r"\(list_iterator\)"),
        ([[1.0], 5], "5 at item 2"),
        ([[1.0], "a"], "at item 2"),
    ],
    ids=["number", "iterator", "number in it", "text in it"],
)
def test_what_is_no_row_of_numbers_is_told(rows, found):
    with pytest.raises(DataError, match=rf"found .*{found}"):
        data.read([rows], goal="nothing", items="vectors", labelled=False)


def test_no_labels_are_not_labels():
    with pytest.raises(DataError, match="example 1: expected labels, found none"):
        labels(None, WORDS, Place(number=1))
