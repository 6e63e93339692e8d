"""A running average of weights, which evaluates better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Average:
    """``mean ← d · mean + (1 − d) · weights`` after every step, with ``d = min(decay, (1 + n) / (10 + n))`` in step n.

    The ramp keeps the random weights of the start out of the mean.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.means = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        self._parameters = list(network.parameters())

    def update(self, steps: int) -> None:
        """Takes in the weights; so many steps were taken in before."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        weights = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(list(self.means.values()), weights, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the mean for the while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, mean in zip(self._parameters, self.means.values(), strict=True):
            parameter.data, mean.data = mean.data, parameter.data
