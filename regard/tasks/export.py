"""Models in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.errors import UnsupportedError
from regard.formats.huggingface.write import architecture_of, reasons_against_bert, write_bert
from regard.formats.huggingface.write_vit import reasons_against_vit, write_vit
from regard.front_ends import FRONT_ENDS
from regard.tasks import TASKS


def export_huggingface(model: Any, folder: str | Path) -> str:
    """Writes a model as a BERT, one of its kin or a ViT, and gives the class of `transformers` that opens it.

    Raises:
        RegardError: something is in the folder.
        UnsupportedError: the task or the network is none of theirs, with every reason.
    """
    return _vit(model, folder) if FRONT_ENDS[model.config.front_end].grid else _bert(model, folder)


def title_of(model: Any) -> str:
    """What a model is written as."""
    if FRONT_ENDS[model.config.front_end].grid:
        return "ViT"
    return architecture_of(model.config.model_dump()).title


def _bert(model: Any, folder: str | Path) -> str:
    task, options = model.config.task, model.config.model_dump()
    opened_by = TASKS[task].transformers
    if opened_by is None:
        known = ", ".join(name for name, row in TASKS.items() if row.transformers is not None)
        raise UnsupportedError(f"a {task} model cannot be written as a BERT; {known} can")
    if reasons := reasons_against_bert(task, options):
        title = architecture_of(options).title
        raise UnsupportedError(f"this network is none of {title}'s: {'; '.join(reasons)}; train one with its options")
    network = model.network
    head = network.masked_head if task == "pretrain" else network.head
    write_bert(
        folder,
        kind=task,
        options=options,
        **network.front_end.vocabulary(),
        embedding=network.front_end.embedding.weight,
        encoder=network.encoder.state_dict(),
        head=head.state_dict(),
        pooler=network.pool.state_dict() if task == "classify" else None,
        labels=getattr(model, "labels", ()),
    )
    return opened_by


def _vit(model: Any, folder: str | Path) -> str:
    task, options = model.config.task, model.config.model_dump()
    if task != "classify":
        raise UnsupportedError(f"a {task} model of images cannot be written as a ViT; classify can")
    if reasons := reasons_against_vit(task, options):
        raise UnsupportedError(f"this network is none of ViT's: {'; '.join(reasons)}; train one with ViT's options")
    network = model.network
    return write_vit(
        folder,
        options=options,
        vocabulary=network.front_end.vocabulary(),
        patches=network.front_end.state_dict(),
        encoder=network.encoder.state_dict(),
        head=network.head.state_dict(),
        labels=model.labels,
    )
