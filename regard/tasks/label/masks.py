"""What labelling the pixels of images adds to labelling items: where a vector's pixels lie, answers, scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data import Example
from regard.data.masks import UNLABELLED, read_names
from regard.errors import DataError, ModelError
from regard.image import Image
from regard.tasks.label.network import LabelBatch, Seen
from regard.tasks.model import Details, Scores
from regard.tasks.wrong import items_of, place_of
from regard.training.metrics import scores_by_label

_LABEL = re.compile(r"\d{1,5}( .+)?")
NO_ROW = -100  # of a vector none of whose pixels has a label: PyTorch's cross-entropy leaves it out
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Which pixels of an image each of its vectors stands for: cell (r, c) of a grid, row by row.

    Where patches overlap, a pixel belongs to the one that begins there, not to all that see it.

    Arguments:
        rows, columns: the row of the grid in which each row of pixels lies, ``[rows]``, and the same of columns.
        grid: how many there are of both.
    """

    rows: Numbers
    columns: Numbers
    grid: tuple[int, int]

    @classmethod
    def of(cls, front_end: Any, size: tuple[int, int]) -> Cells:
        """Those that a front end makes of an image of that size."""
        seen: tuple[int, int] = size if front_end.image_size is None else front_end.image_size
        rows, columns = (
            ((np.arange(own) + 0.5) * new / own).astype(np.int64) // front_end.stride
            for own, new in zip(size, seen, strict=True)
        )
        return cls(rows, columns, (-(-seen[0] // front_end.stride), -(-seen[1] // front_end.stride)))

    def most(self, rows: Numbers, count: int) -> Numbers:
        """``[T]``: the most frequent of the ``count`` rows of labels in each cell, `NO_ROW` where all are below 0.

        Arguments:
            rows: ``[rows, columns]``, of each pixel.
        """
        cells = (self.rows[:, None] * self.grid[1] + self.columns)[rows >= 0]
        total = self.grid[0] * self.grid[1]
        counts = np.bincount(cells * count + rows[rows >= 0], minlength=total * count).reshape(total, count)
        return np.where(counts.any(1), counts.argmax(1), NO_ROW)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """``[T]`` → ``[rows, columns]``, for each pixel that of its cell."""
        spread: NDArray[Any] = values.reshape(self.grid)[self.rows[:, None], self.columns]
        return spread


def known_labels(examples: Sequence[Example]) -> list[str]:
    """The labels: the numbers of all masks, as texts.

    Raises:
        DataError: there are fewer than two.
    """
    found = {number for example in examples for number in np.unique(example.goal.numbers()).tolist()}
    known = sorted(found - {UNLABELLED})
    if not known:
        raise _none_labelled(examples)
    if len(known) == 1:
        black_and_white = f", and {UNLABELLED}, which says that a pixel has no label; write another number in its place"
        hint = black_and_white if UNLABELLED in found else " alone"
        raise DataError("masks of at least two labels", f"{known[0]}{hint}", path=examples[0].goal.path)
    return [str(number) for number in known]


def named(labels: Sequence[str], path: str | Path) -> list[str]:
    """Each label with its name behind its number, ``3 sky``, where line 4 of a file is ``sky``.

    Raises:
        DataError: the file cannot be read, has no name for one of them, or one name for two.
    """
    names = read_names(path)
    lines: dict[str, int] = {}
    for number in map(number_of, labels):
        name = names[number] if number < len(names) else ""
        if not name:
            raise DataError(f"on line {number + 1} the name of the number {number} of masks", "none", path=path)
        if name in lines:
            raise DataError("names that differ", f"'{name}' on the lines {lines[name]} and {number + 1}", path=path)
        lines[name] = number + 1
    return [f"{number - 1} {name}" for name, number in lines.items()]


def check_restored(labels: Sequence[str]) -> None:
    """Refuses labels of a run folder that are no numbers of masks, each with a name behind it or none.

    Raises:
        ModelError: the first of them, or numbers that do not rise.
    """
    wrong = next((label for label in labels if not _LABEL.fullmatch(label)), None)
    if wrong is not None:
        raise ModelError(f"labels must be numbers of masks, with a name behind them or none, got {wrong!r}")
    numbers = [*map(number_of, labels)]
    if any(number >= after for number, after in pairwise(numbers)):
        raise ModelError(f"labels must be numbers of masks that rise, got {numbers}")


def number_of(label: str) -> int:
    """That of masks; a name may stand behind it.

    >>> number_of("3"), number_of("3 sky")
    (3, 3)
    """
    return int(label.partition(" ")[0])


def bare(label: str) -> str:
    """Its number alone, as text."""
    return label.partition(" ")[0]


def name_of(label: str) -> str:
    """What it is called; without a name, its number.

    >>> name_of("3"), name_of("3 blue sky")
    ('3', 'blue sky')
    """
    number, _, name = label.partition(" ")
    return name or number


def check_labels(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every number of a mask must be one that training had, or 255, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not, with the file.
    """
    for example in examples:
        numbers = example.goal.numbers()
        unknown = ~np.isin(numbers, [*map(number_of, labels), UNLABELLED])
        if unseen == "refuse" and unknown.any():
            row, column = np.argwhere(unknown)[0].tolist()
            expected = f"one of the {len(labels)} labels of the training data, or {UNLABELLED} for none"
            name = "" if example.goal.path is None else f" of {example.goal.path}"
            found = f"{numbers[row, column]} at row {row + 1}, column {column + 1}{name}"
            raise example.place.error(f"{expected} (or unseen_labels=count-wrong)", found)


def rows_of(numbers: Numbers, labels: Sequence[str]) -> Numbers:
    """The row of each pixel's label among ``labels``; −1 of no label, and one more than there are of an unknown one."""
    own = np.array([*map(number_of, labels)])
    places = np.searchsorted(own, numbers).clip(max=len(own) - 1)
    rows = np.where(own[places] == numbers, places, len(own))
    return np.where(numbers == UNLABELLED, -1, rows)


def collate(front_end: Any, examples: Sequence[Example], labels: Sequence[str]) -> LabelBatch:
    """Images and, for each of their vectors, the row of the label that most of its pixels have."""
    rows = [rows_of(example.goal.numbers(), labels) for example in examples]
    inputs, rows = front_end.encode_with([example.items for example in examples], rows)
    of_vectors = [Cells.of(front_end, own.shape).most(own, len(labels)) for own in rows]
    return LabelBatch.of(inputs, torch.from_numpy(np.concatenate(of_vectors)))


def answers_of(seen: Seen, *, frames: bool, top: int | None) -> list[dict[str, Any]]:
    """:func:`answer_of` for each image."""
    found: list[dict[str, Any]] = [{} for _ in seen.examples]
    for number, logits in seen.logits:
        found[number] = answer_of(seen.front_end, seen.examples[number], seen.labels, logits, top)
    return found


def answered(answer: dict[str, Any]) -> Numbers:
    """The mask."""
    return np.array(answer["mask"])


def candidates(answer: dict[str, Any]) -> list[tuple[Numbers, NDArray[np.float64]]]:
    """Masks of the likeliest labels, of the second likeliest, and so on, and the probability of each pixel's label."""
    return [(np.array(one["mask"]), np.array(one["scores"])) for one in answer["candidates"]]


def answer_of(
    front_end: Any, example: Example, labels: Sequence[str], logits: Tensor, top: int | None = None
) -> dict[str, Any]:
    """``mask``, rows of numbers, one for each pixel; ``score``, how likely they are, as the mean over all vectors.

    And ``shares``, which part of the pixels each label has that is there, by name. With ``top`` also ``candidates``:
    the ``mask`` of the likeliest labels, that of the second likeliest, and so on, with the ``scores`` of all pixels.
    """
    likely = logits.float().softmax(1).cpu()
    chances = likely.numpy()
    cells, numbers = Cells.of(front_end, _image(example).size), np.array([*map(number_of, labels)])
    rows = cells.spread(chances.argmax(1))
    found, counts = np.unique(rows, return_counts=True)
    shares = {name_of(labels[row]): round(count / rows.size, 6) for row, count in zip(found, counts, strict=True)}
    answer = {"mask": numbers[rows].tolist(), "score": round(float(chances.max(1).mean()), 6), "shares": shares}
    if top is None:
        return answer
    best = likely.topk(min(top, len(labels)), 1)
    pairs = zip(best.indices.T.numpy(), best.values.double().T.numpy().round(6), strict=True)
    told = [{"mask": numbers[cells.spread(row)].tolist(), "scores": cells.spread(some).tolist()} for row, some in pairs]
    return answer | {"candidates": told}


def scores_of(seen: Seen, *, final: bool, details: Details | None) -> dict[str, float]:
    """:func:`mask_scores` of the likeliest labels."""
    found = [np.zeros((0, 0), np.int64)] * len(seen.examples)
    wrong: list[dict[str, Any]] = []
    for number, logits in seen.logits:
        cells = Cells.of(seen.front_end, _image(seen.examples[number]).size)
        found[number] = cells.spread(logits.argmax(1).cpu().numpy())
        if details is not None:
            chances = cells.spread(logits.float().softmax(1).amax(1).cpu().numpy())
            wrong += _wrong(seen.examples[number], seen.labels, found[number], chances)
    if details is not None:
        true, guessed, weights = _pairs(seen.examples, seen.labels, found)
        names = [*map(name_of, seen.labels), "unknown"]
        by_row = scores_by_label(true.tolist(), guessed.tolist(), weights)
        details.by_label, details.wrong = {names[row]: scores for row, scores in by_row.items()}, wrong
    return mask_scores(seen.examples, seen.labels, found)


def _wrong(
    example: Example, labels: Sequence[str], guessed: Numbers, chances: NDArray[np.float32]
) -> Iterator[dict[str, Any]]:
    """A row for each pair of a true label and another that is told, with the share of the image's pixels."""
    true, names = rows_of(example.goal.numbers(), labels), [*map(name_of, labels), "unknown"]
    for gold, guess in np.unique(np.stack([true, guessed], -1)[(true >= 0) & (true != guessed)], axis=0).tolist():
        there = (true == gold) & (guessed == guess)
        told = {"gold": names[gold], "guess": names[guess], "pixels": int(there.sum())}
        yield place_of(example) | items_of(example) | told | {"score": round(float(chances[there].mean()), 6)}


def mask_scores(examples: Sequence[Example], labels: Sequence[str], given: Sequence[Numbers]) -> dict[str, float]:
    """``accuracy``, of all pixels that have a label, and ``mean_iou``, the mean over labels of the Jaccard index.

    The index of a label is intersection / union of the pixels that have it and those that were given it, in all images
    together, by scikit-learn; of one that has a name it is told as ``iou NAME`` too.

    Arguments:
        given: rows of ``labels``, ``[rows, columns]`` for each image.

    Raises:
        DataError: no pixel has a label.
    """
    from sklearn.metrics import accuracy_score, jaccard_score

    true, guessed, weights = _pairs(examples, labels, given)
    found = sorted({*true, *guessed})
    indices = jaccard_score(true, guessed, labels=found, average=None, sample_weight=weights)
    return {
        "accuracy": float(accuracy_score(true, guessed, sample_weight=weights)),
        "mean_iou": float(indices.mean()),
        **{
            f"iou {name_of(labels[row])}": float(index)
            for row, index in zip(found, indices, strict=True)
            if row < len(labels) and " " in labels[row]
        },
    }


def _pairs(
    examples: Sequence[Example], labels: Sequence[str], given: Sequence[Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """Each true label and what it was taken for, as rows of ``labels``, and of how many pixels.

    Raises:
        DataError: no pixel has a label.
    """
    count = len(labels) + 1
    pairs = np.zeros(count * count, np.int64)
    for example, guessed in zip(examples, given, strict=True):
        true = rows_of(example.goal.numbers(), labels)
        pairs += np.bincount(true[true >= 0] * count + guessed[true >= 0], minlength=count * count)
    if not pairs.any():
        raise _none_labelled(examples)
    kinds = np.flatnonzero(pairs)
    return kinds // count, kinds % count, pairs[kinds]


def metric(train: Sequence[Example], dev: Sequence[Example]) -> str:
    """That in which rare labels count as much as frequent ones."""
    return "mean_iou"


def baselines(front_end: Any, train: Sequence[Example], scored: Sequence[Example], labels: Sequence[str]) -> Scores:
    """What the most frequent label of all pixels in ``train`` scores on ``scored``."""
    counts: Counter[int] = Counter()
    for example in train:
        rows, often = np.unique(rows_of(example.goal.numbers(), labels), return_counts=True)
        counts.update({row: count for row, count in zip(rows.tolist(), often.tolist(), strict=True) if row >= 0})
    most = min(counts, key=lambda row: (-counts[row], row))
    return {
        "majority label": mask_scores(scored, labels, [np.full(example.goal.size, most) for example in scored]),
    }


def _none_labelled(examples: Sequence[Example]) -> DataError:
    expected = f"masks with at least one labelled pixel (other than {UNLABELLED})"
    return DataError(expected, "none", path=examples[0].goal.path)


def _image(example: Example) -> Image:
    assert isinstance(example.items, Image)
    return example.items
