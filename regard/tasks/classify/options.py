"""The options of `regard train classify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import Config, data, network, reading, training

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[("auto", *formats_for("label"))]


class ClassifyConfig(Config):
    """What `regard train classify` takes."""

    task = "classify"
    learns = "label"

    format: FormatName = reading("auto", "Format of the files; auto goes by name.")
    column: str = reading("label", "Column or key of the label.")
    text_column: str = reading("text", "Column or key of the text.")
    unseen_labels: Literal["refuse", "count-wrong"] = data(
        "refuse", "Labels outside the training data when evaluating."
    )
    pooling: Literal["mean", "max", "query", "first", "bert", "distilbert", "electra"] = network(
        "query",
        "How a sequence becomes one vector; query is a learned one that attends to it, bert a layer on first, "
        "distilbert and electra such with their activations.",
    )
    mixup: float = training(
        0.0, "Share of the batches in which each image is mixed with another, and so are their labels.", ge=0, le=1
    )
    cutmix: float = training(
        0.0, "Share of the batches in which a part of each image is one of another, and so are labels.", ge=0, le=1
    )
    class_weights: Literal["none", "balanced"] = training(
        "none", "balanced: rare classes count as much as frequent ones."
    )
