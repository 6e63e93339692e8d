"""Batches on their way to a GPU, which is not kept from computing meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


class Ahead:
    """Sends batches to a device; to a GPU in a stream of its own, beside what that computes of the steps before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def send(self, batch: Any) -> Any:
        """The batch there. What is done with it from now on comes after it has arrived, and nobody waits."""
        return batch.to(self.device) if self.stream is None else self._streamed(batch)

    def _streamed(self, batch: Any) -> Any:  # pragma: no cover - needs a GPU
        with torch.cuda.stream(self.stream):
            there = batch.to(self.device)
        now = torch.cuda.current_stream(self.device)
        now.wait_stream(self.stream)
        for x in tensors_of(there):
            if x.is_cuda:
                x.record_stream(now)  # its memory goes to no other batch before it was read
        return there


def tensors_of(batch: object) -> Iterator[Tensor]:
    """Those of a dataclass, and of the dataclasses in it."""
    if isinstance(batch, Tensor):
        yield batch
    elif is_dataclass(batch):
        for field in fields(batch):
            yield from tensors_of(getattr(batch, field.name))
