"""`regard demo`: from a real treebank to a tagger, its score beside baselines, and pictures of what it attended to."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import typer

from regard.cli.report import INTERRUPTED, print_table
from regard.data import read_examples
from regard.errors import ConfigError
from regard.files import atomic_write
from regard.tasks import Labeler, load
from regard.tasks.baselines import simple_baselines
from regard.tasks.run_folder import SCORES
from regard.training.checkpoint import FOLDER as CHECKPOINT

PACKAGE = "turkish-treebanks"
# "It was very cold that day", "She lives in this city too": the first word is the same, what follows tells its label.
SENTENCES = ("O gün hava çok soğuktu .", "O da bu şehirde yaşıyor .")
QUICK_EVERY = 4  # of so many sentences a quick demo takes one


def demo_label(output: Path, *, epochs: int | None, quick: bool) -> None:
    """Trains a part-of-speech tagger on the Turkish Web Treebank, or opens the one that was trained before."""
    parts = {name: output / "data" / f"{name}.conllu" for name in ("train", "dev", "test")}
    if (output / SCORES).is_file():
        typer.echo(f"{output} was trained before; delete it to train again")
        labeler = load(output)
    else:
        labeler = _train(parts, output, epochs=epochs, quick=quick)
    print_table(f"scores on {parts['test']}, which training never saw:", score(labeler, parts["train"], parts["test"]))
    for number, sentence in enumerate(SENTENCES, start=1):
        words = sentence.split()
        labels = labeler.predict([words])[0]
        picture = labeler.attention(words).save(output / f"attention-{number}.png")
        typer.echo(" ".join(f"{word}/{label}" for word, label in zip(words, labels, strict=True)))
        typer.echo(f"  who attends to whom: {picture}")
    typer.echo(f"{output} holds the model, its card (README.md), the loss curve and the pictures")
    typer.echo(f"next: regard predict {output} {parts['test']}")


def _train(parts: dict[str, Path], output: Path, *, epochs: int | None, quick: bool) -> Labeler:
    cut_treebank(parts, every=QUICK_EVERY if quick else 1)
    labeler = Labeler(dim=64, depth=2) if quick else Labeler()
    resume = (output / CHECKPOINT).is_dir()
    try:
        labeler.fit(
            parts["train"],
            parts["dev"],
            output,
            epochs=labeler.config.epochs if epochs is None else epochs,
            resume=resume,
        )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    return labeler


def score(labeler: Labeler, train: Path, test: Path) -> dict[str, dict[str, float]]:
    """The model and its simple baselines on a file."""
    return {"regard": labeler.evaluate(test)} | simple_baselines(read_examples(train), read_examples(test))


def cut_treebank(parts: dict[str, Path], *, every: int = 1) -> None:
    """Writes the treebank's own split: of every ten sentences eight to train, the ninth to dev, the tenth to test.

    The rule is that of the package itself (``turkish_treebanks.read``), applied to its web section of 2,541 sentences.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        treebank = Path(str(distribution(PACKAGE).locate_file("data/web.conllu")))
    except PackageNotFoundError:
        raise ConfigError(f"the demo's data, {PACKAGE}, is not installed; pip install 'regard[demo]'") from None
    sentences = treebank.read_text(encoding="utf-8").strip().split("\n\n")
    cut: dict[str, list[str]] = {name: [] for name in parts}
    for place, sentence in enumerate(sentences):
        cut["dev" if place % 10 == 8 else "test" if place % 10 == 9 else "train"].append(sentence)
    for name, path in parts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write("".join(f"{sentence}\n\n" for sentence in cut[name][::every]))
