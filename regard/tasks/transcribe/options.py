"""The options of `regard train transcribe`."""

from __future__ import annotations

from typing import Literal

from regard.tasks.target_options import TargetConfig
from regard.training.config import LONGEST, WIDEST, BatchTokens, FrontEndName, TargetName, network, training


class TranscribeConfig(TargetConfig):
    """What `regard train transcribe` takes."""

    task = "transcribe"

    front_end: FrontEndName = network("audio", "How raw items become vectors.")
    target_units: TargetName = network("characters", "What the target is made of; symbols stand between blanks.")
    subsample: int = network(4, "Frames that become one vector.", gt=0, le=1000)
    dim: int = network(144, "Width of the network.", gt=0, le=WIDEST)
    epochs: int = training(15, "Passes over the training data.", gt=0, le=LONGEST)
    batch_tokens: BatchTokens = training(
        1500, "Vectors in a batch, as the network reads them: of words, subwords, frames, ...; auto: what fits a GPU."
    )
    label_smoothing: float = training(0.0, "Share of the loss that wants all symbols, at every vector.", ge=0, lt=1)
    select: Literal["accuracy", "exact"] = training("accuracy", "Metric that chooses the weights.")
