"""What is held out of examples, and folds of them, beside what scikit-learn makes."""

from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, train_test_split

from regard import Recording
from regard.data import read
from regard.data.lazy import LazyExamples
from regard.data.parts import folds, held_out, without
from regard.data.share import share_of
from regard.errors import DataError


def labelled(counts):
    """So many examples of each label, mixed."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    order = np.random.default_rng(5).permutation(len(labels))
    return read([(f"text {number}", labels[number]) for number in order.tolist()], goal="label")


def counts_of(examples):
    return Counter(example.goal for example in examples)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        *(("0.1", 0.1), (".25", 0.25), ("1e-3", 0.001), ("./0.1", None), ("1", None), ("1.5", None), ("0.0", None)),
        *(("dev.csv", None), ("nan", None), (None, None)),
    ],
)
def test_a_share_and_a_file(text, share):
    assert share_of(text) == share


def test_a_part_has_as_many_of_each_label_as_that_of_scikit_learn():
    examples = labelled({"a": 90, "b": 30, "c": 20})
    rest, part = held_out(examples, 0.1, goal="label", seed=1)
    gold = [example.goal for example in examples]
    theirs = Counter(train_test_split(gold, test_size=0.1, stratify=gold, random_state=1)[1])
    assert counts_of(part) == theirs == {"a": 9, "b": 3, "c": 2}
    items = [example.items for example in examples]
    both = [example.items for example in rest], [example.items for example in part]
    assert sorted(both[0] + both[1]) == sorted(items)
    assert both[1] == [text for text in items if text in both[1]]  # in their order
    assert [example.items for example in held_out(examples, 0.1, goal="label", seed=1)[1]] == both[1]
    assert [example.items for example in held_out(examples, 0.1, goal="label", seed=2)[1]] != both[1]


def test_many_rare_labels_are_held_out_too_but_none_as_a_whole():
    examples = labelled({str(number): 1 + number % 3 for number in range(60)})
    for share in (0.1, 0.5, 0.9):
        rest, part = held_out(examples, share, goal="label", seed=3)
        assert counts_of(rest).keys() == counts_of(examples).keys()
        assert len(part) == min(round(share * 120), 60)
    words = read([(["x", "y"], ["A", f"T{number}" if number < 9 else "A"]) for number in range(10)], goal="labels")
    words += read([([f"w{number}"], ["A"]) for number in range(10)], goal="labels")
    part = held_out(words, 0.5, goal="labels", seed=1)[1]
    assert all(set(example.goal) == {"A"} for example in part)


def test_the_same_items_and_parts_of_one_recording_stay_together():
    rows = [(f"text {number % 30}", "ab"[number % 2]) for number in range(90)]
    rest, part = held_out(read(rows, goal="label"), 0.2, goal="label", seed=1)
    assert not {example.items for example in rest} & {example.items for example in part}
    draw = np.random.default_rng(1)
    sounds = [Recording.from_samples(draw.normal(0, 0.1, 800), 8000) for _ in range(8)]
    pieces = [
        (sound.part(at / 100, (at + 2) / 100), f"{n}") for n, sound in enumerate(sounds) for at in range(0, 10, 2)
    ]
    examples = read(pieces, goal="target", items="recordings")
    rest, part = held_out(examples, 0.25, goal="target", seed=1)
    assert (len(rest), len(part)) == (30, 10)
    assert not {example.goal for example in rest} & {example.goal for example in part}
    for numbers in folds(examples, 4, goal="target", seed=1):
        assert len(numbers) == 10
        assert len({examples[number].goal for number in numbers}) == 2


def test_folds_have_as_many_of_each_label_as_those_of_scikit_learn():
    examples = labelled({"a": 33, "b": 14, "c": 5})
    gold = [example.goal for example in examples]
    theirs = [Counter(gold[n] for n in part) for _, part in StratifiedKFold(5).split(gold, gold)]
    ours = [Counter(gold[n] for n in part) for part in folds(examples, 5, goal="label", seed=1)]
    for label in "abc":
        assert sorted(fold[label] for fold in ours) == sorted(fold[label] for fold in theirs)
    assert sorted(np.concatenate(folds(examples, 5, goal="label", seed=1)).tolist()) == list(range(52))


def test_what_cannot_be_parted():
    with pytest.raises(DataError, match=r"dev=0.001 leaves something on both sides .* found 4 examples"):
        held_out(labelled({"a": 4}), 0.001, goal="label", seed=1)
    with pytest.raises(DataError, match="at least 5 training examples, one for each of folds=5, found 4"):
        folds(labelled({"a": 4}), 5, goal="label", seed=1)


def test_a_part_of_a_file_that_is_not_held(tmp_path):
    (tmp_path / "train.tsv").write_text("".join(f"{'ab'[n % 2]}\ttext {n}\n" for n in range(40)))
    lazy = read(tmp_path / "train.tsv", goal="label", lazily=True)
    held = read(tmp_path / "train.tsv", goal="label")
    assert isinstance(lazy, LazyExamples)
    for ours, theirs in zip(*(held_out(some, 0.1, goal="label", seed=1) for some in (lazy, held)), strict=True):
        assert [example.items for example in ours] == [example.items for example in theirs]
    rest, part = without(lazy, np.array([0, 39]))
    assert ([example.place.line for example in part], len(rest)) == ([1, 40], 38)
