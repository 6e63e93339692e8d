"""What labelling the pixels of images adds to labelling items: where a vector's pixels lie, answers, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data import Example
from regard.data.masks import UNLABELLED
from regard.errors import DataError
from regard.image import Image
from regard.tasks.label.network import LabelBatch
from regard.tasks.model import Scores

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


def known_numbers(examples: Sequence[Example]) -> list[str]:
    """The labels: the numbers of all masks, as texts.

    Raises:
        DataError: no pixel has one.
    """
    known = {number for example in examples for number in np.unique(example.goal.numbers()).tolist()} - {UNLABELLED}
    if not known:
        raise DataError(f"masks with at least one labelled pixel (other than {UNLABELLED})", "none")
    return [str(number) for number in sorted(known)]


def check_numbers(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every number of a mask must be one that training had, or 255, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not, with the file.
    """
    for example in examples:
        numbers = example.goal.numbers()
        unknown = ~np.isin(numbers, [*map(int, labels), UNLABELLED])
        if unseen == "refuse" and unknown.any():
            row, column = np.argwhere(unknown)[0].tolist()
            expected = f"one of the {len(labels)} labels of the training data, or {UNLABELLED} for none"
            name = "" if example.goal.path is None else f" of {example.goal.path}"
            found = f"{numbers[row, column]} at row {row + 1}, column {column + 1}{name}"
            raise example.place.error(f"{expected} (or unseen_labels=count-wrong)", found)


def rows_of(numbers: Numbers, labels: Sequence[str]) -> Numbers:
    """The row of each pixel's label among ``labels``; −1 of no label, and one more than there are of an unknown one."""
    own = np.array([*map(int, labels)])
    places = np.searchsorted(own, numbers).clip(max=len(own) - 1)
    rows = np.where(own[places] == numbers, places, len(own))
    return np.where(numbers == UNLABELLED, -1, rows)


def collate(front_end: Any, examples: Sequence[Example], labels: Sequence[str]) -> LabelBatch:
    """Images and, for each of their vectors, the row of the label that most of its pixels have."""
    rows = [rows_of(example.goal.numbers(), labels) for example in examples]
    inputs, rows = front_end.encode_with([example.items for example in examples], rows)
    of_vectors = [Cells.of(front_end, own.shape).most(own, len(labels)) for own in rows]
    return LabelBatch(inputs, torch.from_numpy(np.concatenate(of_vectors)))


def answer_of(front_end: Any, example: Example, labels: Sequence[str], logits: Tensor) -> dict[str, Any]:
    """``mask``, rows of numbers, one for each pixel; ``score``, how likely they are, as the mean over all vectors."""
    chances = logits.float().softmax(1).cpu().numpy()
    numbers = np.array([*map(int, labels)])[chances.argmax(1)]
    mask = Cells.of(front_end, _seen(example).size).spread(numbers).tolist()
    return {"mask": mask, "score": round(float(chances.max(1).mean()), 6)}


def scores(
    front_end: Any, examples: Sequence[Example], labels: Sequence[str], logits_of: Iterable[tuple[int, Tensor]]
) -> dict[str, float]:
    """:func:`mask_scores` of the scores of labels ``[T, labels]`` that each example, by its number, was given."""
    found = [np.zeros((0, 0), np.int64)] * len(examples)
    for number, logits in logits_of:
        cells = Cells.of(front_end, _seen(examples[number]).size)
        found[number] = cells.spread(logits.argmax(1).cpu().numpy())
    return mask_scores(examples, labels, found)


def mask_scores(examples: Sequence[Example], labels: Sequence[str], found: Sequence[Numbers]) -> dict[str, float]:
    """``accuracy``, of all pixels that have a label, and ``mean_iou``, the mean over labels of the Jaccard index.

    The index of a label is intersection / union of the pixels that have it and those that were given it, in all images
    together, by scikit-learn.

    Arguments:
        found: rows of ``labels``, ``[rows, columns]`` for each image.

    Raises:
        DataError: no pixel has a label.
    """
    count = len(labels) + 1
    pairs = np.zeros(count * count, np.int64)  # how often each true label was taken for each
    for example, guessed in zip(examples, found, strict=True):
        true = rows_of(example.goal.numbers(), labels)
        pairs += np.bincount(true[true >= 0] * count + guessed[true >= 0], minlength=count * count)
    if not pairs.any():
        raise DataError(f"masks with at least one labelled pixel (other than {UNLABELLED})", "none")
    from sklearn.metrics import accuracy_score, jaccard_score

    kinds = np.flatnonzero(pairs)
    true, guessed, weights = kinds // count, kinds % count, pairs[kinds]
    return {
        "accuracy": float(accuracy_score(true, guessed, sample_weight=weights)),
        "mean_iou": float(jaccard_score(true, guessed, average="macro", sample_weight=weights)),
    }


def mask_baselines(train: Sequence[Example], scored: Sequence[Example], labels: Sequence[str]) -> Scores:
    """What the most frequent label of all pixels in ``train`` scores on ``scored``."""
    counts: Counter[int] = Counter()
    for example in train:
        rows, often = np.unique(rows_of(example.goal.numbers(), labels), return_counts=True)
        counts.update({row: count for row, count in zip(rows.tolist(), often.tolist(), strict=True) if row >= 0})
    most = min(counts, key=lambda row: (-counts[row], row))
    return {
        "majority label": mask_scores(scored, labels, [np.full(example.goal.size, most) for example in scored]),
    }


def _seen(example: Example) -> Image:
    assert isinstance(example.items, Image)
    return example.items
