"""Views of a page as files: pictures for papers, and the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regard.errors import ConfigError
from regard.files import atomic_write
from regard.ragged import counted
from regard.viewer.chosen import Chosen, choose
from regard.viewer.drawings import answer_at, draw_examples, draw_heads, draw_input, draw_lines, draw_telltales
from regard.viewer.pictures import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from regard.viewer.page.build import Page, Stack

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
    part: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    at: int | None = None,
) -> Path:
    """Writes a view as .svg, .png or .pdf, or its numbers as .csv.

    Arguments:
        show: its name; None: all heads that are chosen, or of many examples what there is.
        part: the stack, by its id or title; None: of a picture that of an output to what was read, or the first; of a
            table all.
        layer, head, at: which of them, and which position, from 1; None: all, or the first.

    Raises:
        ConfigError: there is no such view of this page, part, layer, head or position.
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
    fills = path.suffix.lower() == ".csv"
    if many:
        chosen = _chosen_of_many(page, part, layer, head, at)
    else:
        chosen = choose(page, part, layer, head, at, tells=name == "telltale", fills=fills)
    if not fills:
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


def _chosen_of_many(page: Page, part: str | None, layer: int | None, head: int | None, at: int | None) -> Chosen:
    if part is not None or at is not None:
        raise ConfigError(f"{'at' if part is None else 'part'}: of one example, and this page is of many; leave it out")
    counts = [one["heads"] for one in page.meta["aggregate"]["layers"]]
    if (layer or 1) > len(counts) or (head or 1) > (max(counts) if layer is None else counts[layer - 1]):
        told = f"{counted(len(counts), 'layer')} of {' and '.join(map(str, sorted(set(counts))))} heads"
        raise ConfigError(f"layer, head: {page.title!r} has {told}, got {layer or 'all'} and {head or 'all'}")
    return Chosen((), 0, None if layer is None else layer - 1, None if head is None else head - 1)


def _model(page: Page, stack: Stack | None = None) -> tuple[str, ...]:
    """The column that tells two models apart, or its title."""
    return () if len(page.models) < 2 else ("model" if stack is None else page.models[stack.model],)


def _digits(weight: Any) -> str:
    """All digits of a float32, and no more."""
    return str(np.float32(weight))


def _name(page: Page, axis: str, place: int) -> str:
    names = page.axes[axis].names
    return "" if names is None else names[place]


def _weights(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """Every weight that is not 0."""
    yield *_model(page), "stack", "layer", "head", "query", "query_name", "key", "key_name", "weight"
    for stack in chosen.stacks:
        for number, head, values in chosen.heads(stack):
            first = stack.layers[number].weights.first.tolist()  # type: ignore[union-attr]
            queries = range(len(values)) if chosen.at is None else [chosen.at]
            for query in queries:
                row = values[query]
                for column in row.nonzero().flatten().tolist():
                    key = first[query] + column
                    own = query + 1, _name(page, stack.query, query), key + 1, _name(page, stack.key, key)
                    yield *_model(page, stack), stack.id, number + 1, head + 1, *own, _digits(row[column])


def _measures(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """What is told of each head in one number."""
    names = ("entropy", "distance", "self", "neighbours", "first", "punctuation")
    if chosen.at is not None:
        raise ConfigError("at: the numbers of the overview are of all positions; leave it out, or add --show map")
    yield *_model(page), "stack", "layer", "head", *names
    told = {stack["id"]: stack["layers"] for stack in page.meta["stacks"]}
    for stack in chosen.stacks:
        for number, head, _ in chosen.heads(stack):
            found = (told[stack.id][number]["measures"].get(name) for name in names)
            numbers = ("" if one is None else one[head] for one in found)
            yield *_model(page, stack), stack.id, number + 1, head + 1, *numbers


def _row(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """What one position gives to each; in the other model too."""
    yield *_model(page), "stack", "layer", "head", "key", "key_name", "weight"
    for stack in chosen.stacks:
        if stack.title == chosen.stack.title:
            layer, head = chosen.one(stack)
            for key, weight in enumerate(chosen.row(stack)):
                own = stack.id, layer + 1, head + 1, key + 1, _name(page, stack.key, key)
                yield *_model(page, stack), *own, _digits(weight)


def _tales(page: Page, chosen: Chosen) -> Iterator[tuple[Any, ...]]:
    """Of the first model."""
    tales = page.meta["telltales"]
    answer, chosen = answer_at(tales, chosen)
    said = tales["names"][answer]
    yield "answer", "what", "where", "name", "number"
    if chosen.stack.key == tales["axis"]:
        layer, head = chosen.one()
        for place, weight in enumerate(chosen.row()):
            name = _name(page, tales["axis"], place)
            yield said, f"weight in {chosen.stack.id} {layer + 1} {head + 1}", place + 1, name, _digits(weight)
    for what in ("rollout", "gradient"):
        for place, number in enumerate(tales[what][answer]):
            yield said, what, place + 1, _name(page, tales["axis"], place), number
    for (stack, layer, head), drop in zip(tales["heads"], tales["drops"][answer], strict=True):
        yield said, "without a head", f"{stack} {layer + 1} {head + 1}", "", drop


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
