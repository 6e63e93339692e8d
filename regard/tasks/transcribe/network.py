"""The network of transcripts, and the batches that it learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ModelError
from regard.front_ends.tokens import END, MASK, PAD, START, UNKNOWN
from regard.parallel import gather
from regard.ragged import Ragged, on_device, on_host


class TranscriptNetwork(nn.Module):
    """A row of scores of all target symbols for each vector: ``head(encoder(front_end(inputs)))``, ``[T, V]``.

    An image is written from left to right: its vectors are the means of its columns behind the encoder.
    The table of target vectors is the matrix of the scores; the blank has the row of padding in it.
    """

    front_end: Any  # FrontEnd and Module in one
    target: Any

    def __init__(self, front_end: nn.Module, encoder: nn.Module, target: nn.Module, *, dim: int) -> None:
        super().__init__()
        self.front_end, self.encoder, self.target = front_end, encoder, target
        if PAD not in self.target.special:
            raise ModelError(f"tokenizer: it lacks {PAD}, whose row is the blank; train with one that has it")
        table = self.target.embedding.weight
        nn.init.normal_(table, std=dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(table)))

    @property
    def blank(self) -> int:
        """The column that says nothing."""
        return int(self.target.special[PAD])

    def forward(self, inputs: Any) -> Ragged:
        """``[T, V]``, not normalized."""
        vectors = gather(self.encoder(self.front_end(inputs)))
        if vectors.grid is not None:
            vectors = vectors.map_grids(lambda images: images.mean(1, keepdim=True))
        return vectors.with_values(self.head(vectors.values))

    def head(self, vectors: Tensor) -> Tensor:
        """``[T, dim]`` of the encoder → ``[T, V]``, not normalized."""
        return F.linear(vectors, self.target.embedding.weight, self.bias)

    def log_probs(self, scores: Tensor) -> Tensor:
        """``[T, V]``, for decoding: −inf for what is never written, whose probability is not spread over the rest."""
        never = [self.target.special[name] for name in (UNKNOWN, START, END, MASK) if name in self.target.special]
        return scores.float().log_softmax(1).index_fill(1, torch.tensor(never, device=scores.device), -math.inf)


@dataclass(frozen=True, eq=False)
class TranscriptBatch:
    """Encoded sequences, and the symbols of each one's target, ``[S]`` int64."""

    inputs: Any
    targets: Ragged

    to = on_device


def ctc_loss(scores: Ragged, targets: Ragged, *, blank: int, smoothing: float = 0.0) -> Tensor:
    """``−Σ log p(target)`` over a batch, each the sum over all paths that spell it; see `regard.decoding.ctc`.

    Arguments:
        scores: ``[T, V]``, not normalized.
        targets: ``[S]``, symbols.
        smoothing: share of the loss that is instead ``−Σ log p / V`` over all symbols and rows (Kim et al. 2018,
            "Improved Training for Online End-to-end Speech Recognition Systems").
    """
    lengths, symbols = (offsets.diff() for offsets in on_host(scores.offsets, targets.offsets))
    log_probs = scores.values.float().log_softmax(1)  # [T, V]
    padded = scores.with_values(log_probs).to_padded()[0]  # [B, N, V]
    loss = F.ctc_loss(
        padded.transpose(0, 1),
        targets.values,
        lengths,
        symbols,
        blank=blank,
        reduction="sum",
        zero_infinity=True,  # a recording that fits its target may be too short once it is played faster
    )
    return loss if smoothing == 0 else (1 - smoothing) * loss - smoothing * log_probs.mean(1).sum()
