"""The running average of weights, which is what is evaluated and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from regard.training.shards import own


class Average:
    """A running average of weights, which evaluates better than the weights themselves.

    ``mean ← d · mean + (1 − d) · weights`` after every step, with ``d = min(decay, (1 + n) / (10 + n))`` in step n.

    The ramp keeps the random weights of the start out of the mean.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.means = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        self._parameters = list(network.parameters())

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Takes in the weights; so many steps were taken in before."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        means, weights = map(own, self.means.values()), map(own, self._parameters)
        torch._foreach_lerp_(list(means), list(weights), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the mean for the while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        """Numbers change places, not tensors, which have their memory from whoever spread them over processes."""
        for parameter, mean in zip(map(own, self._parameters), map(own, self.means.values()), strict=True):
            held = parameter.clone()
            parameter.copy_(mean)
            mean.copy_(held)
