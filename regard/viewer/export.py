"""Views of a page as files: pictures for papers, and the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.errors import ConfigError
from regard.files import atomic_write
from regard.viewer.drawings import (
    Chosen,
    answer_at,
    draw_examples,
    draw_heads,
    draw_input,
    draw_lines,
    draw_telltales,
    row_of,
)
from regard.viewer.pictures import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from regard.attention import AttentionWeights
    from regard.viewer.page.build import Page

Rows = Iterable[tuple[Any, ...]]


@dataclass(frozen=True)
class View:
    """How a view is written.

    Arguments:
        draw: its picture.
        numbers: its table, the titles first.
        many: whether it is of many examples.
    """

    draw: Callable[[Page, Chosen], Figure]
    numbers: Callable[[Page, Chosen], Rows]
    many: bool = False


def save_view(
    page: Page,
    path: str | Path,
    *,
    show: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    at: int | None = None,
) -> Path:
    """Writes a view as .svg, .png or .pdf, or its numbers as .csv.

    Arguments:
        show: its name; None: all heads that are chosen, or of many examples what there is.
        layer, head, at: which of them, and which position, from 1; None: all, or the first.

    Raises:
        ConfigError: there is no such view of this page, layer, head or position.
        RegardError: a sequence that is too long for a picture.
    """
    path = Path(path)
    many = page.meta["aggregate"] is not None
    name = show if show is not None else "examples" if many else "map"
    view = VIEWS.get(name)
    there = [other for other, one in VIEWS.items() if one.many == many and not _untold(page, other)]
    if view is None or name not in there:
        why = _untold(page, name) if view is not None and view.many == many else ""
        raise ConfigError(f"show: of this page {', '.join(there)} can be written, got '{name}'{why and f': {why}'}")
    chosen = _chosen(page, layer, head, at)
    if path.suffix.lower() != ".csv":
        content = drawn(view.draw(page, chosen), path.suffix.lower()[1:])
        with atomic_write(path, binary=True) as file:
            file.write(content)
        return path
    with atomic_write(path, binary=True) as file:
        for line in view.numbers(page, chosen):
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="\n").writerow(line)
            file.write(buffer.getvalue().encode())
    return path


def _untold(page: Page, name: str) -> str:
    """Why a view shows nothing of a page, if it does not."""
    if name != "telltale":
        return ""
    tales = page.meta["telltales"]
    return "nothing is told" if tales is None else str(tales["why"])


def _chosen(page: Page, layer: int | None, head: int | None, at: int | None) -> Chosen:
    if page.stacks:
        counts = [_heads(one) for one in page.stacks[0].layers]
        positions = page.axes[page.stacks[0].query].count
    else:
        counts, positions = [one["heads"] for one in page.meta["aggregate"]["layers"]], 1
    if (layer or 1) > len(counts) or (head or 1) > max(counts):
        told = f"{len(counts)} layers of {max(counts)} heads"
        raise ConfigError(f"layer, head: {page.title!r} has {told}, got {layer or 'all'} and {head or 'all'}")
    if (at or 1) > positions:
        raise ConfigError(f"at: {page.title!r} has {positions:,} positions, got {at}")
    return Chosen(None if layer is None else layer - 1, None if head is None else head - 1, (at or 1) - 1)


def _heads(layer: Any) -> int:
    return 0 if layer.weights is None else len(_by_head(layer.weights))


def _by_head(weights: AttentionWeights) -> Any:
    """``[H, Q, W]``."""
    return weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)


def _name(page: Page, axis: str, place: int) -> str:
    names = page.axes[axis].names
    return "" if names is None else names[place]


def _weights(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """Every weight that is not 0."""
    stack = page.stacks[0]
    yield "stack", "layer", "head", "query", "query_name", "key", "key_name", "weight"
    for number, layer in enumerate(stack.layers):
        if layer.weights is None or chosen.layer not in (None, number):
            continue
        for head, values in enumerate(_by_head(layer.weights)):
            if chosen.head not in (None, head):
                continue
            for query, column in values.nonzero().tolist():
                key = int(layer.weights.first[query]) + column
                own = query + 1, _name(page, stack.query, query), key + 1, _name(page, stack.key, key)
                yield stack.id, number + 1, head + 1, *own, f"{float(values[query, column]):.6g}"


def _measures(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """What is told of each head in one number."""
    names = ("entropy", "distance", "self", "neighbours", "first", "punctuation")
    yield "stack", "layer", "head", *names
    for stack in page.meta["stacks"]:
        for number, layer in enumerate(stack["layers"], 1):
            for head in range(layer["heads"]):
                found = (layer["measures"].get(name) for name in names)
                yield stack["id"], number, head + 1, *("" if one is None else one[head] for one in found)


def _row(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """What one position gives to each."""
    stack = page.stacks[0]
    yield "key", "key_name", "weight"
    for key, weight in enumerate(row_of(stack, chosen).tolist()):
        yield key + 1, _name(page, stack.key, key), f"{weight:.6g}"


def _tales(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    tales = page.meta["telltales"]
    answer = answer_at(tales, chosen.at)
    yield "answer", "what", "where", "name", "number"
    for what in ("rollout", "gradient"):
        for place, number in enumerate(tales[what][answer]):
            yield tales["names"][answer], what, place + 1, _name(page, tales["axis"], place), number
    for (stack, layer, head), drop in zip(tales["heads"], tales["drops"][answer], strict=True):
        yield tales["names"][answer], "without a head", f"{stack} {layer + 1} {head + 1}", "", drop


def _many(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    told = page.meta["aggregate"]
    yield "layer", "head", "what", "from", "to", "number"
    for layer, one in enumerate(told["layers"]):
        for head, found in enumerate(one["found"]):
            if chosen.layer not in (None, layer) or chosen.head not in (None, head):
                continue
            place, reach = (layer + 1, head + 1), len(found["relative"]) // 2
            for row, mean in enumerate(found["relative"]):
                if isinstance(mean, list):
                    for column, number in enumerate(mean):
                        if number is not None:
                            yield *place, "rows, columns away", row - reach, column - len(mean) // 2, number
                elif mean is not None:
                    yield *place, "relative position", 0, row - reach, mean
            for row, shares in enumerate(found["labels"]):
                for column, share in enumerate(shares):
                    yield *place, "label", told["labels"][row], told["labels"][column], share


VIEWS = {
    "overview": View(draw_heads, _measures),
    "map": View(draw_heads, _weights),
    "lines": View(draw_lines, _weights),
    "input": View(draw_input, _row),
    "telltale": View(draw_telltales, _tales),
    "examples": View(draw_examples, _many, many=True),
}
