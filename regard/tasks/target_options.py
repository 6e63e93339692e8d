"""The options that tasks share which learn to write a target: transduce and transcribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import Config, TargetName, data, network, reading, training

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[("auto", *formats_for("target"))]


class TargetConfig(Config):
    """What a training takes whose goal is a target."""

    learns = "target"

    train_target: str | None = data(None, "Target side of the training file, where it is a file of its own.")
    dev_target: str | None = data(None, "Target side of the dev file, where it is a file of its own.")
    format: FormatName = reading("auto", "Format of the files; auto goes by name.")
    source_column: str = reading("source", "Column or key of the source.")
    target_column: str = reading("target", "Column or key of the target.")
    target_units: TargetName = network("subwords", "What the target is made of; symbols stand between blanks.")
    beam: int = training(
        4, "Hypotheses kept in decoding; 1 is greedy. Evaluations while training are greedy.", gt=0, le=1000
    )
