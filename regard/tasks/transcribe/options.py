"""The options of `regard train transcribe`."""

from __future__ import annotations

from typing import Literal

from regard.tasks.target_options import TargetConfig
from regard.training.config import FrontEndName, TargetName, network, training


class TranscribeConfig(TargetConfig):
    """What `regard train transcribe` takes."""

    task = "transcribe"

    front_end: FrontEndName = network("audio", "How raw items become vectors.")
    target_units: TargetName = network("characters", "What the target is made of; symbols stand between blanks.")
    label_smoothing: float = training(0.0, "Share of the loss that wants all symbols, at every vector.", ge=0, lt=1)
    select: Literal["accuracy", "exact"] = training("accuracy", "Metric that chooses the weights.")
