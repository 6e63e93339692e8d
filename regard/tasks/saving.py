"""A model that was trained, written into a folder of its own."""

from __future__ import annotations

from pathlib import Path

from regard.files import atomic_folder, explain_failures
from regard.tasks.card import write_scores
from regard.tasks.model import Model
from regard.tasks.run_folder import save_run


def save_model(model: Model, folder: str | Path) -> Path:
    """A run folder, new or empty, that :func:`regard.load` opens; it takes its place when it is complete.

    Raises:
        RegardError: the model has no network yet, something is in the folder, or it cannot be written.
    """
    network, run = model.network, Path(folder)
    model.config = model.config.model_copy(update={"output": str(folder)})
    with explain_failures(run):
        run.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(run) as part:
        save_run(model, network, part)
        if model.scores:
            write_scores(model, part, run)
    return run
