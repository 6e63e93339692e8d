"""From the vectors of a sequence to one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.nn.attention import attention_pooling, pooling_weights
from regard.nn.layers import Activation
from regard.parallel import gather
from regard.ragged import Ragged, takes_ragged

LAYERS: dict[str, Activation] = {"bert": torch.tanh, "distilbert": F.relu, "electra": F.gelu}  # on the first vector
POOLINGS = ("query", "mean", "max", "first", *LAYERS)


class Pooling(nn.Module):
    """One vector for each sequence, ``Ragged [T, E]`` → ``[B, E]``; zeros for an empty one.

    - "query": ``Σ_n softmax_n(q_h · W_k x_n / √D) x_n`` by head, with a learned query q (attention pooling).
    - "mean", "max": of each element over the sequence; "first": the vector at its first position.
    - "bert": ``tanh(W x_first + b)``, as the classifiers of BERT and RoBERTa have it, "distilbert" with relu and
      "electra" with gelu in the place of tanh, as theirs do; the only ones that can be exported as such.

    Arguments:
        kind: one of the above.
        dim: ``E``.
        heads: of "query", which divide ``dim``.
        implementation: as in :func:`regard.attend`.

    Raises:
        ConfigError: any other ``kind``, or sizes that do not divide.

    Lin et al. 2017, "A Structured Self-Attentive Sentence Embedding" (the learned query); Devlin et al. 2019, "BERT".

    >>> batch = Ragged.from_list([torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])])
    >>> Pooling("mean", dim=1)(batch).tolist()
    [[2.0], [5.0]]
    """

    def __init__(self, kind: str, *, dim: int, heads: int = 1, implementation: str = "auto") -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ConfigError(f"pooling must be one of {', '.join(POOLINGS)}; got {kind!r}")
        if dim % heads:
            raise ConfigError(f"dim must be a multiple of heads, got dim {dim} and {heads} heads")
        self.kind, self.implementation = kind, implementation
        if kind == "query":
            self.query = nn.Parameter(torch.randn(heads, dim // heads))
            self.key = nn.Linear(dim, dim)
        if kind in LAYERS:
            self.dense = nn.Linear(dim, dim)

    @takes_ragged
    def forward(self, batch: Ragged) -> Tensor:
        """``Ragged [T, E]`` → ``[B, E]``; of a part, what its whole batch is pooled to."""
        batch = gather(batch)
        if self.kind == "query":
            key, value = (x.unflatten(1, self.query.shape) for x in (self.key(batch.values), batch.values))  # [T, H, D]
            return attention_pooling(self.query, key, value, batch.offsets, implementation=self.implementation)
        lengths = batch.lengths
        if self.kind == "first" or self.kind in LAYERS:
            padded = torch.cat([batch.values, batch.values.new_zeros(1, batch.values.shape[1])])  # for empty ones
            first = padded[batch.offsets[:-1]]
            vectors = first if self.kind == "first" else LAYERS[self.kind](self.dense(first))
            return vectors * (lengths > 0)[:, None]
        if self.kind == "max":
            pooled = torch.segment_reduce(batch.values, "max", lengths=lengths, initial=-torch.inf)
            return pooled.masked_fill(lengths[:, None] == 0, 0.0)
        sums = torch.segment_reduce(batch.values, "sum", lengths=lengths, initial=0.0)
        return sums / lengths.clamp(min=1)[:, None]

    @torch.no_grad()
    @takes_ragged
    def attention_weights(self, batch: Ragged) -> list[Tensor]:
        """How much each vector counts in the one of its sequence, ``[H, N_b]``, rows sum to 1; one row but of "query".

        Of "max" that is the share of elements that come from it.
        """
        if self.kind == "query":
            key = self.key(batch.values).unflatten(1, self.query.shape)  # [T, H, D]
            return pooling_weights(self.query, key, batch.offsets)
        shares = []
        for x in batch.unbind():
            share = torch.zeros(len(x), device=x.device)
            if self.kind == "max" and len(x):
                share = x.argmax(0).bincount(minlength=len(x)) / x.shape[1]
            elif len(x):
                share[: None if self.kind == "mean" else 1] = 1
                share = share / share.sum()
            shares.append(share[None])
        return shares
