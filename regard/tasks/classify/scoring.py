"""How good the labels of sequences are: scores, what they do not tell, and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from regard.data import Example
from regard.tasks.classify.calibration import draw_calibration
from regard.tasks.classify.confusion import draw_confusion
from regard.tasks.model import Details
from regard.tasks.wrong import wrong_labels
from regard.training.metrics import class_scores, scores_by_label


def scores_of(
    examples: Sequence[Example],
    chances: Tensor,
    labels: Sequence[str],
    *,
    confusion: str | Path | None = None,
    calibration: str | Path | None = None,
    details: Details | None = None,
) -> dict[str, float]:
    """Those of :func:`regard.training.metrics.class_scores`, of probabilities ``[N, labels]``.

    Arguments:
        confusion, calibration: PNGs to write.
        details: where it is taken down what scores do not tell.
    """
    gold, guessed = [example.goal for example in examples], [labels[row] for row in chances.argmax(1).tolist()]
    if details is not None:
        details.by_label = scores_by_label(gold, guessed)
        details.wrong = wrong_labels(examples, guessed, chances.amax(1).tolist())
    if confusion is not None:
        draw_confusion(gold, guessed, labels, Path(confusion))
    if calibration is not None:
        draw_calibration(gold, chances, labels, Path(calibration))
    return class_scores(gold, chances, labels)
