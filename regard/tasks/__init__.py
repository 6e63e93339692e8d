"""Tasks: a network, and fit, evaluate, predict, save and load around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.errors import ModelError
from regard.tasks import fitting, run_folder
from regard.tasks.classifier import Classifier
from regard.tasks.labeler import Labeler
from regard.tasks.masked import MaskedModel
from regard.tasks.seq2seq import Seq2Seq

__all__ = ["TASKS", "Classifier", "Labeler", "MaskedModel", "Seq2Seq", "load"]

TASKS: dict[str, type[Any]] = {"label": Labeler, "classify": Classifier, "transduce": Seq2Seq, "pretrain": MaskedModel}


def load(folder: str | Path) -> Any:
    """Opens a run folder, whichever task it was.

    Raises:
        ModelError: no such folder, or a file in it is missing, damaged, or from a newer version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such run folder; `regard train label --output {folder}` writes one")
    task = run_folder.read_json(folder / run_folder.MODEL).get("task")
    if task not in TASKS:
        known = ", ".join(f"'{name}'" for name in TASKS)
        raise ModelError(f"{folder / run_folder.MODEL}: task is {task!r}, this version knows {known}; update regard")
    return fitting.from_folder(TASKS[task](), folder)
