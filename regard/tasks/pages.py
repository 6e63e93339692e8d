"""The page of a model: what it read, what it answered, who attended to whom, and what weights do not tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from regard.attention.grid.check import window_sides
from regard.data import Example, Source
from regard.errors import RegardError
from regard.nn import MultiHeadAttention
from regard.tasks import files
from regard.tasks.files import item_kind
from regard.tasks.fitting import device_of
from regard.tasks.model import Model
from regard.viewer.aggregate import Aggregate, Attended
from regard.viewer.page.axes import Axis, audio_axis, image_axis, text_axis, vectors_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.recording import Recording, record
from regard.viewer.telltales import Watched, telltales

MOST_ANSWERS, MOST_POSITIONS = 64, 4096  # of which telltales are told
MOST_EXAMPLES = 1000  # looked at together
TOP = 5
TITLE = 400  # characters, which the page shortens as it has room
DIGITS = 5  # of a number that is drawn


@dataclass(frozen=True, eq=False)
class Seen:
    """One example as a model sees it."""

    axes: dict[str, Axis]
    stacks: list[Stack]
    answer: dict[str, Any] | None
    watched: Watched | None  # None: it cannot be asked again, and ``why``
    why: str = ""


def page_of(
    model: Model, items: Any, *, other: Model | None = None, names: Sequence[str] = ("model",), tales: bool = True
) -> Page:
    """The page of one example.

    Arguments:
        items: of the example, as ``predict`` takes them, or an :class:`Example`.
        other: a second model, which is shown beside the first and compared with it.
        names: of the models.
        tales: whether telltales are told, which take a pass back for each answer and one forward for each head.

    Raises:
        DataError: what the model does not take, or is too long for it.
        RegardError: its encoder does not attend.
    """
    example = _read(model, items)
    seen = _seen(model, example, 0)
    axes, stacks = seen.axes, seen.stacks
    if other is not None:
        second = _seen(other, _read(other, items), 1)
        renamed = {name: name if _alike(axes.get(name), axis) else f"{name}-2" for name, axis in second.axes.items()}
        axes = {renamed[name]: axis for name, axis in second.axes.items()} | axes
        stacks = stacks + [
            replace(stack, id=f"{stack.id}-2", query=renamed[stack.query], key=renamed[stack.key])
            for stack in second.stacks
        ]
    further = {"telltales": _tales(seen)} if tales else {}
    return Page(_title(example), axes, stacks, answer=seen.answer, models=list(names), further=further)


def aggregate_page(model: Model, source: Source, *, most: int = MOST_EXAMPLES, **how: Any) -> Page:
    """The page of many examples: what each head does on average, and where it is most certain.

    Arguments:
        most: examples that are looked at, spread over all.
        how: options of reading, as in :func:`regard.tasks.files.read`.

    Raises:
        DataError: a record that cannot be read.
        RegardError: there is no example, or the encoder does not attend.
    """
    examples, labelled = _examples(model, source, how)
    step = -(-len(examples) // most) or 1
    told: Aggregate | None = None
    for number in range(0, len(examples), step):
        example = examples[number]
        if not len(example):
            continue
        recording, _ = _recorded(model, example)
        layers = recording.within("encoder")
        told = Aggregate([layer.name for layer in layers]) if told is None else told
        told.add(_attended(model, example, number + 1, layers, labelled=labelled))
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
    return Page(f"{where}: {told.examples:,} examples", {}, [], further={"aggregate": found})


def _read(model: Model, items: Any) -> Example:
    if isinstance(items, Example):
        return items
    return files.read(model, [items], labelled=False, items=item_kind(model.config))[0]


def _examples(model: Model, source: Source, how: dict[str, Any]) -> tuple[Sequence[Example], bool]:
    """All of them, and whether they have labels."""
    try:
        return files.read(model, source, **how), True
    except RegardError:  # which have none
        return files.read(model, source, labelled=False, **how), False


@torch.inference_mode()
def _recorded(model: Model, example: Example) -> tuple[Recording, Example]:
    """What attends, and the example with the target that was made of it, where one is."""
    network = model.network.eval()
    files.check_length(model.config, example, network.front_end.count(example.items), windowed=model.config.is_windowed)
    if hasattr(network, "decoder"):
        model_any: Any = model
        written = model_any.predict([example])[0] if example.goal is None else example.goal
        example = replace(example, goal=written)
        batch: Any = model.collate([example]).to(device_of(network))
        with record(network) as recording:
            network(batch.inputs, batch.tokens)
        return recording, example
    inputs = network.front_end.encode([example.items]).to(device_of(network))
    with record(network) as recording:
        hidden = network.encoder(network.front_end(inputs))
        if hasattr(network, "pool"):
            network.pool(hidden)
    return recording, example


def _seen(model: Model, example: Example, number: int) -> Seen:
    """The axes, stacks and answer of one model, which is the ``number``-th."""
    recording, example = _recorded(model, example)
    axes = {"input": _axis(model, example)}
    stacks = [Stack("encoder", "input to itself", "input", "input", recording.within("encoder"), number)]
    if pooling := recording.of_role("pooling"):
        axes["answer"] = text_axis(["answer"])
        stacks.append(Stack("pool", "answer to input", "answer", "input", pooling, number))
    decoder = recording.within("decoder")
    if decoder:
        tokens = model.network.target.names(example.goal)
        axes |= {"output": text_axis(tokens[1:]), "before": text_axis(tokens[:-1])}
        own, cross = decoder.of_role("attention"), decoder.of_role("cross_attention")
        stacks.append(Stack("cross", "output to input", "output", "input", cross, number))
        stacks.append(Stack("decoder", "output to what is written before", "output", "before", own, number))
    stacks = [stack for stack in stacks if len(stack.layers)]
    if not stacks:
        raise RegardError("this encoder does not attend, so there is nothing to show; see the option `encoder`")
    watched, why = _watched(model, example)
    if not decoder and (labels := _labels(model, example, watched)) is not None:
        axes["input"] = axes["input"].named(**labels)
    return Seen(axes, stacks, _answer(model, example), watched, why)


def _axis(model: Model, example: Example) -> Axis:
    """What stands at each position of the input."""
    front_end, items = model.network.front_end, cast(Any, example.items)
    kind, count = item_kind(model.config), front_end.count(items)
    if kind == "recordings":
        rate = front_end.settings.sample_rate
        samples = np.concatenate([np.zeros(0, np.float32), *items.blocks(rate)])
        start = items.first / items.rate
        return audio_axis(samples, rate, count=count, seconds=front_end.seconds, start=start)
    if kind == "images":
        picture, grid = front_end.pixels(items), front_end.grid(items)
        return image_axis(picture, grid=grid, stride=front_end.stride, before=front_end.before)
    return vectors_axis(np.asarray(items)) if kind == "vectors" else text_axis(front_end.names(items))


def _watched(model: Model, example: Example) -> tuple[Watched | None, str]:
    """What asks the network again; or why it cannot be asked."""
    count = model.network.front_end.count(example.items)
    if count > MOST_POSITIONS:
        return None, f"of at most {MOST_POSITIONS:,} positions, and this has {count:,}; show a part of it"
    try:
        watched = model.watched(example)
    except RegardError as error:
        return None, str(error)
    return (watched, "") if watched.names else (None, "the model gave no answer")


def _labels(model: Model, example: Example, watched: Watched | None) -> dict[str, Any] | None:
    """What was predicted at each position, and what is true, as an axis has it; None where it is not of positions."""
    count = model.network.front_end.count(example.items)
    if model.config.goal == "segments":
        by_frame: Any = model
        return {"labels": by_frame.answers([example], frames=True)[0]["labels"]}
    if watched is None or watched.places is None:
        return None
    with torch.no_grad():
        chances = watched.run().exp().tolist()
    labels, scores = [""] * count, [0.0] * count
    places = watched.places.tolist()
    for place, name, chance in zip(places, watched.names, chances, strict=True):
        labels[place], scores[place] = name, round(chance, DIGITS)
    told = {"labels": labels, "scores": scores}
    if model.config.goal == "labels" and example.goal is not None:
        gold = [""] * count
        for place, label in zip(places, example.goal, strict=True):
            gold[place] = label
        told["gold"] = gold
    return told


def _answer(model: Model, example: Example) -> dict[str, Any] | None:
    """That for the whole, as the page shows it; None where answers are of positions."""
    if model.config.goal == "label":
        found = model.answers([example], top=TOP)[0]
        candidates = [[one["label"], one["score"]] for one in found["candidates"]]
        gold = {} if example.goal is None else {"gold": example.goal}
        return {"kind": "label", "label": found["label"], "score": found["score"], "candidates": candidates} | gold
    if model.config.goal not in ("target", "nothing") or item_kind(model.config) == "vectors":
        return None
    found = model.answers([example])[0]
    return {"kind": "text", "text": found["target"], "score": found.get("score")}


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


def _attended(model: Model, example: Example, number: int, layers: Recording, *, labelled: bool) -> Attended:
    """What is looked at of one of many examples."""
    front_end = model.network.front_end
    kind = item_kind(model.config)
    names = front_end.names(example.items) if kind in ("text", "words") else None
    weights = [layer.weights for layer in layers if layer.weights is not None]
    reach = [_reach(model, layer.name) for layer in layers if layer.weights is not None]
    if kind == "images":
        whole = example.goal if labelled and model.config.goal == "label" else None
        own = front_end.names(example.items)
        return Attended(
            number, weights, own, text=_title(example), whole=whole, grid=front_end.grid(example.items),
            before=front_end.before, reach=reach,
        )  # fmt: skip
    if model.config.goal == "label":
        whole = example.goal if labelled else model.answers([example])[0]["label"]
        return Attended(number, weights, names, whole=whole, reach=reach)
    found = (
        _labels(model, example, _watched(model, example)[0]) if model.config.goal in ("labels", "segments") else None
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


def _alike(first: Axis | None, second: Axis) -> bool:
    """Whether two models read the same positions."""
    return first is not None and (first.kind, first.count, first.names) == (second.kind, second.count, second.names)


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
