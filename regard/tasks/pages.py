"""The page of a model: what it read, what it answered, who attended to whom, and what weights do not tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.attention.grid.check import window_sides
from regard.data import Example, Source
from regard.errors import RegardError
from regard.nn import MultiHeadAttention
from regard.tasks import files
from regard.tasks.compared import as_read_by, beside
from regard.tasks.files import item_kind
from regard.tasks.model import Model
from regard.tasks.seen import DIGITS, Seen, labels_of, recorded, see, watched_of
from regard.viewer.aggregate import Aggregate, Attended
from regard.viewer.page.build import Page
from regard.viewer.recording import Recording
from regard.viewer.telltales import telltales

MOST_ANSWERS = 64  # of which telltales are told
MOST_EXAMPLES = 1000  # looked at together
TITLE = 400  # characters, which the page shortens as it has room


def page_of(
    model: Model, items: Any, *, other: Model | None = None, names: Sequence[str] | None = None, tales: bool = True
) -> Page:
    """The page of one example.

    Arguments:
        items: of the example, as ``predict`` takes them, or an :class:`Example`.
        other: a second model, which is shown beside the first and compared with it.
        names: of the models; None: "model", or "first" and "second".
        tales: whether telltales of the first are told, which take a pass back for each answer and one forward for each
            head.

    Raises:
        DataError: what the model does not take, is empty, or is too long for it.
        ConfigError: a second model that reads another kind of items.
        RegardError: its encoder does not attend.
    """
    if names is None:
        names = ("model",) if other is None else ("first", "second")
    example = _read(model, items)
    read = None if other is None else as_read_by(other, example, model, names)
    seen = see(model, example, 0)
    further = {"telltales": _tales(seen)} if tales else {}
    if other is None or read is None:
        return Page(_title(example), seen.axes, seen.stacks, answers=[seen.answer], models=names, further=further)
    second = see(other, read, 1)
    axes, stacks = beside(seen, second)
    answers = [seen.answer, second.answer]
    return Page(_title(example), axes, stacks, answers=answers, models=names, further=further)


def aggregate_page(model: Model, source: Source, *, most: int = MOST_EXAMPLES, **how: Any) -> Page:
    """The page of many examples: what each head does on average, and where it is most certain.

    Arguments:
        most: examples that are looked at, spread over all.
        how: options of reading, as in :func:`regard.tasks.files.read`.

    Raises:
        DataError: a record that cannot be read, or whose goal is wrong; one without a goal is given the predicted one.
        RegardError: there is no example, or the encoder does not attend.
    """
    examples = files.read_partly(model, source, **how)
    step = -(-len(examples) // most) or 1
    told: Aggregate | None = None
    predicted = 0  # examples whose labels are
    for number in range(0, len(examples), step):
        example = examples[number]
        if not len(example):
            continue
        recording, _ = recorded(model, example)
        layers = recording.within("encoder")
        told = Aggregate([layer.name for layer in layers]) if told is None else told
        told.add(_attended(model, example, number + 1, layers))
        predicted += _is_predicted(model, example)
    if told is None or not told.layers:
        raise RegardError("there is nothing to show: no example, or an encoder that does not attend")
    found = {
        "examples": told.examples,
        "of": len(examples),
        "labels": told.labels(),
        "title": "input to itself",
        "layers": [
            {
                "name": name,
                "title": f"layer {layer + 1}",
                "heads": told.heads(layer),
                "found": [told.head(layer, head) for head in range(told.heads(layer))],
            }
            for layer, name in enumerate(told.layers)
        ],
    }
    where = str(source) if isinstance(source, str | Path) else "examples"
    title = f"{where}: {told.examples:,} {'example' if told.examples == 1 else 'examples'}"
    if predicted:
        title += f", labels {'' if predicted == told.examples else f'of {predicted:,} '}predicted"
    return Page(title, {}, [], further={"aggregate": found})


def _read(model: Model, items: Any) -> Example:
    if isinstance(items, Example):
        return items
    return files.read(model, [items], labelled=False, items=item_kind(model.config))[0]


def _tales(seen: Seen) -> dict[str, Any]:
    """What weights do not tell, as the page shows it; or ``why`` it is not told."""
    watched = seen.watched
    if watched is None:
        return {"why": seen.why}
    chosen = list(range(0, len(watched.names), -(-len(watched.names) // MOST_ANSWERS)))
    run, places = watched.run, watched.places
    part = replace(
        watched,
        run=lambda: run()[chosen],
        names=[watched.names[number] for number in chosen],
        places=None if places is None else places[chosen],
    )
    found = telltales(part)
    layers = {layer.name: (stack.id, row) for stack in seen.stacks for row, layer in enumerate(stack.layers)}
    return {
        "why": "",
        "axis": "input",
        "query": "output" if "output" in seen.axes else None if part.places is None else "input",
        "places": None if part.places is None else part.places.tolist(),
        "names": part.names,
        "log_probs": _numbers(found.log_probs),
        "rollout": _numbers(found.rollout),
        "gradient": _numbers(found.gradient),
        "heads": [[*layers.get(name, (name, 0)), head] for name, head in found.heads],
        "drops": _numbers(found.drops),
    }


def _is_predicted(model: Model, example: Example) -> bool:
    """Whether the labels that are told are those that the model gives, as the example has none of its own."""
    return model.config.goal == "segments" or (model.config.goal in ("label", "labels") and example.goal is None)


def _attended(model: Model, example: Example, number: int, layers: Recording) -> Attended:
    """What is looked at of one of many examples."""
    front_end = model.network.front_end
    kind = item_kind(model.config)
    names = front_end.names(example.items) if kind in ("text", "words") else None
    weights = [layer.weights for layer in layers if layer.weights is not None]
    reach = [_reach(model, layer.name) for layer in layers if layer.weights is not None]
    whole = None
    if model.config.goal == "label":
        whole = model.answers([example])[0]["label"] if example.goal is None else example.goal
    if kind == "images":
        own = front_end.names(example.items)
        return Attended(
            number, weights, own, text=_title(example), whole=whole, grid=front_end.grid(example.items),
            before=front_end.before, reach=reach,
        )  # fmt: skip
    if model.config.goal == "label":
        return Attended(number, weights, names, whole=whole, reach=reach)
    found = (
        labels_of(model, example, watched_of(model, example)[0])
        if model.config.goal in ("labels", "segments")
        else None
    )
    if found is None:
        return Attended(number, weights, names, reach=reach)
    labels = found.get("gold", found["labels"])
    return Attended(number, weights, names, [label or None for label in labels], reach=reach)


def _reach(model: Model, name: str) -> Sequence[int | None]:
    """How far the attention of a name may look: before and after, or up, down, left and right; () where none tells."""
    part = model.network.get_submodule(name.partition("#")[0])
    if not isinstance(part, MultiHeadAttention):
        return ()
    return window_sides(part.window) if part.grid else part.sides


def _title(example: Example) -> str:
    items = example.items
    if isinstance(items, str | list):
        return (items if isinstance(items, str) else " ".join(map(str, items)))[:TITLE] or "attention"
    path, place = getattr(items, "path", None), example.place
    if path is not None:
        return Path(path).name
    if place.source is None:
        return "attention"
    where = "" if place.line is None else f", line {place.line}"
    return f"{Path(place.source).name}{where}"


def _numbers(tensor: torch.Tensor) -> Any:
    """Nested lists of numbers with as many digits as can be seen."""
    return np.round(tensor.double().nan_to_num(0.0, 0.0, -1e3).numpy(), DIGITS).tolist()
