"""The scores in a run folder, read back: whatever stands there is refused, or can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from regard.errors import ModelError
from regard.files import read_json, unsealed

MOST = 1e15  # beyond which no score, time or speed is
M = TypeVar("M", bound=BaseModel)


def _small(number: float) -> float:
    if abs(number) > MOST:  # which NaN is not
        raise ValueError(f"input should be less than {MOST:g}")
    return number


def _with(name: str) -> AfterValidator:
    """Asks for a row of that name."""

    def rule(rows: dict[str, Any]) -> dict[str, Any]:
        if name not in rows:
            raise ValueError(f"without {name}")
        return rows

    return AfterValidator(rule)


Number = Annotated[float, AfterValidator(_small)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Rows = dict[str, dict[str, Number]]
Scored = Annotated[Rows, _with("regard")]


class Stored(BaseModel):
    model_config = ConfigDict(strict=True)


class Training(Stored):
    seconds: Number
    tokens_per_second: Number


class Part(Stored):
    sequences: Count
    items: Count


class OfLabel(Stored):
    precision: Number
    recall: Number
    f1: Number
    support: Count


class Fold(Stored):
    scores: Scored


class StoredScores(Stored):
    """What the model card and the command line tell of a run; what else stands there is left as it is."""

    measured_on: str
    scores: Scored
    spread: Rows | None = None
    by_label: dict[str, OfLabel] = {}
    training: Training | None = None  # a run of 0.1.0 does not know what follows
    data: Annotated[dict[str, Part], _with("train")] | None = None
    folds: list[Fold] = []
    bad_records: dict[str, Count] = {}


class StoredFolds(Stored):
    folds: list[Fold]


def read_scores(path: Path, *, sealed: bool) -> dict[str, Any]:
    """The scores of a run; ``sealed``: whether they must have a digest.

    Raises:
        ModelError: they were altered, or are not those of a run.
    """
    scores = unsealed(read_json(path), path, required=sealed)
    stored = checked(scores, StoredScores, path)
    if stored.spread is not None and stored.spread.keys() != stored.scores.keys():
        raise ModelError(f"{path}: spread: not of the models that scores has; copy it again, or delete it")
    return scores


def checked(value: dict[str, Any], kind: type[M], path: Path) -> M:
    """The value of a file as a kind of it.

    Raises:
        ModelError: it is none, with the first place that is not as it should be.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        why = first.get("ctx", {}).get("error", first["msg"].lower().partition(" or instance")[0])
        raise ModelError(f"{path}: {place}: {why}; copy it again, or delete it") from None
