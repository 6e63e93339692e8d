"""Models in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.errors import UnsupportedError
from regard.tasks.bert_write import reasons_against_bert, write_bert
from regard.tasks.fitting import network_of

OPENED_BY = {
    "label": "AutoModelForTokenClassification",
    "classify": "AutoModelForSequenceClassification",
    "pretrain": "AutoModelForMaskedLM",
}


def export_huggingface(model: Any, folder: str | Path) -> str:
    """Writes a model as a BERT that `transformers` opens, and gives the name of the class that opens it.

    Raises:
        UnsupportedError: the task or the network is none of BERT's, with every reason.
    """
    task, options = model.config.task, model.config.model_dump()
    if task not in OPENED_BY:
        raise UnsupportedError(f"a {task} model cannot be written as a BERT; {', '.join(OPENED_BY)} can")
    if reasons := reasons_against_bert(task, options):
        raise UnsupportedError(f"this network is none of BERT's: {'; '.join(reasons)}; train one with BERT's options")
    network = network_of(model)
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
    return OPENED_BY[task]
