"""A BERT of Hugging Face as a module: texts in, vectors out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ModelError, UnsupportedError
from regard.formats.huggingface.read import BertFolder, read_bert
from regard.front_ends import restore_front_end
from regard.nn import Pooling
from regard.ragged import Ragged
from regard.tasks.embedding import pooled, windows_of
from regard.tasks.fitting import device_of, make_encoder
from regard.tasks.pretrain.options import PretrainConfig
from regard.training.config import make_config
from regard.viewer.maps import Maps
from regard.viewer.recording import record

MODULES = "modules.json"  # of sentence-transformers, which tells what becomes of the vectors
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first", "pooling_mode_max_tokens": "max"}


class Bert(nn.Module):
    """Texts → vectors that know of each other, one for each subword, ``[CLS]`` first and ``[SEP]`` last.

    Devlin et al. 2019, "BERT". Made by :func:`load_bert`. Its parts are ``front_end`` (a vector for each subword) and
    ``encoder``.

    Arguments:
        pooling: how :meth:`embed` makes one vector of many: "mean", "max" or "first".
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

    def forward(self, texts: Sequence[str]) -> Ragged:
        """``Ragged [T, E]``, the last hidden states of each text, which has as many subwords as there are positions."""
        return self._encoded(self.front_end.encode(list(texts)).to(device_of(self)))

    def embed(self, texts: Sequence[str], *, normalize: bool | None = None) -> Tensor:
        """``[B, E]``, one vector for each text, on the CPU: two texts of one meaning point in about one direction.

        A text of more subwords than there are positions is read in overlapping windows, whose vectors are averaged.

        Arguments:
            normalize: whether each is divided by its length, so that a product of two is their cosine; as the folder
                says if None.
        """
        windows = [windows_of(self.front_end, text, self.config.position_reach) for text in texts]
        rows = pooled(self.front_end, lambda inputs: self.pool(self._encoded(inputs)), windows, self.config.dim)
        return F.normalize(rows, dim=1) if (self.normalize if normalize is None else normalize) else rows

    @torch.no_grad()
    def attention(self, text: str) -> Maps:
        """Who attends to whom in one text: a map ``[N, N]`` for every layer and head."""
        with record(self.encoder) as layers:
            self([text])
        return Maps([layer.weights.dense()[0] for layer in layers], self.front_end.names(text))

    def _encoded(self, inputs: Any) -> Ragged:
        hidden: Ragged = self.encoder(self.front_end(inputs))
        return hidden


def load_bert(folder: str | Path) -> Bert:
    """Opens a BERT that `transformers` or `sentence-transformers` saved, with the same numbers, ready to be used.

    Arguments:
        folder: with ``config.json``, ``model.safetensors``, and ``tokenizer.json`` or ``vocab.txt``. Where there is a
            ``modules.json`` of `sentence-transformers`, ``embed`` pools and normalizes as it says; else it gives means.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.
        UnsupportedError: `modules.json` asks for something else than pooling by mean, maximum or first vector.
    """
    folder = Path(folder)
    pooling, normalize = _sentence_options(folder) if (folder / MODULES).is_file() else ("mean", False)
    return Bert(read_bert(folder), pooling=pooling, normalize=normalize).eval()


def _sentence_options(folder: Path) -> tuple[str, bool]:
    """The pooling that `sentence-transformers` asks for, and whether vectors are normalized."""
    modules = _read(folder / MODULES)
    kinds = {str(module["type"]).rpartition(".")[2]: str(module.get("path", "")) for module in modules}
    if others := sorted(kinds.keys() - {"Transformer", "Pooling", "Normalize"}):
        raise UnsupportedError(f"{folder / MODULES}: {', '.join(others)} is not known here, only Pooling and Normalize")
    given = _read(folder / kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    wanted = [name for name, value in given.items() if name.startswith("pooling_mode") and value is True]
    if not wanted:
        return "mean", "Normalize" in kinds
    if len(wanted) > 1 or wanted[0] not in POOLINGS:
        raise UnsupportedError(
            f"{folder}: pooling by {', '.join(wanted)} is not known here; one of {', '.join(POOLINGS)}"
        )
    return POOLINGS[wanted[0]], "Normalize" in kinds


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}); copy it again") from None
