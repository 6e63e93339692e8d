"""The options of `regard train label`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import Config, FrontEndName, data, network

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[("auto", *formats_for("labels"))]


class LabelConfig(Config):
    """What `regard train label` takes."""

    task = "label"
    goal = gives = "labels"

    format: FormatName = data("auto", "Format of the files; auto goes by name.")
    column: str = data("upos", "Which label to learn: upos, xpos, feats, ... or a column number.")
    unseen_labels: Literal["refuse", "count-wrong"] = data(
        "refuse", "Labels outside the training data when evaluating."
    )
    front_end: FrontEndName = network("words", "How raw items become vectors.")
