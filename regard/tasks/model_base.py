"""What every task does in the same way: it holds a network, encodes sequences, shows who attends to whom, is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regard.data import Example, Source
from regard.tasks import files, fitting
from regard.tasks.candidates import given
from regard.tasks.maps import attention_maps
from regard.tasks.model import Model
from regard.tasks.saving import save_model
from regard.tasks.shown import shown
from regard.tasks.vectors import mean_vectors
from regard.training.config import Config, with_options
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps, PairMaps

C = TypeVar("C", bound=Config)
N = TypeVar("N", bound=nn.Module)


class ModelBase(Model, Generic[C, N]):
    """The part of the protocol in which most tasks do not differ.

    Arguments:
        config: the options of the task.
    """

    def __init__(self, config: C) -> None:
        self.config = config
        self.scores: dict[str, Any] = {}
        self._network: N | None = None

    def __repr__(self) -> str:
        return shown(self)

    @property
    def network(self) -> N:
        """The network, once there is one."""
        network: N = fitting.made(self._network, self)
        return network

    @network.setter
    def network(self, network: N) -> None:
        self._network = network

    @with_options(Config, "Reading")
    def encode(
        self, source: Source, *, normalize: bool = False, format: str = "auto", **reading: Any
    ) -> NDArray[np.float32]:
        """One vector for every example, ``[N, dim]``: the mean of what the encoder makes of it.

        Arguments:
            normalize: whether each is divided by its length, so that a product of two is their cosine.
            reading: options of reading that are not to be as in training, ``text_column`` or ``delimiter``, say.
        """
        return mean_vectors(self, given(self, source, format, **reading), normalize=normalize)

    def attention(self, items: Any) -> Maps | ImageMaps | PairMaps:
        """Who attends to whom in one sequence: a map ``[N, N]`` for every layer and head."""
        return attention_maps(self, items)

    def save(self, folder: str | Path) -> Path:
        """Writes a run folder, new or empty, as ``fit(output=...)`` does, but for the course of the training.

        Raises:
            RegardError: there is no network yet, or something is in the folder.
        """
        return save_model(self, folder)

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        facts: dict[str, Any] = {"task": self.config.task}
        if (labels := getattr(self, "labels", None)) is not None:
            facts["labels"] = len(labels)
        return facts | fitting.parts_of(self.network)

    # The protocol of regard.tasks.model

    def texts_of(self, part: str, train: Sequence[Example]) -> Iterable[Any]:
        return files.Values(train, "goal" if part == "target" else "items")

    def learn_labels(self, train: Sequence[Example], known: list[str] | None = None) -> None:
        """There are none."""

    def length(self, example: Example) -> int:
        front_end: Any = self.network.front_end
        return int(front_end.count(example.items))

    def vocabulary(self) -> dict[str, Any]:
        return {part: getattr(self.network, part).vocabulary() for part in self.front_ends()}

    def restore(self, vocabulary: dict[str, Any]) -> None:
        """There is nothing but front ends."""
