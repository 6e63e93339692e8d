"""The options of `regard train pretrain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import LONGEST, BatchTokens, Config, data, network, reading, training

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[("auto", *formats_for("nothing"))]


class PretrainConfig(Config):
    """What `regard train pretrain` takes."""

    task = "pretrain"
    learns, writes = "nothing", "target"
    predicts_from = "text"

    format: FormatName = reading(
        "auto", "Format of the files; auto goes by name, and is text where that tells nothing."
    )
    text_column: str = reading("text", "Column or key of the text.")
    longest: int = data(512, "Longer sequences are read in windows of so many items.", gt=0, le=LONGEST)
    dropout: float = network(0.1, "Share of activations dropped in training.", ge=0, lt=1)
    mask_frames: float = training(
        0.0,
        "SpecAugment: how much of the frames of recordings is hidden in training beside what is guessed.",
        ge=0,
        le=4,
    )
    batch_tokens: BatchTokens = training(4000, "Items in a batch; auto: what fits a GPU.")
    label_smoothing: float = training(0.0, "Share of each target spread over all tokens.", ge=0, lt=1)
    mask_share: float = training(0.15, "Share of the items that are to be guessed.", gt=0, lt=1)
    whole_words: bool = training(False, "Hide all subwords of a word together.")
