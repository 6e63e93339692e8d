"""What is learned of each item, a row for each goal: labels of words and vectors, segments in time, masks of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from regard.data import Example
from regard.tasks.label import items, masks, recordings
from regard.tasks.label.network import LabelBatch, Seen
from regard.tasks.model import Details, Scores


class Kind(Protocol):
    """The functions that a module has for its goal."""

    def known_labels(self, examples: Sequence[Example]) -> list[str]:
        """Those that a network learns to give."""

    def check_labels(self, examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
        """Refuses examples with others, unless ``unseen`` is "count-wrong"."""

    def collate(self, front_end: Any, examples: Sequence[Example], labels: Sequence[str]) -> LabelBatch:
        """A batch to learn from."""

    def answers_of(self, seen: Seen, *, frames: bool, top: int | None) -> list[dict[str, Any]]:
        """An answer for each example, ready for JSON; of recordings that of each frame too, if it is asked for.

        With ``top`` also ``candidates``, so many of the likeliest labels with their probabilities.
        """

    def answered(self, answer: dict[str, Any]) -> Any:
        """What an answer predicts, as Python has it."""

    def candidates(self, answer: dict[str, Any]) -> list[Any]:
        """The candidates of an answer, as Python has them."""

    def scores_of(self, seen: Seen, *, final: bool, details: Details | None) -> dict[str, float]:
        """Metrics; those that take long only if ``final``; and what else is told, into ``details``."""

    def baselines(
        self, front_end: Any, train: Sequence[Example], scored: Sequence[Example], labels: Sequence[str]
    ) -> Scores:
        """What simple things score."""

    def metric(self, train: Sequence[Example], dev: Sequence[Example]) -> str:
        """The one that chooses the weights to keep."""


KINDS: dict[str, Kind] = {"labels": items, "segments": recordings, "mask": masks}
