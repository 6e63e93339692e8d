"""Training words a second of our encoder and of `torch.nn.TransformerEncoder`, the same sizes, in the same run.

    python -m benchmarks throughput

Both take the same sentences, whose lengths are those of a treebank, in batches of about 1,000 words: forward, loss,
backward and AdamW. PyTorch's gets them padded, in batches of like length, which hold almost no padding, and in batches
as they come. With dropout of its attention weights it takes its slow path (`_scaled_dot_product_attention_math`),
without the fast one (`_scaled_dot_product_flash_attention_for_cpu`), so both are timed, and the first compiled too; and
all without dropout, where PyTorch's random numbers cost nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.data import sentence_lengths
from benchmarks.timing import in_turns
from regard import Ragged
from regard.nn import build_encoder
from regard.planning import plan_epoch, split_step

DIM, DEPTH, HEADS, LABELS, WORDS, BATCHES, DROPOUT = 192, 3, 4, 17, 1000, 12, 0.3


class Ours(nn.Module):
    def __init__(self, implementation: str = "auto", dropout: float = DROPOUT) -> None:
        super().__init__()
        self.encoder = build_encoder(
            "attention", dim=DIM, depth=DEPTH, heads=HEADS, dropout=dropout, implementation=implementation
        )
        self.head = nn.Linear(DIM, LABELS)

    def forward(self, sentences: list[Tensor]) -> Tensor:
        return self.head(self.encoder(Ragged.from_list(sentences)).values)


class Padded(nn.Module):
    def __init__(self, dropout: float = DROPOUT, *, of_weights: bool = True, compiled: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(DIM, HEADS, 4 * DIM, dropout, batch_first=True, norm_first=True)
        if not of_weights:
            layer.self_attn.dropout = 0.0
        self.encoder = nn.TransformerEncoder(layer, DEPTH, nn.LayerNorm(DIM), enable_nested_tensor=False)
        if compiled:
            self.encoder.compile(dynamic=True)
        self.head = nn.Linear(DIM, LABELS)

    def forward(self, sentences: list[Tensor]) -> Tensor:
        lengths = torch.tensor([len(sentence) for sentence in sentences])
        padding = torch.arange(int(lengths.max())) >= lengths[:, None]
        padded = nn.utils.rnn.pad_sequence(sentences, batch_first=True)
        return self.head(self.encoder(padded, src_key_padding_mask=padding)[~padding])


def trainer(network: nn.Module, batches: list[list[Tensor]]) -> Callable[[], None]:
    """All batches once."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def train() -> None:
        for sentences in batches:
            target = torch.arange(sum(map(len, sentences))) % LABELS
            F.cross_entropy(network(sentences), target).backward()
            optimizer.step()
            optimizer.zero_grad()

    return train


def run() -> dict[str, Any]:
    torch.manual_seed(0)
    lengths = sentence_lengths()
    steps = plan_epoch(lengths, budget=WORDS, seed=0, epoch=0)[:BATCHES]
    bucketed = [[lengths[i] for i in split_step(step, lengths, parts=1)[0]] for step in steps]  # as the loop does
    shuffled = [length for batch in bucketed for length in batch]
    random.Random(0).shuffle(shuffled)
    unsorted: list[list[int]] = [[]]
    for length in shuffled:
        if sum(unsorted[-1]) + length > WORDS:
            unsorted.append([])
        unsorted[-1].append(length)

    def vectors(batches: list[list[int]]) -> list[list[Tensor]]:
        return [[torch.randn(length, DIM) for length in batch] for batch in batches]

    in_buckets, words = vectors(bucketed), sum(shuffled)
    theirs = "torch.nn.TransformerEncoder, padded"
    results: dict[str, Any] = {}
    for dropout, cases in (
        (
            "",
            {
                "regard": trainer(Ours(), in_buckets),
                "regard, blocked": trainer(Ours("blocked"), in_buckets),
                f"{theirs}, sorted": trainer(Padded(), in_buckets),
                f"{theirs}, sorted, no dropout of weights": trainer(Padded(of_weights=False), in_buckets),
                f"{theirs}, sorted, compiled": trainer(Padded(compiled=True), in_buckets),
                f"{theirs}, unsorted": trainer(Padded(of_weights=False), vectors(unsorted)),
            },
        ),
        (
            ", no dropout",
            {
                "regard": trainer(Ours(dropout=0), in_buckets),
                f"{theirs}, sorted": trainer(Padded(0), in_buckets),
                f"{theirs}, unsorted": trainer(Padded(0), vectors(unsorted)),
            },
        ),
    ):
        seconds = in_turns(cases, rounds=9)
        results |= {f"{name}{dropout}, words/s": words / value for name, value in seconds.items()}
        for name in list(seconds)[1:]:
            results[f"{name}{dropout} / regard, time"] = seconds[name] / seconds["regard"]
    return results
