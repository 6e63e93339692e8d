"""The network of a new sequence, and the batches that it learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.decoding.search import Hypothesis, Keep, Step
from regard.front_ends.tokens import END, MASK, PAD, START, UNKNOWN, TokenInputs
from regard.nn.replay import Replay
from regard.ragged import Ragged, on_device

Find = Callable[..., list[list[Hypothesis]]]
SHORTEST_LIMIT = 20  # items that any output may have


class Transformer(nn.Module):
    """Scores of the next target token: ``output(decoder(tokens so far, encoder(front_end(inputs))))``, ``[T, V]``.

    Vaswani et al. 2017, "Attention Is All You Need". The output matrix is the table of target vectors where ``tied``,
    and its products are scaled by ``1/√dim``, as the vectors have unit scale (Press and Wolf 2017).
    """

    front_end: Any  # FrontEnd and Module in one
    target: Any
    decoder: Any  # regard.nn.Decoder

    def __init__(
        self, front_end: nn.Module, encoder: nn.Module, target: nn.Module, decoder: nn.Module, *, dim: int, tied: bool
    ) -> None:
        super().__init__()
        self.front_end, self.encoder, self.target, self.decoder = front_end, encoder, target, decoder
        size: int = self.target.embedding.num_embeddings
        self.scale = dim**-0.5
        self.bias = nn.Parameter(torch.zeros(size))
        self.output = None if tied else nn.Linear(dim, size, bias=False)

    def forward(self, inputs: Any, tokens: Ragged) -> Ragged:
        """``tokens`` ``[T]`` are what stands before each token that is scored."""
        vectors = tokens.with_values(self.embed(tokens.values))
        decoded: Ragged = self.decoder(vectors, self.encode(inputs))
        return decoded.with_values(self.scores(decoded.values))

    def encode(self, inputs: Any) -> Ragged:
        """The memory, ``[S, dim]``."""
        memory: Ragged = self.encoder(self.front_end(inputs))
        return memory

    def embed(self, tokens: Tensor) -> Tensor:
        """``[T]`` → ``[T, dim]``, the vectors of target tokens."""
        vectors: Tensor = self.target.dropout(self.target.embedding(tokens))
        return vectors

    def scores(self, vectors: Tensor) -> Tensor:
        """``[T, dim]`` → ``[T, V]``, how likely each token of the target side comes next, not normalized."""
        if self.output is not None:
            projected: Tensor = self.output(vectors)
            return projected + self.bias
        return F.linear(vectors * self.scale, self.target.embedding.weight, self.bias)

    def replay(self, width: int, most: int | None) -> Replay:
        """Writes one batch after the other on a GPU, with ``width`` hypotheses for each source; ``most`` as below."""
        return Replay(self.decoder, self.embed, self.next, width=width, most=None if most is None else most + 1)

    def next(self, vectors: Tensor) -> Tensor:
        """``[R, dim]`` → ``[R, V]``, the log-probability of each token to come next."""
        return self.scores(vectors).float().log_softmax(1)

    def find(
        self,
        inputs: Any,
        find: Find,
        *,
        longest_output: float,
        most: int | None = None,
        replay: Replay | None = None,
    ) -> list[list[Hypothesis]]:
        """The hypotheses for every source that a search or a drawing finds, see `regard.decoding.search`.

        Arguments:
            inputs: B encoded sources.
            find: one of these, its own options filled in.
            longest_output: an output ends at 20 items and so many times the length of its source.
            most: no output has more items; None for no limit.
            replay: from :meth:`replay`, what writes; None for a cache that grows and shrinks with what is written.
        """
        special = self.target.special
        memory = self.encode(inputs)
        step, keep = self._steps(memory) if replay is None else replay.begin(memory)
        limits = SHORTEST_LIMIT + (memory.lengths * longest_output).long()  # [B]
        return find(
            step,
            keep,
            begin=special[START],
            end=special[END],
            max_lengths=limits if most is None else limits.clamp(max=most),
            banned=[special[name] for name in (PAD, UNKNOWN, START, MASK) if name in special],
        )

    def _steps(self, memory: Ragged) -> tuple[Step, Keep]:
        cache = self.decoder.start(memory)
        return lambda tokens: self.next(self.decoder.step(self.embed(tokens), cache)), cache.keep


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Encoded sources, the target tokens as they are read ``[T]``, and the one that follows each, ``[T]`` int64."""

    inputs: Any
    tokens: Ragged
    following: Tensor

    to = on_device


def shifted(targets: TokenInputs) -> tuple[Ragged, Tensor]:
    """All tokens of each target but the last, and all but the first.

    >>> tokens, following = shifted(TokenInputs(torch.tensor([2, 7, 3, 2, 3]), torch.tensor([0, 3, 5])))
    >>> tokens.values.tolist(), following.tolist()
    ([2, 7, 2], [7, 3, 3])
    """
    ends = targets.offsets[1:] - 1
    starts = targets.offsets[:-1]
    keep = torch.ones_like(targets.tokens, dtype=torch.bool)
    before, after = keep.index_fill(0, ends, False), keep.index_fill(0, starts, False)
    numbers = torch.arange(len(targets.offsets))
    return Ragged(targets.tokens[before], targets.offsets - numbers), targets.tokens[after]
