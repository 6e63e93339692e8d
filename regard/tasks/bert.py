"""A BERT of Hugging Face as a module: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data.items import as_text
from regard.data.records import Place
from regard.errors import DataError
from regard.formats.huggingface.packaged import folder_of
from regard.formats.huggingface.sentences import read_pooling
from regard.front_ends import restore_front_end
from regard.nn import Pooling
from regard.ragged import Ragged
from regard.tasks.card import told_network
from regard.tasks.fitting import device_of, make_encoder
from regard.tasks.pretrain.options import PretrainConfig
from regard.tasks.vectors import pooled, windows_of
from regard.training.config import make_config
from regard.viewer.maps import Maps
from regard.viewer.recording import record

if TYPE_CHECKING:
    from regard.formats.huggingface.read import BertFolder


class Bert(nn.Module):
    """Texts → vectors that know of each other, one for each subword, ``[CLS]`` first and ``[SEP]`` last.

    Devlin et al. 2019, "BERT". Made by :func:`load_bert`. Its parts are ``front_end`` (a vector for each subword) and
    ``encoder``.

    Arguments:
        pooling: how :meth:`encode` makes one vector of many: "mean", "max" or "first".
        normalize: whether that vector is divided by its length.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(self, bert: BertFolder, *, pooling: str = "mean", normalize: bool = False) -> None:
        super().__init__()
        self.config = make_config(PretrainConfig, bert.options | {"dropout": 0.0})
        self.front_end = restore_front_end("subwords", {"tokenizer": bert.tokenizer}, self.config)
        self.encoder = make_encoder(self.config)
        self.pool, self.normalize = Pooling(pooling, dim=self.config.dim), normalize
        self.front_end.load_state_dict({"embedding.weight": bert.embedding})
        self.encoder.load_state_dict(bert.encoder)

    def __repr__(self) -> str:
        count, made = (
            sum(parameter.numel() for parameter in self.parameters()),
            ", normalized" if self.normalize else "",
        )
        return f"<Bert: {told_network(self.config)}, {count:,} parameters, {self.pool.kind} pooling{made}>"

    def forward(self, texts: Sequence[str]) -> Ragged:
        """``Ragged [T, E]``, the last hidden states of each text, of no more subwords than there are positions."""
        return self._hidden(self.front_end.encode(_checked(texts)).to(device_of(self)))

    def encode(self, texts: Sequence[str], *, normalize: bool | None = None) -> Tensor:
        """``[B, E]``, one vector for each text, on the CPU and without a gradient.

        A text of more subwords than there are positions is read in overlapping windows, whose vectors are averaged.

        Arguments:
            normalize: whether each is divided by its length, so that a product of two is their cosine; as the folder
                says if None.

        Raises:
            DataError: something that is no text, by its number.
        """
        windows = [windows_of(self.front_end, text, self.config.position_reach) for text in _checked(texts)]
        rows = pooled(self.front_end, lambda inputs, _: self.pool(self._hidden(inputs)), windows, self.config.dim)
        return F.normalize(rows, dim=1) if (self.normalize if normalize is None else normalize) else rows

    @torch.no_grad()
    def attention(self, text: str) -> Maps:
        """Who attends to whom in one text: a map ``[N, N]`` for every layer and head."""
        with record(self.encoder) as recording:
            self([text])
        return Maps(recording, self.front_end.names(text))

    def _hidden(self, inputs: Any) -> Ragged:
        hidden: Ragged = self.encoder(self.front_end(inputs))
        return hidden


def _checked(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise DataError("a list of texts", "a single one; put it into a list")
    return [as_text(text, Place(number=number)) for number, text in enumerate(texts, 1)]


def load_bert(folder: str | Path) -> Bert:
    """Opens a BERT that `transformers` or `sentence-transformers` saved, with the same numbers, ready to be used.

    Arguments:
        folder: with ``config.json``, ``model.safetensors``, and ``tokenizer.json`` or ``vocab.txt``; or "minilm", of
            which a package holds them. Where there is a ``modules.json`` of `sentence-transformers`, ``encode`` pools
            and normalizes as it says; else it gives means.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.
        UnsupportedError: `modules.json` asks for something else than pooling by mean, maximum or first vector.
    """
    from regard.formats.huggingface.read import read_bert

    found = folder_of(folder)
    pooling, normalize = read_pooling(found)
    return Bert(read_bert(found), pooling=pooling, normalize=normalize).eval()
