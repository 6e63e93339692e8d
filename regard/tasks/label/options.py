"""The options of `regard train label`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regard.data.formats import formats_for
from regard.training.config import LONGEST, Config, FrontEndName, data, network, reading, training

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[
        ("auto", *dict.fromkeys(name for goal in ("labels", "segments", "mask") for name in formats_for(goal)))
    ]


LONGEST_SMOOTHING = 3600.0  # seconds


class LabelConfig(Config):
    """What `regard train label` takes."""

    task = "label"
    learns = "labels"

    format: FormatName = reading("auto", "Format of the files; auto goes by name.")
    column: str = reading("upos", "Which label to learn: upos, xpos, feats, ... or a column number.")
    text_column: str = reading("words", "Column or key of the words, or the text.")
    unseen_labels: Literal["refuse", "count-wrong"] = data(
        "refuse", "Labels outside the training data when evaluating."
    )
    mask_names: str | None = data(
        None,
        "File with what the numbers of masks are called, from 0, one a line; classes.txt in the training folder if "
        "unset.",
    )
    smooth: float = data(
        0.0,
        "Seconds of a recording over which the most frequent label is taken for the one in the middle.",
        ge=0,
        le=LONGEST_SMOOTHING,
    )
    shortest: float = data(
        0.0,
        "Seconds below which a segment, or a pause, of a recording is given to its neighbours.",
        ge=0,
        le=LONGEST_SMOOTHING,
    )
    front_end: FrontEndName = network("words", "How raw items become vectors.")
    piece: float = training(
        20.0,
        "Training recordings are cut into equal parts of at most so many seconds, at least 0.1; 0 leaves them whole.",
        ge=0,
        le=LONGEST,
    )
