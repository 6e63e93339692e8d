"""Heads of a page as files: a picture of their weights, or the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
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
    path, stack = Path(path), page.stacks[0]
    heads = max(_heads(one) for one in stack.layers)
    if (layer or 1) > len(stack.layers) or (head or 1) > heads:
        told = f"{len(stack.layers)} layers of {heads} heads"
        raise ConfigError(f"layer, head: {page.title!r} has {told}, got {layer or 'all'} and {head or 'all'}")
    if path.suffix.lower() == ".csv":
        with atomic_write(path, binary=True) as file:
            for rows in _rows(page, stack, layer, head):
                file.write(rows)
        return path
    names = page.axes[stack.query].names, page.axes[stack.key].names
    own, seen = (None if found is None else list(found) for found in names)
    place = {"layer": None if layer is None else layer - 1, "head": None if head is None else head - 1}
    return Maps(Recording(cast("list[Recorded]", stack.layers)), own, seen).save(path, **place)


def _heads(layer: Recorded | Any) -> int:
    return 0 if layer.weights is None else len(_by_head(layer.weights))


def _by_head(weights: AttentionWeights) -> Any:
    """``[H, Q, W]``."""
    return weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)


def _rows(page: Page, stack: Stack, layer: int | None, head: int | None) -> Iterator[bytes]:
    """The lines of a table, with every weight that is not 0; those of a head at once."""
    queries, keys = (page.axes[axis].names for axis in (stack.query, stack.key))
    yield (",".join(COLUMNS) + "\n").encode()
    for number, one in enumerate(stack.layers, 1):
        if one.weights is None or layer not in (None, number):
            continue
        first = one.weights.first
        for told, values in enumerate(_by_head(one.weights), 1):
            if head not in (None, told):
                continue
            buffer = io.StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            for query, column in values.nonzero().tolist():
                key = int(first[query]) + column
                own = "" if queries is None else queries[query], "" if keys is None else keys[key]
                place = (stack.id, number, told, query + 1, own[0], key + 1, own[1])
                writer.writerow((*place, f"{float(values[query, column]):.6g}"))
            yield buffer.getvalue().encode()
