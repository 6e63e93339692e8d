"""`regard demo label`: from a real treebank to a tagger, its score beside baselines, and pictures of its attention."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from regard.cli.report import print_table
from regard.data import read
from regard.demo.common import find_data, name_next, train_once
from regard.files import atomic_write
from regard.tasks import Labeler
from regard.tasks.label.baselines import simple_baselines
from regard.tasks.run_folder import DATA, taken

PACKAGE, TREEBANK = "turkish-treebanks", "data/web.conllu"
# "It was very cold that day", "She lives in this city too": the first word is the same, what follows tells its label.
SENTENCES = ("O gün hava çok soğuktu .", "O da bu şehirde yaşıyor .")
QUICK_EVERY = 4  # of so many sentences a quick demo takes one


def demo_label(output: Path, *, epochs: int | None, quick: bool) -> None:
    """Trains a part-of-speech tagger on the Turkish Web Treebank, or opens the one that was trained before."""
    parts = {name: output / DATA / f"{name}.conllu" for name in ("train", "dev", "test")}

    def fit(labeler: Labeler, *, resume: bool) -> None:
        with taken(output, resume=resume):
            cut_treebank(parts, every=QUICK_EVERY if quick else 1)
        passes = labeler.config.epochs if epochs is None else epochs
        labeler.fit(parts["train"], parts["dev"], output, epochs=passes, resume=resume)

    labeler = train_once(output, Labeler(dim=64, depth=2) if quick else Labeler(), fit)
    print_table(f"scores on {parts['test']}, which training never saw:", score(labeler, parts["train"], parts["test"]))
    for number, sentence in enumerate(SENTENCES, start=1):
        words = sentence.split()
        labels = labeler.predict([words])[0]
        picture = labeler.attention(words).save(output / f"attention-{number}.png")
        typer.echo(" ".join(f"{word}/{label}" for word, label in zip(words, labels, strict=True)))
        typer.echo(f"  who attends to whom: {picture}")
    typer.echo(f"{output} holds the model, its card (README.md), the loss curve and the pictures")
    command = f"regard predict {quote(str(output))} {quote(str(parts['test']))}"
    name_next(command, labeler, SENTENCES[0].split(), output)


def score(labeler: Labeler, train: Path, test: Path) -> dict[str, dict[str, float]]:
    """The model and its simple baselines on a file."""
    return {"regard": labeler.evaluate(test)} | simple_baselines(*(read(path, goal="labels") for path in (train, test)))


def cut_treebank(parts: dict[str, Path], *, every: int = 1) -> None:
    """Writes the treebank's own split: of every ten sentences eight to train, the ninth to dev, the tenth to test.

    The rule is that of the package itself (``turkish_treebanks.read``), applied to its web section of 2,541 sentences.

    Raises:
        ConfigError: the package is not installed.
    """
    treebank = find_data(PACKAGE, TREEBANK)
    sentences = treebank.read_text(encoding="utf-8").strip().split("\n\n")
    cut: dict[str, list[str]] = {name: [] for name in parts}
    for place, sentence in enumerate(sentences):
        cut["dev" if place % 10 == 8 else "test" if place % 10 == 9 else "train"].append(sentence)
    for name, path in parts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write("".join(f"{sentence}\n\n" for sentence in cut[name][::every]))
