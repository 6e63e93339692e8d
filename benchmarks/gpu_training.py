"""Training and decoding on a GPU: a step on sentences beside padded modules of PyTorch, its memory, a beam search.

    python -m benchmarks gpu_training

The sizes are those of the labeler's defaults, 3 layers × 192, in batches of 8,000 words; batches are on the card
already, and sorted by length, so that the padded ones hold almost no padding. PyTorch's modules are given their fast
path, without dropout of weights, and ours drops as many. Compiled ones compile before they are timed. With
TRITON_INTERPRET=1 on a CPU it is a rehearsal in small sizes, of which no time is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.data import sentence_lengths
from benchmarks.gpu import DEVICE, ON_GPU, in_turns
from benchmarks.throughput import DEPTH, DIM, HEADS, LABELS
from benchmarks.transduce import BEAM, BEGIN, END, TOKENS
from benchmarks.transduce import Ours as Translator
from regard import Ragged
from regard.decoding.search import search
from regard.nn import build_encoder
from regard.nn.replay import Replay
from regard.planning import plan_epoch, split_step
from regard.ragged import counted

WORDS, BATCHES = (8000, 6) if ON_GPU else (40, 1)
CAPTIONS, SOURCE, TARGET = (1000, 14, 16) if ON_GPU else (2, 3, 2)  # sources, and items in each and its output
DROPOUT = 0.3


class Ours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        own = "auto" if ON_GPU else "triton"
        self.encoder = build_encoder(
            "attention", dim=DIM, depth=DEPTH, heads=HEADS, dropout=DROPOUT, positions="none", implementation=own
        )
        self.head = nn.Linear(DIM, LABELS)

    def forward(self, batch: Ragged) -> Tensor:
        rows: Tensor = self.head(self.encoder(batch).values)
        return F.cross_entropy(rows.float(), torch.zeros(len(rows), dtype=torch.int64, device=rows.device))


class Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(DIM, HEADS, 4 * DIM, DROPOUT, batch_first=True, norm_first=True)
        layer.self_attn.dropout = 0.0
        self.encoder = nn.TransformerEncoder(layer, DEPTH, nn.LayerNorm(DIM), enable_nested_tensor=False)
        self.head = nn.Linear(DIM, LABELS)

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        padded, padding = batch
        rows = self.head(self.encoder(padded, src_key_padding_mask=padding)).flatten(0, 1)
        return F.cross_entropy(rows.float(), padding.flatten().long() * -100)  # which the loss passes over


def trainer(network: nn.Module, batches: list[Any], *, compiled: bool = False) -> Callable[[], None]:
    """All batches once."""
    network = network.to(DEVICE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    if compiled:
        for layer in network.encoder.layers:  # type: ignore[operator,union-attr]
            layer.compile(dynamic=True)

    def train() -> None:
        for batch in batches:
            with torch.autocast(DEVICE, torch.bfloat16):
                loss = network(batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return train


@contextmanager
def peak(results: dict[str, Any], name: str) -> Iterator[None]:
    """The most memory in use within, beside what was in use before."""
    if not ON_GPU:
        yield
        return
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield
    results[f"{name}, MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20


def training() -> dict[str, Any]:
    lengths = sentence_lengths()
    steps = plan_epoch(lengths, budget=WORDS, seed=0, epoch=0)[:BATCHES]
    batches = [[lengths[i] for i in split_step(step, lengths, parts=1)[0]] for step in steps]  # as the loop does
    ours = [Ragged.from_lengths(torch.randn(sum(batch), DIM), batch).to(DEVICE) for batch in batches]
    theirs = []
    for batch in ours:
        padded, mask = batch.to_padded()
        theirs.append((padded, ~mask))
    calls = {"regard": trainer(Ours(), ours), "torch.nn.TransformerEncoder, padded, sorted": trainer(Padded(), theirs)}
    if ON_GPU:
        calls["regard, compiled"] = trainer(Ours(), ours, compiled=True)
        calls["torch.nn.TransformerEncoder, padded, sorted, compiled"] = trainer(Padded(), theirs, compiled=True)
    results: dict[str, Any] = {}
    for name, call in calls.items():
        call()
        with peak(results, f"training, {name}"):
            call()
    times, words = in_turns(calls), sum(map(sum, batches))
    results |= {f"training, {name}, words/s": 1000 * words / time for name, time in times.items() if time}
    for how in ("", ", compiled") if ON_GPU else ():
        ratio = times[f"torch.nn.TransformerEncoder, padded, sorted{how}"] / times[f"regard{how}"]
        results[f"training, padded / regard{how}, time"] = ratio
    return results


def decoding() -> dict[str, Any]:
    """Many sources at once and a single one; steps as a CUDA graph beside those with a cache that grows."""
    network = Translator().eval().to(DEVICE)
    bias = torch.zeros(TOKENS).index_fill(0, torch.tensor([END]), -1e4).to(DEVICE)  # no output ends before it is cut
    results: dict[str, Any] = {}

    def score(vectors: Tensor) -> Tensor:
        return (network.output(vectors) + bias).log_softmax(1)

    with torch.inference_mode():
        for count in (CAPTIONS, 1):
            captions = Ragged.from_list([torch.randint(4, TOKENS, (SOURCE,)) for _ in range(count)]).to(DEVICE)
            replay = Replay(network.decoder, network.target, score, width=BEAM)

            def decode(captions: Ragged = captions, replay: Replay | None = replay) -> None:
                memory = network.encoder(captions.with_values(network.source(captions.values)))
                if replay is None:
                    cache, decoder = network.decoder.start(memory), network.decoder
                    step, keep = (lambda ids: score(decoder.step(network.target(ids), cache))), cache.keep
                else:
                    step, keep = replay.begin(memory)
                limits = torch.full((len(captions),), TARGET, device=DEVICE)
                search(step, keep, begin=BEGIN, end=END, max_lengths=limits, beam=BEAM)

            calls = {"as a graph": decode, "with a cache": partial(decode, replay=None)}
            name = f"decoding, {counted(count, 'caption')}, beam {BEAM}"
            for how, call in calls.items():
                call()
                with peak(results, f"{name}, {how}"):
                    call()
            results |= {f"{name}, {how}, seconds": time / 1000 for how, time in in_turns(calls).items() if time}
    return results


def run() -> dict[str, Any]:
    torch.manual_seed(0)
    return training() | decoding()
