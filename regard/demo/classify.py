"""`regard demo classify`: who of nine speakers said it, from sequences of twelve numbers, beside simple baselines."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import quote

from regard.cli.report import print_table
from regard.data import read
from regard.demo.common import find_data, name_next, show_some, train_once
from regard.tasks import Classifier
from regard.tasks.classify.baselines import class_baselines
from regard.tasks.run_folder import CONFUSION, DATA, taken

PACKAGE, FOLDER = "sktime", "sktime/datasets/data/JapaneseVowels"


def demo_classify(output: Path, *, epochs: int | None, quick: bool) -> None:
    """Trains on the official training part, 270 utterances of two vowels, and scores on its 370 others."""
    parts = {name: output / DATA / f"{name}.ts" for name in ("train", "test")}

    def fit(classifier: Classifier, *, resume: bool) -> None:
        with taken(output, resume=resume):
            for name, path in parts.items():
                source = find_data(PACKAGE, f"{FOLDER}/JapaneseVowels_{name.upper()}.ts")
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, path)
        passes = epochs if epochs is not None else 10 if quick else 60
        classifier.fit(parts["train"], None, output, epochs=passes, batch_tokens=300, resume=resume)

    classifier = train_once(output, Classifier(front_end="vectors", dim=64, depth=2, dropout=0.2), fit)
    train, test = (list(read(path, goal="label")) for path in parts.values())
    own = classifier.evaluate(test, confusion=output / CONFUSION)
    scores = {"regard": own} | class_baselines(train, test, classifier.labels)
    print_table(f"who is speaking: scores on {parts['test']}, which training never saw:", scores)
    show_some(classifier, test, output, lambda example: f"{len(example):2} vectors of speaker")
    name_next(f"regard predict {quote(str(output))} {quote(str(parts['test']))}", classifier, test[0].items, output)
