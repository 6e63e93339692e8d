import json
from functools import partial

import numpy as np
import pytest

from regard import data
from regard.errors import DataError

read = partial(data.read, goal="labels")


@pytest.mark.parametrize("items", ["words", "tokens", "items"])
@pytest.mark.parametrize("labels", ["labels", "tags", "ner_tags", "pos_tags", "upos"])
def test_the_usual_names(save, items, labels):
    path = save("a.jsonl", json.dumps({"id": 7, items: ["New York", "é"], labels: ["X", "Y"]}) + "\n\n")
    (example,) = read(path)
    assert (example.items, example.goal, example.place.line) == (["New York", "é"], ["X", "Y"], 1)


def test_a_column_names_the_labels(save):
    path = save("a.jsonl", '{"words": ["a"], "labels": ["X"], "ner": ["O"]}\n')
    assert read(path, column="ner")[0].goal == ["O"]
    assert read(path)[0].goal == ["X"]
    with pytest.raises(
        DataError, match=r"a.jsonl:1: expected labels under the key 'chunk', found the keys words, labels"
    ):
        read(path, column="chunk")


def test_vectors(save):
    path = save("a.jsonl", '{"vectors": [[1, 2.5], [3, 4]], "labels": ["a", "b"]}\n{"vectors": [], "labels": []}\n')
    first, second = read(path)
    assert first.items.dtype == np.float32
    np.testing.assert_array_equal(first.items, [[1, 2.5], [3, 4]])
    assert (len(second), second.goal) == (0, [])


def test_labels_stay_unread_where_none_are_wanted(save):
    path = save("a.jsonl", '{"words": ["a"], "labels": [1, 2]}\n{"words": []}\n')
    assert [(e.items, e.goal) for e in read(path, labelled=False)] == [(["a"], None), ([], None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"words": ["a"]', r"a JSON object on one line, found expecting ',' delimiter at character 16"),
        ('["a"]', r"a JSON object on one line, found \['a'\]"),
        ("[" * 100_000, r"a JSON object on one line, found lists nested too deeply"),
        ('{"body": "a b"}', r"a key 'words' \(or tokens, items, vectors, text, sentence\), found the keys body"),
        ('{"text": "a b"}', r"a list of words or an array \[N, C\], found the string 'a b'; put its words in a list"),
        ("{}", "a key 'words' .*, found no keys"),
        ('{"words": ["a"]}', r"labels under the key 'upos' \(or labels, tags, .*\), found the keys words"),
        ('{"words": ["a"], "labels": null}', r"labels under .*, found the keys words, labels \(null\)"),
        ('{"words": ["a"], "labels": ["X", "Y"]}', r"as many labels as items \(1\), found 2 labels"),
        ('{"words": ["a", 5], "labels": ["X", "Y"]}', r"words that are strings, found 5 \(int\) at item 2"),
        ('{"words": ["a"], "labels": [3]}', r"labels that are strings, found 3 \(int\) at item 1; turn it into one"),
        (
            '{"words": ["a", ""], "labels": ["X", "Y"]}',
            "a word of at least one character, found an empty one at item 2",
        ),
        (
            '{"words": ["\\ud800"], "labels": ["X"]}',
            r"a word of whole characters, found half a surrogate pair in '\\ud800'",
        ),
        ('{"words": "a b", "labels": ["X"]}', r"a list of words or an array \[N, C\], found the string 'a b'"),
        ('{"words": ["a"], "labels": "X"}', "a list of labels, found 'X'"),
        (
            '{"vectors": [[1, 2], [3]], "labels": ["X", "Y"]}',
            "rows of numbers, all of one length, found 1 numbers at item 2, 2 before",
        ),
        ('{"vectors": [[1, NaN]], "labels": ["X"]}', "finite numbers, found nan at item 1, channel 2"),
        ('{"vectors": [[1], [-Infinity]], "labels": ["X", "Y"]}', "finite numbers, found -inf at item 2, channel 1"),
        ('{"vectors": [[1e300]], "labels": ["X"]}', "finite numbers, found 1e.300 at item 1, channel 1"),
        ('{"vectors": [["1"]], "labels": ["X"]}', "rows of numbers, all of one length, found '1' at item 1"),
        ('{"vectors": [[null]], "labels": ["X"]}', "rows of numbers, all of one length, found None at item 1"),
        ('{"vectors": [1, 2], "labels": ["X", "Y"]}', r"words that are strings, found 1 \(int\)"),
        ('{"vectors": [[], []], "labels": ["X", "Y"]}', r"an array \[N, C\], found shape \[2, 0\]"),
    ],
)
def test_a_wrong_line_is_named(save, line, message):
    with pytest.raises(DataError, match="a.jsonl:2: expected " + message):
        read(save("a.jsonl", '{"words": [], "labels": []}\n' + line + "\n"))


def test_words_and_vectors_do_not_mix(save):
    words, two, three = '{"words": ["a"]}', '{"vectors": [[1, 2]]}', '{"vectors": [[1, 2, 3]]}'
    with pytest.raises(DataError, match=r"a.jsonl:2: expected words as before, found arrays \[N, 2\]"):
        read(save("a.jsonl", f"{words}\n{two}\n"), labelled=False)
    with pytest.raises(DataError, match=r"a.jsonl:3: expected arrays \[N, 2\] as before, found arrays \[N, 3\]"):
        read(save("a.jsonl", f"{two}\n{two}\n{three}\n"), labelled=False)


def test_a_number_of_thousands_of_digits(save):
    path = save("a.jsonl", f'{{"text": "a", "label": {"9" * 5000}}}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: expected a JSON object .* found a number of thousands of digits"):
        data.read(path, goal="label")
