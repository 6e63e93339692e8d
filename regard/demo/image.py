"""`regard demo image`: which digit was written, from scans of eight by eight pixels that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import numpy as np

from regard.cli.report import print_table
from regard.data import read
from regard.demo.common import name_next, show_some, train_once
from regard.errors import UnsupportedError
from regard.files import atomic_write
from regard.tasks import Classifier
from regard.tasks.classify.baselines import class_baselines
from regard.tasks.run_folder import CONFUSION, DATA, taken

TEST, DEV = 360, 180  # of 1,797


def demo_image(output: Path, *, epochs: int | None, quick: bool) -> None:
    """Every pixel is a vector, and attends to all others; nothing tells the network what is near but what it learns."""
    folders = {name: output / DATA / name for name in ("train", "dev", "test")}

    def fit(classifier: Classifier, *, resume: bool) -> None:
        with taken(output, resume=resume):
            write_digits(folders)
        passes = epochs if epochs is not None else 2 if quick else 40
        classifier.fit(folders["train"], folders["dev"], output, epochs=passes, batch_tokens=4000, resume=resume)

    classifier = train_once(output, Classifier(front_end="pixels", dim=64, depth=3, dropout=0.1), fit)
    train, test = (list(read(folders[name], goal="label", items="images")) for name in ("train", "test"))
    own = classifier.evaluate(test, confusion=output / CONFUSION)
    frames = classifier.network.front_end.frames
    scores = {"regard": own} | class_baselines(train, test, classifier.labels, frames)
    print_table(f"which digit it is: scores on {folders['test']}, which training never saw:", scores)
    show_some(classifier, test, output, lambda example: str(example.place.source))
    command = f"regard predict {quote(str(output))} {quote(str(test[0].place.source))}"
    name_next(command, classifier, test[0].items, output)


def write_digits(folders: dict[str, Path]) -> None:
    """A PNG for each of scikit-learn's digits, in a folder of its class; a seeded shuffle tells which part it is in."""
    try:
        from PIL import Image as pillow
    except ImportError:
        raise UnsupportedError("the demo's images need Pillow: pip install 'regard[image]'") from None
    from sklearn.datasets import load_digits

    digits = load_digits()
    shuffled = np.random.default_rng(0).permutation(len(digits.target))
    parts = {"test": shuffled[:TEST], "dev": shuffled[TEST : TEST + DEV], "train": shuffled[TEST + DEV :]}
    for name, numbers in parts.items():
        for number in numbers.tolist():
            path = folders[name] / str(digits.target[number]) / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.round(digits.images[number] * (255 / 16)).astype(np.uint8)
            with atomic_write(path, binary=True) as file:
                pillow.fromarray(pixels).save(file, format="png")
