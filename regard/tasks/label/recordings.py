"""What labelling recordings in time adds to labelling items: when vectors are, shorter pieces, answers, baselines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regard.data import Example
from regard.data.goals import check_known
from regard.data.segments import OUTSIDE, Segment, cut, has_outside
from regard.recording import Recording
from regard.tasks.candidates import as_pairs, best_of
from regard.tasks.label.frames import DIGITS, Rows, Smoothing, as_segments, labels_at, middles, runs_of
from regard.tasks.label.metrics import library, segment_scores
from regard.tasks.label.network import LabelBatch, Seen, rows_of
from regard.tasks.model import Details, Scores
from regard.tasks.wrong import items_of, place_of
from regard.training.metrics import label_scores, scores_by_label

SHORTEST_PIECE = 0.1  # seconds


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


def check_labels(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every label must be one that training had, unless ``unseen`` is "count-wrong"; and segments can be scored.

    Raises:
        DataError: the first that is not.
        UnsupportedError: pyannote.metrics is not installed, without which there would be no scores at the end.
    """
    library()
    check_known(examples, labels, unseen)


def collate(front_end: Any, examples: Sequence[Example], labels: Sequence[str]) -> LabelBatch:
    """Recordings and, for each of their vectors, the row of the label in the middle of what it stands for."""
    inputs = front_end.encode([example.items for example in examples])
    goals = (
        Timing.of(front_end, example.items, speed).labels(example.goal)
        for example, speed in zip(examples, inputs.speeds.tolist(), strict=True)
    )
    return LabelBatch.of(inputs, rows_of(goals, labels))


def pieces(examples: Sequence[Example], longest: float) -> list[Example]:
    """The recordings, each that is longer than ``longest`` seconds cut into equal parts with their segments."""
    made = []
    for example in examples:
        recording = _heard(example)
        count = math.ceil(recording.seconds / longest)
        bounds = [round(recording.length * number / count) / recording.rate for number in range(count + 1)]
        for start, stop in pairwise(bounds):
            part = replace(example, items=recording.part(start, stop), goal=cut(example.goal, start, stop))
            made.append(example if count == 1 else part)
    return made


def answer_of(
    labels: Sequence[str],
    timing: Timing,
    logits: Tensor,
    smoothing: Smoothing,
    *,
    frames: bool,
    top: int | None = None,
) -> Any:
    """``segments``, and ``scores``, how likely the label of each is, as the mean over its vectors; ready for JSON.

    Arguments:
        logits: ``[N, labels]``.
        frames: whether ``labels``, one for each vector, and ``step``, the seconds from one to the next, are told too.
        top: how many of the likeliest labels of each segment are told as ``candidates``; None for none.
    """
    likely = logits.float().softmax(1).cpu()
    chances = likely.numpy()
    rows = smoothing.of(chances.argmax(1), timing.step)
    answer: dict[str, Any] = {"segments": [list(part) for part in timing.segments(labels, rows)]}
    answer["scores"] = [
        round(float(chances[first:last, rows[first]].mean()), 6)
        for first, last in runs_of(rows)
        if labels[rows[first]] != OUTSIDE
    ]
    if top is not None:
        means = [likely[first:last].mean(0) for first, last in runs_of(rows) if labels[rows[first]] != OUTSIDE]
        answer["candidates"] = [best_of(mean[None], labels, top)[0] for mean in means]
    return answer | {"labels": [labels[row] for row in rows], "step": timing.step} if frames else answer


def answers_of(seen: Seen, *, frames: bool, top: int | None) -> list[dict[str, Any]]:
    """:func:`answer_of` for each recording."""
    found: list[dict[str, Any]] = [{} for _ in seen.examples]
    for number, logits in seen.logits:
        timing = Timing.of(seen.front_end, seen.examples[number].items)
        found[number] = answer_of(seen.labels, timing, logits, seen.smoothing, frames=frames, top=top)
    return found


def answered(answer: dict[str, Any]) -> list[Segment]:
    """The segments."""
    return [Segment(*part) for part in answer["segments"]]


def candidates(answer: dict[str, Any]) -> list[list[tuple[str, float]]]:
    """For each segment the best labels with their probabilities, the means over its vectors."""
    return [as_pairs(some) for some in answer["candidates"]]


def scores_of(seen: Seen, *, final: bool, details: Details | None) -> dict[str, float]:
    """:func:`recording_scores` of the likeliest labels."""
    timings = [Timing.of(seen.front_end, example.items) for example in seen.examples]
    rows = [np.zeros(0, np.int64)] * len(timings)
    wrong: list[dict[str, Any]] = []
    for number, logits in seen.logits:
        rows[number] = seen.smoothing.of(logits.argmax(1).cpu().numpy(), timings[number].step)
        if details is not None:
            chances = logits.float().softmax(1).cpu().numpy()
            wrong += _wrong(seen.examples[number], timings[number], seen.labels, rows[number], chances)
    if details is not None:
        true = [time.labels(example.goal) for example, time in zip(seen.examples, timings, strict=True)]
        found = [seen.labels[row] for own in rows for row in own.tolist()]
        details.by_label, details.wrong = scores_by_label([*chain.from_iterable(true)], found), wrong
    return recording_scores(seen.examples, timings, seen.labels, rows, final=final)


def _wrong(
    example: Example, timing: Timing, labels: Sequence[str], rows: Rows, chances: NDArray[np.float32]
) -> Iterator[dict[str, Any]]:
    """A row for each run of vectors with one true label and another that is told, with its times."""
    numbers: dict[str, int] = {label: row for row, label in enumerate(labels)}
    true = np.array([numbers.setdefault(label, len(numbers)) for label in timing.labels(example.goal)])
    names = [*numbers]
    for first, last in runs_of(true * len(names) + rows):
        if (gold := names[true[first]]) != (guess := labels[rows[first]]):
            end = min(last * timing.step, timing.seconds)
            times = {"start": round(first * timing.step, DIGITS), "end": round(end, DIGITS)}
            score = round(float(chances[first:last, rows[first]].mean()), 6)
            yield place_of(example) | items_of(example) | times | {"gold": gold, "guess": guess, "score": score}


def metric(train: Sequence[Example], dev: Sequence[Example]) -> str:
    """That of vectors."""
    return "accuracy"


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


def baselines(front_end: Any, train: Sequence[Example], scored: Sequence[Example], labels: Sequence[str]) -> Scores:
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
