"""The options of `regard train transduce`."""

from __future__ import annotations

from typing import Literal

from regard.tasks.target_options import TargetConfig
from regard.training.config import DEEPEST, LONGEST, WIDEST, BatchTokens, data, network, training


class TransduceConfig(TargetConfig):
    """What `regard train transduce` takes."""

    task = "transduce"

    longest: int = data(3000, "Longest source or target taken, in items.", gt=0, le=LONGEST)
    dim: int = network(256, "Width of the network.", gt=0, le=WIDEST)
    dropout: float = network(0.2, "Share of activations dropped in training.", ge=0, lt=1)
    shared_vocabulary: bool = network(False, "One table of subwords for source and target.")
    tied: bool = network(True, "The output matrix is the table of target vectors.")
    memory_positions: Literal["sinusoidal", "none"] = network(
        "sinusoidal", "What tells the decoder where a vector of the encoder stands.", before="none"
    )
    decoder_depth: int | None = network(None, "Number of decoder layers; depth if unset.", ge=0, le=DEEPEST)
    batch_tokens: BatchTokens = training(3000, "Items of source and target in a batch; auto: what fits a GPU.")
    length_penalty: float = training(1.0, "Score = log probability / length ^ penalty.", ge=0)
    longest_output: float = training(
        2.0, "Outputs are cut, with a warning, at 20 items and so many times the length of the source.", gt=0
    )
    select: Literal["auto", "bleu", "chrf", "exact"] = training(
        "auto", "Metric that chooses the weights: auto is bleu for subwords, else exact."
    )
