"""Heads of a page as files: a picture of their weights, or the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from regard.errors import ConfigError
from regard.files import atomic_write
from regard.viewer.maps import Maps
from regard.viewer.recording import Recorded, Recording

if TYPE_CHECKING:
    from regard.attention import AttentionWeights
    from regard.viewer.page.build import Page, Stack

COLUMNS = ("stack", "layer", "head", "query", "query_name", "key", "key_name", "weight")


def save_heads(page: Page, path: str | Path, *, layer: int | None = None, head: int | None = None) -> Path:
    """Writes the first stack of a page as .svg, .png or .pdf, or all numbers of it as .csv.

    Arguments:
        layer, head: one of them alone, from 1.

    Raises:
        ConfigError: there is none of that number.
        RegardError: a sequence that is too long for a picture.
    """
    path = Path(path)
    stack = page.stacks[0]
    chosen = list(enumerate(stack.layers))
    if layer is not None:
        chosen = chosen[layer - 1 : layer]
    chosen = [(number, _with_head(one, head)) for number, one in chosen]
    if not chosen or any(one is None for _, one in chosen):
        told = f"{len(stack.layers)} layers of {_heads(stack.layers[0])} heads"
        raise ConfigError(f"layer, head: {page.title!r} has {told}, got {layer or 'all'} and {head or 'all'}")
    layers = [(number, one) for number, one in chosen if one is not None]
    if path.suffix.lower() == ".csv":
        with atomic_write(path, binary=True) as file:
            for rows in _rows(page, stack, layers, head):
                file.write(rows)
        return path
    names = page.axes[stack.query].names, page.axes[stack.key].names
    own, seen = (None if found is None else list(found) for found in names)
    return Maps(Recording(cast("list[Recorded]", [one for _, one in layers])), own, seen).save(path)


def _heads(layer: Recorded | Any) -> int:
    return 0 if layer.weights is None else len(_by_head(layer.weights))


def _by_head(weights: AttentionWeights) -> Any:
    """``[H, Q, W]``."""
    return weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)


def _with_head(layer: Any, head: int | None) -> Any:
    """The layer with one head alone; None where it has none of that number."""
    if layer.weights is None or (head is not None and head > _heads(layer)):
        return None
    if head is None:
        return layer
    weights, place = layer.weights, slice(head - 1, head)
    values = weights.values[:, place]
    return replace(layer, weights=replace(weights, values=values))


def _rows(page: Page, stack: Stack, layers: Sequence[tuple[int, Any]], head: int | None) -> Iterator[bytes]:
    """The lines of a table, with every weight that is not 0."""
    names = [page.axes[axis].names for axis in (stack.query, stack.key)]

    def name(side: int, place: int) -> str:
        own = names[side]
        return "" if own is None else own[place]

    yield (",".join(COLUMNS) + "\n").encode()
    for number, layer in layers:
        weights = layer.weights
        for row, values in enumerate(_by_head(weights).tolist()):
            buffer = io.StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            for query, (first, line) in enumerate(zip(weights.first.tolist(), values, strict=True)):
                for column, weight in enumerate(line):
                    if weight:
                        key, told = first + column, row + 1 if head is None else head
                        place = (stack.id, number + 1, told, query + 1, name(0, query), key + 1, name(1, key))
                        writer.writerow((*place, f"{weight:.6g}"))
            yield buffer.getvalue().encode()
