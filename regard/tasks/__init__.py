"""Tasks: a network, and fit, evaluate, predict, save and load around it."""

from __future__ import annotations

from pathlib import Path

from regard.errors import ModelError
from regard.tasks import run_folder
from regard.tasks.labeler import Labeler

__all__ = ["Labeler", "load"]


def load(folder: str | Path) -> Labeler:
    """Opens a run folder, whichever task it was.

    Raises:
        ModelError: no such folder, or a file in it is missing, damaged, or from a newer version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such run folder; `regard train label --output {folder}` writes one")
    task = run_folder.read_json(folder / run_folder.MODEL).get("task")
    if task != "label":
        raise ModelError(f"{folder / run_folder.MODEL}: task is {task!r}, this version knows 'label'; update regard")
    return Labeler.from_folder(folder)
