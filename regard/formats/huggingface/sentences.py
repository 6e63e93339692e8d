"""How `sentence-transformers` makes one vector of a text: what stands beside a model in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regard.errors import ModelError, UnsupportedError

MODULES, TRANSFORMER = "modules.json", "sentence_bert_config.json"
POOLINGS = {"mean": "mean", "mean_tokens": "mean", "cls": "first", "cls_token": "first"}
POOLINGS |= {"max": "max", "max_tokens": "max"}  # theirs → of regard.nn.Pooling


def read_pooling(folder: Path) -> tuple[str, bool]:
    """Which :class:`regard.nn.Pooling` the folder asks for, and whether vectors are divided by their length.

    The mean, as it is, where there is no ``modules.json``.

    Raises:
        ModelError: a file is missing or damaged.
        UnsupportedError: it asks for something else.
    """
    path = folder / MODULES
    if not path.is_file():
        return "mean", False
    try:
        folders = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in _read(path)}
    except (TypeError, KeyError):
        raise ModelError(f"{path}: not a list of modules, each with its type and path; copy it again") from None
    if others := sorted(folders.keys() - {"Transformer", "Pooling", "Normalize"}):
        raise UnsupportedError(f"{path}: {', '.join(others)} is not known here, only Pooling and Normalize are")
    if (folder / TRANSFORMER).is_file() and _object(folder / TRANSFORMER).get("do_lower_case"):
        raise UnsupportedError(f"{folder / TRANSFORMER}: do_lower_case is not known here, but of the tokenizer")
    pooling = _pooling(folder / folders["Pooling"] / "config.json") if "Pooling" in folders else "mean"
    return pooling, "Normalize" in folders


def _pooling(path: Path) -> str:
    given = _object(path)
    named = given.get("pooling_mode")  # in newer folders; the older ones have a flag for each
    flags = [key.removeprefix("pooling_mode_") for key, on in given.items() if key.startswith("pooling_mode_") and on]
    found = flags if named is None else [str(named)]
    if len(found) != 1 or found[0] not in POOLINGS:
        raise UnsupportedError(
            f"{path}: one pooling of mean, cls and max is known here, got {' and '.join(found) or 'none'}"
        )
    return POOLINGS[found[0]]


def _object(path: Path) -> dict[str, Any]:
    given = _read(path)
    if not isinstance(given, dict):
        raise ModelError(f"{path}: not an object of JSON; copy it again")
    return given


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}); copy it again") from None
