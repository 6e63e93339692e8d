"""The best answers and how likely each is: as Python has them, and ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regard.data import Example, Source
from regard.errors import ConfigError
from regard.tasks import files
from regard.tasks.model import Model

USUAL = 5  # candidates, where no number is given


def given(model: Model, source: Source, format: str, **reading: Any) -> Sequence[Example]:
    """Examples as they are, or those of whatever else ``predict`` takes."""
    if isinstance(source, Sequence) and not isinstance(source, str):
        examples = [one for one in source if isinstance(one, Example)]
        if source and len(examples) == len(source):
            return examples
    return files.read(model, source, labelled=False, format=format, **reading)


def check_top(top: int | None) -> None:
    """Refuses a number of candidates that is none.

    Raises:
        ConfigError: what it is.
    """
    if top is not None and top < 1:
        raise ConfigError(f"top: at least 1, got {top}")


def width_of(top: int | None, beam: int | None, usual: int) -> int:
    """Hypotheses of a search: as many as were asked for, else the usual number, or as many as are told.

    Raises:
        ConfigError: fewer than are told, or none.
    """
    width = max(top or 1, usual) if beam is None else beam
    if not 1 <= (1 if top is None else top) <= width:
        given = 1 if top is None else top
        raise ConfigError(f"top must be from 1 to beam, both at least 1; got top {given} and beam {width}")
    return width


def best_of(chances: Tensor, names: Sequence[Any], top: int, key: str = "label") -> list[list[dict[str, Any]]]:
    """For each row of probabilities ``[N, L]`` the ``top`` likeliest names, best first, ready for JSON.

    >>> import torch
    >>> best_of(torch.tensor([[0.25, 0.75]]), ["ham", "spam"], 5)
    [[{'label': 'spam', 'score': 0.75}, {'label': 'ham', 'score': 0.25}]]
    """
    best = chances.topk(min(top, chances.shape[1]), 1)
    return [
        [{key: names[place], "score": round(chance, 6)} for place, chance in zip(places, some, strict=True)]
        for places, some in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def as_pairs(found: Sequence[Mapping[str, Any]], key: str = "label") -> list[tuple[Any, float]]:
    """The same as Python has it.

    >>> as_pairs([{"label": "spam", "score": 0.75}])
    [('spam', 0.75)]
    """
    return [(one[key], one["score"]) for one in found]
