from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from regard import data
from regard.errors import DataError

TWO_DIMENSIONS = """\
# two signals
%of unequal length
@problemName steps
@timeStamps false

@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
1,2.5,-3e-1:4,5,6:up
7:8:down
"""
SKTIME = find_spec("sktime")  # only its data are wanted: it is not imported

read = partial(data.read, goal="label")


def test_series_are_arrays_of_points_in_time(save):
    up, down = read(save("a.ts", TWO_DIMENSIONS))
    np.testing.assert_array_equal(up.items, np.array([[1, 4], [2.5, 5], [-0.3, 6]], np.float32))
    np.testing.assert_array_equal(down.items, [[7, 8]])
    assert up.items.dtype == np.float32
    assert [(example.goal, example.place.line) for example in (up, down)] == [("up", 11), ("down", 12)]


def test_labels_stay_unread_where_none_are_wanted(save):
    examples = read(save("a.ts", TWO_DIMENSIONS.replace("8:down", "8:")), labelled=False)
    assert [(len(example), example.goal) for example in examples] == [(3, None), (1, None)]
    for tag in ("@classLabel false\n", "@targetLabel false\n", ""):
        (example,) = read(save("a.ts", f"{tag}@data\n1,2:3,4\n"), labelled=False)
        assert example.items.tolist() == [[1, 3], [2, 4]]
    (example,) = read(save("a.ts", "@targetlabel TRUE\n@DATA\n1,2:0.5\n"), labelled=False)
    assert example.items.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2:3:up", r"as many values in each dimension \(2 in the first\), found 1 in dimension 2"),
        ("1,2:3,4", r"2 dimensions and a label, parted by ':', found 1: '1,2:3,4'"),
        ("1:2:3:up", r"2 dimensions and a label, parted by ':', found 3: '1:2:3:up'"),
        (
            "1,2:3,?:up",
            r"finite numbers parted by commas, found '\?' at place 2 of dimension 2 \(a missing value; fill",
        ),
        ("1,NaN:3,4:up", r"finite numbers .*, found 'NaN' at place 2 of dimension 1 \(a missing value; fill"),
        ("1,1e99:3,4:up", "finite numbers .*, found '1e99' at place 2 of dimension 1$"),
        ("1,-inf:3,4:up", "finite numbers .*, found '-inf' at place 2 of dimension 1$"),
        ("1,two:3,4:up", "finite numbers .*, found 'two' at place 2 of dimension 1$"),
        ("1,,2:3,4:up", "finite numbers .*, found '' at place 2 of dimension 1$"),
        ("::up", "finite numbers .*, found '' at place 1 of dimension 1$"),
        ("1:2:left", "one of the 2 labels of @classLabel, found 'left'"),
        ("1:2:", "one of the 2 labels of @classLabel, found ''"),
    ],
)
def test_a_wrong_series_is_named(save, row, message):
    with pytest.raises(DataError, match=r"a.ts:13: expected " + message):
        read(save("a.ts", TWO_DIMENSIONS + row + "\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3:up\n", r"a.ts:1: expected a tag as '@problemName ...', or the line '@data', found '1,2,3:up'"),
        ("@univariate true\n", r"a.ts: expected a line '@data' and series below it, found none"),
        ("@classLabel true a\n@data\n\n", r"a.ts: expected at least one sequence"),
        ("@data\n1,2\n", r"a.ts:1: expected '@classLabel true' and the labels, found '@classLabel false'"),
        ("@classLabel false\n@data\n", r"a.ts:2: expected '@classLabel true' .* found '@classLabel false'"),
        ("@targetLabel true\n@data\n", r"a.ts:2: expected '@classLabel true' .* '@targetLabel true': numbers to pr"),
        ("@timeStamps true\n@data\n", r"a.ts:2: expected series without time stamps, found '@timeStamps true'"),
        ("@dimensions two\n@data\n", r"a.ts:2: expected a number of dimensions, from 1, found '@dimensions two'"),
        (
            "@univariate true\n@classLabel true a\n@data\n1:2:a\n",
            r"a.ts:4: expected 1 dimensions and a label, parted by ':', found 2",
        ),
        ("@classLabel true a\n@data\na\n", r"a.ts:3: expected 1 dimensions and a label, parted by ':', found 0: 'a'"),
        ("@classLabel true a\n@data\n1:2:a\n1:a\n", r"a.ts:4: expected 2 dimensions and a label, .* found 1: '1:a'"),
    ],
)
def test_a_wrong_header(save, content, message):
    with pytest.raises(DataError, match=message):
        read(save("a.ts", content))


@pytest.mark.skipif(SKTIME is None, reason="needs the data in the sktime package")
@pytest.mark.parametrize(("part", "count"), [("TRAIN", 270), ("TEST", 370)])
def test_japanese_vowels(part, count):
    path = Path(SKTIME.origin).parent / "datasets" / "data" / "JapaneseVowels" / f"JapaneseVowels_{part}.ts"
    examples = read(path)
    assert len(examples) == count
    assert {example.goal for example in examples} == set("123456789")
    assert {example.items.shape[1] for example in examples} == {12}
    assert all(7 <= len(example) <= 29 for example in examples)
    first = path.read_text().split("@data\n")[1].split("\n")[0].split(":")
    np.testing.assert_allclose(
        examples[0].items, np.stack([np.fromstring(part, sep=",") for part in first[:-1]], 1), rtol=1e-6
    )


def test_a_number_of_thousands_of_digits(save):
    path = save("a.ts", f"@dimensions {'9' * 5000}\n@classLabel true X\n@data\n1:X\n")
    with pytest.raises(DataError, match=r"a.ts:3: expected a number of dimensions, from 1, found '@dimensions 999"):
        data.read(path, goal="label")
