"""One example as a model sees it: what stands at its positions, what attended to what, what was answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from regard.data import Example
from regard.errors import RegardError
from regard.tasks import files
from regard.tasks.files import item_kind
from regard.tasks.fitting import device_of
from regard.tasks.model import Model
from regard.viewer.page.axes import Axis, audio_axis, image_axis, text_axis, vectors_axis
from regard.viewer.page.build import Stack
from regard.viewer.recording import Recording, record
from regard.viewer.telltales import Watched

MOST_POSITIONS = 4096  # of which telltales are told
TOP = 5
DIGITS = 5  # of a number that is drawn


@dataclass(frozen=True, eq=False)
class Seen:
    """One example as a model sees it."""

    axes: dict[str, Axis]
    stacks: list[Stack]
    answer: dict[str, Any] | None
    watched: Watched | None  # None: it cannot be asked again, and ``why``
    why: str = ""


def see(model: Model, example: Example, number: int) -> Seen:
    """The axes, stacks and answer of one model, which is the ``number``-th."""
    recording, example = recorded(model, example)
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
    watched, why = watched_of(model, example)
    if not decoder and (labels := labels_of(model, example, watched)) is not None:
        axes["input"] = axes["input"].named(**labels)
    return Seen(axes, stacks, _answer(model, example), watched, why)


@torch.inference_mode()
def recorded(model: Model, example: Example) -> tuple[Recording, Example]:
    """What attends, and the example with the target that was made of it, where one is."""
    network = model.network.eval()
    count = network.front_end.count(example.items)
    if not count:
        raise example.place.error("an input of at least one position", "an empty one")
    files.check_length(model.config, example, count, windowed=model.config.is_windowed)
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


def _axis(model: Model, example: Example) -> Axis:
    """What stands at each position of the input."""
    front_end, items = model.network.front_end, cast(Any, example.items)
    kind, count = item_kind(model.config), front_end.count(items)
    if kind == "recordings":
        rate = front_end.settings.sample_rate
        samples = np.concatenate([np.zeros(0, np.float32), *items.blocks(rate)])
        return audio_axis(samples, rate, count=count, seconds=front_end.seconds, start=items.start)
    if kind == "images":
        picture, grid = front_end.pixels(items), front_end.grid(items)
        return image_axis(picture, grid=grid, stride=front_end.stride, before=front_end.before)
    return vectors_axis(np.asarray(items)) if kind == "vectors" else text_axis(front_end.names(items))


def watched_of(model: Model, example: Example) -> tuple[Watched | None, str]:
    """What asks the network again; or why it cannot be asked."""
    count = model.network.front_end.count(example.items)
    if count > MOST_POSITIONS:
        return None, f"of at most {MOST_POSITIONS:,} positions, and this has {count:,}; show a part of it"
    try:
        watched = model.watched(example)
    except RegardError as error:
        return None, str(error)
    return (watched, "") if watched.names else (None, "the model gave no answer")


def labels_of(model: Model, example: Example, watched: Watched | None) -> dict[str, Any] | None:
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
