"""Labels that training never had."""

from __future__ import annotations

from collections.abc import Sequence

from regard.data import Example
from regard.errors import DataError


def check_known(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every label, of an item or of a sequence, must be one that training had, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not.
    """
    if unseen != "refuse":
        return
    known = set(labels)
    for example in examples:
        if isinstance(example.goal, str):
            if example.goal not in known:
                raise _unknown(repr(example.goal), labels, example)
        elif not known.issuperset(example.goal):
            item = next(item for item, label in enumerate(example.goal) if label not in known)
            raise _unknown(repr(example.goal[item]), labels, example, item)


def _unknown(found: str, labels: Sequence[str], example: Example, item: int | None = None) -> DataError:
    expected = f"one of the {len(labels)} labels of the training data (or unseen_labels=count-wrong)"
    return example.place.error(expected, found, item=item)
