"""A task as all that serves every task sees it: the protocol that a new one fulfils."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

from torch import Tensor, nn

from regard.data import Example, Source
from regard.viewer.telltales import Watched

Scores = dict[str, dict[str, float]]  # of the model and its baselines, by metric


@dataclass
class Details:
    """What the scores of a task do not tell, taken down while they are made.

    Arguments:
        by_label: ``precision``, ``recall``, ``f1`` and ``support``, how often it is true, of each label, or type
            of span.
        wrong: the predictions that are wrong, a row each: where, ``gold``, ``guess`` and ``score``.
    """

    by_label: Scores = field(default_factory=dict)
    wrong: Iterable[dict[str, Any]] = ()


class Columns(TypedDict):
    """What goal and items are called in a file, as :func:`regard.data.read` takes it."""

    column: str | None
    item_column: str | None


class Model(Protocol):
    """A task as the functions here, and the command line, see it: the protocol that a new one has to fulfil."""

    config: Any
    scores: dict[str, Any]

    @property
    def network(self) -> Any:
        """The network; RegardError where there is none yet."""

    @network.setter
    def network(self, network: Any) -> None: ...

    def front_ends(self) -> dict[str, str]:
        """The front ends of the network: the name of each part, and its kind.

        Raises:
            ConfigError: options that do not go together.
        """

    def columns(self) -> Columns:
        """What the options call goal and items."""

    def texts_of(self, part: str, train: Sequence[Example]) -> Iterable[Any]:
        """The sequences from which the front end of that part learns its vocabulary."""

    def learn_labels(self, train: Sequence[Example], known: list[str] | None = None) -> None:
        """Whatever the network's head needs to know of the training data; of one that goes on the labels are known.

        Raises:
            DataError: labels that are not among the known ones.
        """

    def check_sizes(self, examples: Sequence[Example]) -> None:
        """Refuses what is too long however it is cut, before it is; the front ends need not be made.

        Raises:
            DataError: the first, with its place.
        """

    def check(self, examples: Sequence[Example]) -> None:
        """Refuses labelled examples that the network does not take; the front ends are made.

        Raises:
            DataError: the first, with its place.
        """

    def build(self, front_ends: dict[str, nn.Module]) -> nn.Module:
        """A new network."""

    def length(self, example: Example) -> int:
        """Vectors of an example, by which batches are filled."""

    def collate(self, examples: Sequence[Example]) -> Any:
        """A batch with ``.to(device)``."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, int]:
        """Summed over a batch, ``[]``, and the number of things it is a sum over."""

    def score(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        *,
        final: bool = True,
        pictures: Path | None = None,
        details: Details | None = None,
    ) -> dict[str, float]:
        """Metrics, most from 0 to 1, and into the folder ``pictures`` whatever the task draws of the result.

        Those of a network that still learns may come of a quicker prediction: they are not ``final``. What else the
        task tells of the result goes into ``details``.
        """

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        """The one that chooses the weights to keep."""

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        """What simple things score that were learned from ``train``."""

    def answers(self, source: Source, *, format: str = "auto", top: int | None = None) -> list[dict[str, Any]]:
        """A prediction for each example, ready for JSON: the goal under its name, and how sure it is.

        With ``top`` also ``candidates``, so many of the best.
        """

    def watched(self, example: Example) -> Watched:
        """The network with one example that it has answered, to be asked again with something in it changed.

        Raises:
            RegardError: one that it does not answer at once, or without an answer.
        """

    def describe(self) -> dict[str, Any]:
        """What the network is made of, for people."""

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside weights and options to build the network again, ready for JSON.

        That of each front end is under the name of its part.
        """

    def restore(self, vocabulary: dict[str, Any]) -> None:
        """Takes back what :meth:`vocabulary` gave, but front ends."""
