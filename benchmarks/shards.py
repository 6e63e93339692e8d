"""What each of several processes holds of a network, whole and in shards, and how long a step takes.

    python -m benchmarks shards

An encoder of 12 layers × 512, with a table of 8,000 vectors; 64 vectors in each process, so that all but weights is
little. Memory is that of the process, beyond what it has after a training of a small network. The C library is told to
give back what was freed, which it otherwise keeps.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.memory import peak
from regard import Ragged
from regard.nn import build_encoder
from regard.tasks.label.options import LabelConfig
from regard.training.learner import Learner
from regard.training.shards import own

PROCESSES, STEPS, WORDS = (2, 4), 6, 8000


class Network(nn.Module):
    """A row of 10 scores for each word."""

    def __init__(self, dim: int, depth: int) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, dim)
        self.encoder = build_encoder("attention", dim=dim, depth=depth, heads=8)
        self.head = nn.Linear(dim, 10)

    def forward(self, words: Ragged) -> Tensor:
        scores: Tensor = self.head(self.encoder(words.with_values(self.table(words.values))).values)
        return scores


def run() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for processes in PROCESSES:
        for shard in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "found.json")
                launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
                command = [sys.executable, *launch, "-m", "benchmarks.shards", str(file), str(int(shard))]
                environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
                kind = f"{processes} processes, {'in shards' if shard else 'whole'}"
                found |= {f"{kind}: {name}": value for name, value in json.loads(file.read_text()).items()}
    return found


def main(file: Path, *, shard: bool) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train(Network(16, 1), shard=shard)
    before = now()
    found, is_main = train(Network(512, 12), shard=shard)
    if is_main:
        more = {name: value - before / 2**20 for name, value in found.items() if name.startswith("most")}
        file.write_text(json.dumps(found | more))


def train(network: Network, *, shard: bool) -> tuple[dict[str, float], bool]:
    """Some steps and an evaluation of nothing: MiB, seconds, and whether this is the main process."""
    weights = sum(parameter.nbytes for parameter in network.parameters())
    learner = Learner(
        network,
        collate=lambda numbers: Ragged.from_lengths(torch.arange(64) + numbers[0], [64]),
        loss=lambda network, words: (network(words).logsumexp(1).sum(), 64),
        config=LabelConfig(device="cpu", shard=shard),
    )
    learner.train()
    seconds = []
    for number in range(STEPS):
        forget_peak()
        start = time.perf_counter()
        learner.step([[learner.share]], spare=0, number=number, rate=1e-4, asked=lambda: (False, False))
        seconds.append(time.perf_counter() - start)
    most = peak()
    forget_peak()
    with learner.averaged():
        evaluation = peak()
    held = sum(own(tensor).nbytes for tensor in learner.tensors().values())
    sizes = {"weights": weights, "weights, moments and average held": held}
    sizes |= {"most in a step": most, "most in an evaluation": evaluation}
    found = {f"{name}, MiB": size / 2**20 for name, size in sizes.items()}
    return found | {"seconds of a step": statistics.median(seconds[1:])}, learner.accelerator.is_main_process


def now() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


def forget_peak() -> None:
    """The most that it held is what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(Path(sys.argv[1]), shard=sys.argv[2] == "1")
