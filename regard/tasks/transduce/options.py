"""The options of `regard train transduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import DEEPEST, LONGEST, WIDEST, Config, TargetName, data, network, training

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[("auto", *formats_for("target"))]


class TransduceConfig(Config):
    """What `regard train transduce` takes."""

    task = "transduce"
    goal = gives = "target"

    train_target: str | None = data(None, "Target side of the training file, where it is a file of its own.")
    dev_target: str | None = data(None, "Target side of the dev file, where it is a file of its own.")
    format: FormatName = data("auto", "Format of the files; auto goes by name.")
    source_column: str = data("source", "Column or key of the source.")
    target_column: str = data("target", "Column or key of the target.")
    longest: int = data(1000, "Longest source or target taken, in items.", gt=0, le=LONGEST)
    dim: int = network(256, "Width of the network.", gt=0, le=WIDEST)
    dropout: float = network(0.2, "Share of activations dropped in training.", ge=0, lt=1)
    target_units: TargetName = network("subwords", "What the target is made of; symbols stand between blanks.")
    shared_vocabulary: bool = network(False, "One table of subwords for source and target.")
    tied: bool = network(True, "The output matrix is the table of target vectors.")
    decoder_depth: int | None = network(None, "Number of decoder layers; depth if unset.", ge=0, le=DEEPEST)
    batch_tokens: int = training(3000, "Items of source and target in a batch.", gt=0, le=LONGEST)
    beam: int = training(
        4, "Hypotheses kept in decoding; 1 is greedy. Evaluations while training are greedy.", gt=0, le=1000
    )
    length_penalty: float = training(1.0, "Score = log probability / length ^ penalty.", ge=0)
    longest_output: float = training(
        2.0, "Outputs are cut, with a warning, at 20 items and so many times the length of the source.", gt=0
    )
    select: Literal["auto", "bleu", "chrf", "exact"] = training(
        "auto", "Metric that chooses the weights: auto is bleu for subwords, else exact."
    )
