"""The Transformer: training beside `torch.nn.Transformer`, and decoding with the cache beside doing without.

    python -m benchmarks transduce

Sizes of a small translation model; lengths are those of caption pairs, 12 tokens on average on either side. PyTorch's
gets the same batches padded, which are sorted by length; with dropout of its attention weights it takes its slow path,
so it is timed without that too, and both without any dropout. Decoding: 20 sources, 50 tokens each, beam 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import in_turns
from regard import Ragged
from regard.decoding.search import search
from regard.nn import build_decoder, build_encoder
from regard.planning import plan_epoch, split_step

DIM, DEPTH, HEADS, TOKENS, BUDGET, BATCHES, DROPOUT = 256, 3, 4, 6000, 3000, 6, 0.1
SOURCES, LENGTH, BEAM = 20, 50, 4
BEGIN, END = 2, 3
Pair = tuple[Tensor, Tensor]


class Ours(nn.Module):
    def __init__(self, dropout: float = DROPOUT) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "dropout": dropout}
        self.source, self.target = nn.Embedding(TOKENS, DIM), nn.Embedding(TOKENS, DIM)
        self.encoder = build_encoder("attention", positions="sinusoidal", **sizes)
        self.decoder = build_decoder(positions="sinusoidal", memory_positions="none", **sizes)
        self.output = nn.Linear(DIM, TOKENS)

    def encode(self, sources: list[Tensor]) -> Ragged:
        batch = Ragged.from_list(sources)
        return self.encoder(batch.with_values(self.source(batch.values)))

    def forward(self, pairs: list[Pair]) -> tuple[Tensor, Tensor]:
        memory, targets = self.encode([source for source, _ in pairs]), [target for _, target in pairs]
        read = Ragged.from_list([target[:-1] for target in targets])
        decoded = self.decoder(read.with_values(self.target(read.values)), memory)
        return self.output(decoded.values), torch.cat([target[1:] for target in targets])


class Padded(nn.Module):
    def __init__(self, dropout: float = DROPOUT, *, of_weights: bool = True) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(TOKENS, DIM), nn.Embedding(TOKENS, DIM)
        self.transformer = nn.Transformer(DIM, HEADS, DEPTH, DEPTH, 4 * DIM, dropout, batch_first=True, norm_first=True)
        for module in self.transformer.modules():
            if isinstance(module, nn.MultiheadAttention) and not of_weights:
                module.dropout = 0.0
        self.output = nn.Linear(DIM, TOKENS)

    def forward(self, pairs: list[Pair]) -> tuple[Tensor, Tensor]:
        source = nn.utils.rnn.pad_sequence([source for source, _ in pairs], batch_first=True, padding_value=0)
        target = nn.utils.rnn.pad_sequence([target for _, target in pairs], batch_first=True, padding_value=0)
        read, following = target[:, :-1], target[:, 1:]
        decoded = self.transformer(
            self.source(source),
            self.target(read),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(read.shape[1], dtype=torch.bool),
            src_key_padding_mask=source == 0,
            tgt_key_padding_mask=read == 0,
            memory_key_padding_mask=source == 0,
            tgt_is_causal=True,
        )
        real = following != 0
        return self.output(decoded[real]), following[real]


def trainer(network: nn.Module, batches: list[list[Pair]]) -> Callable[[], None]:
    """All batches once."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def train() -> None:
        for pairs in batches:
            F.cross_entropy(*network(pairs)).backward()
            optimizer.step()
            optimizer.zero_grad()

    return train


def decoder(network: Ours, sources: list[Tensor], *, cached: bool = True, beam: int = BEAM) -> Callable[[], None]:
    """A beam search over all sources; no output ends before it is cut."""
    bias = torch.zeros(TOKENS).index_fill(0, torch.tensor([END]), -1e4)

    @torch.inference_mode()
    def decode() -> None:
        memory = network.encode(sources)
        cache = network.decoder.start(memory)
        prefix, rows_of = [torch.empty(len(sources), 0, dtype=torch.int64)], [torch.arange(len(sources))]

        def step(tokens: Tensor) -> Tensor:
            if cached:
                vectors = network.decoder.step(network.target(tokens), cache)
            else:
                prefix[0] = torch.cat([prefix[0], tokens[:, None]], 1)
                batch = Ragged.from_list(list(prefix[0]))
                whole = Ragged.from_list([sources_memory[row] for row in rows_of[0].tolist()])
                vectors = network.decoder(batch.with_values(network.target(batch.values)), whole).values
                vectors = vectors[batch.offsets[1:] - 1]
            return (network.output(vectors) + bias).log_softmax(1)

        def keep(rows: Tensor) -> None:
            if cached:
                cache.keep(rows)
            else:
                prefix[0], rows_of[0] = prefix[0][rows], rows_of[0][rows]

        sources_memory = memory.unbind()
        limits = torch.full((len(sources),), LENGTH)
        search(step, keep, begin=BEGIN, end=END, max_lengths=limits, beam=beam)

    return decode


def run() -> dict[str, Any]:
    torch.manual_seed(0)
    lengths = (torch.randn(4000, 2) * 0.35 + 2.5).exp().long().clamp(3, 60) + 2  # mean 12 and the two ends
    totals = lengths.sum(1).tolist()
    steps = plan_epoch(totals, budget=BUDGET, seed=0, epoch=0)[:BATCHES]
    batches = [
        [tuple(torch.randint(4, TOKENS, (int(n),)) for n in lengths[i]) for i in split_step(step, totals, parts=1)[0]]
        for step in steps
    ]
    seconds = in_turns(
        {
            "regard": trainer(Ours(), batches),
            "padded": trainer(Padded(), batches),
            "padded, no dropout of weights": trainer(Padded(of_weights=False), batches),
            "regard, no dropout": trainer(Ours(0), batches),
            "padded, no dropout": trainer(Padded(0), batches),
        },
        rounds=7,
    )
    targets = sum(len(target) - 1 for pairs in batches for _, target in pairs)
    network = Ours().eval()
    sources = [torch.randint(4, TOKENS, (14,)) for _ in range(SOURCES)]
    decoders = {
        "cached": decoder(network, sources),
        "afresh": decoder(network, sources, cached=False),
        "greedy": decoder(network, sources, beam=1),
        "one": decoder(network, sources[:1]),
        "one, greedy": decoder(network, sources[:1], beam=1),
    }
    decoding = in_turns(decoders, rounds=3)
    return {
        "training, regard, target tokens/s": targets / seconds["regard"],
        "training, torch.nn.Transformer, padded, sorted / regard, time": seconds["padded"] / seconds["regard"],
        "training, the same, no dropout of weights / regard, time": seconds["padded, no dropout of weights"]
        / seconds["regard"],
        "training, both without dropout, time": seconds["padded, no dropout"] / seconds["regard, no dropout"],
        "decoding, beam 4, 50 tokens, sentences/s": SOURCES / decoding["cached"],
        "decoding, without the cache / with it, time": decoding["afresh"] / decoding["cached"],
        "decoding, beam 4 / greedy, time": decoding["cached"] / decoding["greedy"],
        "decoding of one source, beam 4 / greedy, time": decoding["one"] / decoding["one, greedy"],
    }
