"""Tasks: a network, and fit, evaluate, predict, save and load around it. One row each in one table.

The table loads no network: a task's module is imported when its class is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.errors import ModelError
from regard.files import read_json
from regard.tasks.classify.options import ClassifyConfig
from regard.tasks.label.options import LabelConfig
from regard.tasks.pretrain.options import PretrainConfig
from regard.tasks.transcribe.options import TranscribeConfig
from regard.tasks.transduce.options import TransduceConfig
from regard.training.config import Config

if TYPE_CHECKING:
    from regard.tasks.classify.classifier import Classifier
    from regard.tasks.label.labeler import Labeler
    from regard.tasks.pretrain.masked import MaskedModel
    from regard.tasks.transcribe.transcriber import Transcriber
    from regard.tasks.transduce.seq2seq import Seq2Seq

__all__ = ["TASKS", "Classifier", "Labeler", "MaskedModel", "Seq2Seq", "Task", "Transcriber", "load"]


@dataclass(frozen=True, slots=True)
class Task:
    """A task in the table.

    Arguments:
        config: its options, which name it and its goal.
        model: ``module:class`` of its face in Python.
        title: what it learns, for a model card.
        help: the same as a command says it.
        transformers: the class of `transformers` that opens it as a BERT; None where none does.
    """

    config: type[Config]
    model: str
    title: str
    help: str
    transformers: str | None = None

    @property
    def name(self) -> str:
        return self.config.task

    def new(self) -> Any:
        """A model of the task, without a network yet."""
        module, name = self.model.split(":")
        return getattr(import_module(module), name)()


TASKS = {
    row.name: row
    for row in (
        Task(
            LabelConfig,
            "regard.tasks.label.labeler:Labeler",
            "one label per item",
            "Learn one label for every word, vector, moment of a recording or pixel of an image.",
            "AutoModelForTokenClassification",
        ),
        Task(
            ClassifyConfig,
            "regard.tasks.classify.classifier:Classifier",
            "one label per sequence",
            "Learn one label for a whole text, array, recording or image.",
            "AutoModelForSequenceClassification",
        ),
        Task(
            TransduceConfig,
            "regard.tasks.transduce.seq2seq:Seq2Seq",
            "a new sequence",
            "Learn to make a new sequence of a text, array, recording or image: a translation, a pronunciation.",
        ),
        Task(
            TranscribeConfig,
            "regard.tasks.transcribe.transcriber:Transcriber",
            "what is said, and when",
            "Learn to write down what is said in a recording (or stands in another sequence), in its order.",
        ),
        Task(
            PretrainConfig,
            "regard.tasks.pretrain.masked:MaskedModel",
            "hidden parts guessed",
            "Learn from raw text, arrays or recordings by guessing what is hidden; others start from it with --from.",
            "AutoModelForMaskedLM",
        ),
    )
}
MODEL = "model.json"  # of a run folder: which task it is, and the vocabularies


def load(folder: str | Path) -> Any:
    """Opens a run folder, whichever task it was.

    Raises:
        ModelError: no such folder, or a file in it is missing, damaged, or from a newer version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        if folder.is_file():
            raise ModelError(f"{folder}: a file, not a run folder; name the folder that `regard train` wrote")
        raise ModelError(f"{folder}: no such run folder; `regard train TASK --train FILE --output {folder}` writes one")
    from regard.tasks.run_folder import how_to_resume, is_on_the_way, open_run

    if not (folder / MODEL).is_file() and is_on_the_way(folder):
        raise ModelError(f"{folder}: its training has no weights yet; go on with it: {how_to_resume(folder)}")
    return open_run(TASKS[task_of(folder)].new(), folder)


def task_of(folder: Path) -> str:
    """The task of a run folder.

    Raises:
        ModelError: it says none, or one that this version does not know.
    """
    task = read_json(folder / MODEL).get("task")
    if not isinstance(task, str) or task not in TASKS:
        known = ", ".join(f"'{name}'" for name in TASKS)
        raise ModelError(f"{folder / MODEL}: task is {task!r}, this version knows {known}; update regard")
    return str(task)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        for row in TASKS.values():
            module, known = row.model.split(":")
            if name == known:
                return getattr(import_module(module), name)
        raise AttributeError(f"module 'regard.tasks' has no attribute '{name}'")
