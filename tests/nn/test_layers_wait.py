"""No layer waits for a GPU: on meta, where there are no numbers, none is asked for; and on a GPU itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from attention.test_waiting import GPU, Watch
from torch import Tensor, nn

from regard import Ragged
from regard.nn import Pooling, build_decoder, build_encoder
from regard.nn.build import ENCODERS, POSITIONS
from regard.nn.pooling import POOLINGS

DIM = 8


class Translator(nn.Module):
    """A decoder that reads half of its own batch."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = build_decoder(dim=DIM, depth=1, heads=2)

    def forward(self, batch: Ragged) -> Ragged:
        found: Ragged = self.decoder(batch, batch)
        return found


def _encoder(kind: str, positions: str = "relative") -> nn.Module:
    return build_encoder(kind, dim=DIM, depth=2, heads=2, positions=positions, window=3, dropout=0.1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"{kind}": lambda kind=kind: _encoder(kind) for kind in ENCODERS},  # type: ignore[misc]
    **{f"{name} positions": lambda name=name: _encoder("attention", name) for name in POSITIONS},  # type: ignore[misc]
    **{f"{kind} pooled": lambda kind=kind: Pooling(kind, dim=DIM, heads=2) for kind in POOLINGS},  # type: ignore[misc]
    "decoder": Translator,
}


def _batch() -> Ragged:
    return Ragged.from_lengths(torch.randn(15, DIM), [3, 0, 5, 7])


def _gradients(network: nn.Module, batch: Ragged) -> list[Tensor]:
    found = network(batch)
    values = found.values if isinstance(found, Ragged) else found
    return list(torch.autograd.grad(values.square().sum(), list(network.parameters()) or [batch.values]))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_asks_for_a_number(name: str) -> None:
    network, batch = NETWORKS[name]().to("meta"), _batch().to("meta")
    batch.values.requires_grad_()
    with Watch() as watch:
        gradients = _gradients(network, batch)
    assert all(x.is_meta for x in gradients)
    assert watch.seen == []


@GPU
@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_waits(name: str) -> None:
    network = NETWORKS[name]().cuda()
    for mode in ("default", "error"):  # at first there is something to set up
        batch = _batch().to("cuda")
        batch.values.requires_grad_()
        torch.cuda.set_sync_debug_mode(mode)
        try:
            _gradients(network, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
