from functools import partial

import numpy as np
import pytest

from regard import data
from regard.data import output_format
from regard.errors import DataError

VECTORS = np.arange(10.0).reshape(5, 2)
LABELS = np.array(["a", "b", "a", "b", "c"])

read = partial(data.read, goal="labels")


@pytest.fixture
def archive(tmp_path):
    def archive(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return archive


def test_sequences_laid_end_to_end(archive):
    path = archive(vectors=VECTORS, offsets=[0, 2, 2, 5], labels=LABELS)
    examples = read(path)
    assert [example.goal for example in examples] == [["a", "b"], [], ["a", "b", "c"]]
    np.testing.assert_array_equal(np.concatenate([example.items for example in examples]), VECTORS)
    assert [example.goal for example in read(path, labelled=False)] == [None] * 3
    assert output_format(path, goal="labels").name == "jsonl"


def test_without_offsets_it_is_one_sequence(archive):
    (example,) = read(archive(vectors=VECTORS, phase=LABELS), column="phase")
    assert example.goal == LABELS.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": VECTORS}, "an array 'vectors', found the arrays data"),
        ({"vectors": VECTORS}, "an array 'labels', found the arrays vectors"),
        ({"vectors": VECTORS, "labels": LABELS[:4]}, r"as many labels as vectors \(5\), found 4 labels"),
        (
            {"vectors": VECTORS, "labels": np.arange(5)},
            r"labels that are strings, found 0 \(int\) at item 1.* sequence 1",
        ),
        ({"vectors": VECTORS[:, 0], "labels": LABELS}, r"an array \[N, C\], found shape \[5\] in sequence 1"),
        ({"vectors": VECTORS + np.inf, "labels": LABELS}, "finite numbers, found inf at item 1, channel 1"),
        (
            {"vectors": VECTORS, "labels": LABELS, "offsets": [0, 4]},
            r"offsets that rise from 0 to the 5 vectors, found \[0",
        ),
        ({"vectors": VECTORS, "labels": LABELS, "offsets": [0, 4, 3, 5]}, "offsets that rise from 0 to the 5 vectors"),
        ({"vectors": VECTORS, "labels": LABELS, "offsets": [0.0, 5]}, "offsets of whole numbers .* found float64"),
        ({"vectors": np.array([None])}, r"a NumPy archive \(.npz\) without pickled objects"),
    ],
)
def test_arrays_that_do_not_fit(archive, arrays, message):
    with pytest.raises(DataError, match=r"a.npz: expected " + message):
        read(archive(**arrays))


@pytest.mark.parametrize("content", [b"", b"text\n", b"PK\x03\x04", b"\x93NUMPY\x01\x00"], ids=repr)
def test_not_an_archive(save, content):
    with pytest.raises(DataError, match=r"a.npz: expected a NumPy archive \(.npz\) without pickled objects"):
        read(save("a.npz", content))


def test_a_single_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "a.npy", VECTORS)
    with pytest.raises(DataError, match=r"a NumPy archive \(.npz\) of named arrays, found a single array"):
        read(tmp_path / "a.npy", format="npz")


def test_a_missing_archive(tmp_path):
    with pytest.raises(DataError, match="found nothing of that name"):
        read(tmp_path / "a.npz")
