"""Who attends to whom in one example of a model: maps of a sequence, or of an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from regard.data import Example, Source
from regard.errors import RegardError
from regard.image import Image
from regard.machine import memory
from regard.nn import MultiHeadAttention
from regard.tasks.files import check_length, item_kind, read
from regard.tasks.fitting import device_of
from regard.tasks.model import Model
from regard.tasks.pages import page_of
from regard.viewer.distances import Distances
from regard.viewer.heatmaps import check_drawable
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps
from regard.viewer.page.build import Page
from regard.viewer.recording import Recording, record

MANY = 128  # images over which distances are averaged, as many as ViT's figure is of


def attention_maps(model: Model, items: Any) -> Maps | ImageMaps:
    """Who attends to whom in one sequence, by layer and head, and in its pooling; of an image over rows and columns."""
    example, recording = _attended(model, items)
    front_end = model.network.front_end
    if not isinstance(example.items, Image):
        return Maps(recording, front_end.names(example.items), page=partial(page_of, model, example))
    return maps_of_image(front_end, example.items, recording, page=partial(page_of, model, example))


def sequence_maps(model: Model, items: Any) -> Maps:
    """The same of anything, an image too, as of a sequence."""
    example, recording = _attended(model, items)
    return Maps(recording, model.network.front_end.names(example.items))


def check_drawn(model: Model, example: Example) -> None:
    """Refuses a sequence that is too long for a picture, before its maps fill memory.

    Raises:
        RegardError: how long it is, and what to do.
    """
    if not isinstance(example.items, Image):
        check_drawable(model.network.front_end.count(example.items))


def attention_distances(model: Model, source: Source) -> Distances:
    """How far heads look, on average over images of a folder, a list or an iterable: 128 at most, spread over all."""
    examples = read(model, source, labelled=False, items=item_kind(model.config))
    step = -(-len(examples) // MANY) or 1
    return Distances.of(attention_maps(model, example.items) for example in examples[::step])


def maps_of_image(
    front_end: Any, image: Image, recording: Recording, *, page: Callable[[], Page] | None = None
) -> ImageMaps:
    """What was recorded, with what the front end knows of rows and columns."""
    picture, grid = torch.from_numpy(front_end.pixels(image)), front_end.grid(image)
    return ImageMaps(recording, picture, grid=grid, stride=front_end.stride, before=front_end.before, page=page)


def _check_memory(encoder: nn.Module, length: int) -> None:
    """Refuses more weights than the machine can hold.

    Raises:
        RegardError: how much they take, and what to do.
    """
    layers = [layer for layer in encoder.modules() if isinstance(layer, MultiHeadAttention)]
    weights = sum(layer.heads * length * _width(layer, length) for layer in layers)
    needed, there = 4 * weights, memory()  # bytes
    if needed > there:
        raise RegardError(
            f"{sum(layer.heads for layer in layers)} maps, one for each layer and head, of {length:,} vectors take "
            f"{needed / 2**30:,.0f} GiB, got a machine with {there / 2**30:,.0f}; give a part of the sequence, or a "
            "smaller image"
        )


def _width(layer: MultiHeadAttention, length: int) -> int:
    """How many weights of a vector are held."""
    left, right = layer.sides
    return length if layer.grid or left is None or right is None else min(length, left + right + 1)


@torch.inference_mode()
def _attended(model: Model, items: Any) -> tuple[Example, Recording]:
    """One example, and what the encoder and the pooling did with it."""
    example, network = read(model, [items], labelled=False, items=item_kind(model.config))[0], model.network.eval()
    length = network.front_end.count(example.items)
    check_length(model.config, example, length, windowed=True)
    _check_memory(network.encoder, length)
    vectors = network.front_end(network.front_end.encode([example.items]).to(device_of(network)))
    with record(network) as recording:
        hidden = network.encoder(vectors)
        if (pool := getattr(network, "pool", None)) is not None:
            pool(hidden)
    if not recording.within("encoder"):
        raise RegardError("this encoder does not attend, so there is nothing to show; see the option `encoder`")
    return example, recording[:]
