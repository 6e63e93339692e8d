"""What labelling recordings in time adds to labelling items: when vectors are, shorter pieces, answers, baselines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from regard.data import Example
from regard.data.segments import OUTSIDE, Segment, cut, has_outside
from regard.recording import Recording
from regard.tasks.label.frames import Rows, as_segments, labels_at, middles, runs_of, smoothed, without_short
from regard.tasks.label.metrics import segment_scores
from regard.tasks.model import Scores
from regard.training.metrics import label_scores

SHORTEST_PIECE = 0.1  # seconds


class Smoothing(NamedTuple):
    """What is done to the labels of vectors before segments are made of them, in seconds; 0 leaves them as they are.

    Arguments:
        smooth: over which the most frequent label is taken; see :func:`smoothed`.
        shortest: below which a segment, or a pause, is given to its neighbours; see :func:`without_short`.
    """

    smooth: float = 0.0
    shortest: float = 0.0

    def of(self, rows: Rows, step: float) -> Rows:
        """Rows of labels ``[N]``, ``step`` seconds from one to the next."""
        return without_short(smoothed(rows, self.width(step)), math.ceil(self.shortest / step - 1e-6))

    def width(self, step: float) -> int:
        """Labels over which the most frequent is taken, an odd number."""
        return 1 + 2 * max(0, round((self.smooth / step - 1) / 2))


@dataclass(frozen=True, slots=True)
class Timing:
    """When the vectors of a recording are.

    Arguments:
        count: of the vectors.
        step: seconds from one to the next.
        seconds: how long the recording is.
    """

    count: int
    step: float
    seconds: float

    @classmethod
    def of(cls, front_end: Any, recording: Any, speed: float = 1.0) -> Timing:
        """Those that a front end makes of a recording which is played ``speed`` times as fast."""
        count = front_end.count(recording if speed == 1.0 else recording.at_speed(speed))
        return cls(count, front_end.seconds * speed, recording.seconds)

    def labels(self, segments: Sequence[Segment]) -> list[str]:
        """For each vector that of the segment in which the middle of what it stands for lies."""
        return labels_at(middles(self.count, self.step, self.seconds), segments)

    def segments(self, labels: Sequence[str], rows: Rows) -> list[Segment]:
        """The segments that rows of labels, one for each vector, make."""
        return as_segments(labels, rows, self.step, self.seconds)


def known_labels(examples: Sequence[Example]) -> list[str]:
    """Those of the segments, and that of what lies outside of them where anything does."""
    known = {part.label for example in examples for part in example.goal}
    outside = any(has_outside(example.goal, _heard(example).seconds) for example in examples)
    return sorted(known | {OUTSIDE} if outside else known)


def pieces(examples: Sequence[Example], longest: float) -> list[Example]:
    """The recordings, each that is longer than ``longest`` seconds cut into equal parts with their segments."""
    made = []
    for example in examples:
        recording = _heard(example)
        count = math.ceil(recording.seconds / longest)
        bounds = [recording.seconds * number / count for number in range(count + 1)]
        for start, stop in pairwise(bounds):
            part = replace(example, items=recording.part(start, stop), goal=cut(example.goal, start, stop))
            made.append(example if count == 1 else part)
    return made


def answer_of(labels: Sequence[str], timing: Timing, logits: Tensor, smoothing: Smoothing, *, frames: bool) -> Any:
    """``segments``, and ``scores``, how likely the label of each is, as the mean over its vectors; ready for JSON.

    Arguments:
        logits: ``[N, labels]``.
        frames: whether ``labels``, one for each vector, and ``step``, the seconds from one to the next, are told too.
    """
    chances = logits.float().softmax(1).cpu().numpy()
    rows = smoothing.of(chances.argmax(1), timing.step)
    answer: dict[str, Any] = {"segments": [list(part) for part in timing.segments(labels, rows)]}
    answer["scores"] = [
        round(float(chances[first:last, rows[first]].mean()), 6)
        for first, last in runs_of(rows)
        if labels[rows[first]] != OUTSIDE
    ]
    return answer | {"labels": [labels[row] for row in rows], "step": timing.step} if frames else answer


def recording_scores(
    examples: Sequence[Example], timings: Sequence[Timing], labels: Sequence[str], rows: Sequence[Rows], *, final: bool
) -> dict[str, float]:
    """``accuracy`` and ``macro_f1`` of the labels of vectors; if ``final``, the errors of segments too."""
    true = [timing.labels(example.goal) for example, timing in zip(examples, timings, strict=True)]
    scores = label_scores(true, [[labels[row] for row in found] for found in rows], spans=False)
    if not final:
        return scores
    found = [timing.segments(labels, own) for timing, own in zip(timings, rows, strict=True)]
    return scores | segment_scores([example.goal for example in examples], found, [time.seconds for time in timings])


def recording_baselines(front_end: Any, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
    """What the most frequent label of all vectors in ``train`` scores on ``scored``."""
    counts: Counter[str] = Counter()
    for example in train:
        counts.update(Timing.of(front_end, example.items).labels(example.goal))
    often = min(counts, key=lambda label: (-counts[label], label))
    timings = [Timing.of(front_end, example.items) for example in scored]
    rows = [np.zeros(timing.count, np.int64) for timing in timings]
    return {"majority label": recording_scores(scored, timings, [often], rows, final=True)}


def _heard(example: Example) -> Recording:
    assert isinstance(example.items, Recording)
    return example.items
