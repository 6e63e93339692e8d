"""Who attends to whom in one example of a model: maps of a sequence, or of an image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from regard.data import Example, Source
from regard.errors import RegardError
from regard.image import Image
from regard.ragged import Ragged
from regard.tasks.files import check_length, item_kind, read
from regard.tasks.fitting import device_of, memory
from regard.tasks.model import Model
from regard.viewer.distances import Distances
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps, check_drawable
from regard.viewer.recording import record

MANY = 128  # images over which distances are averaged, as many as ViT's figure is of


def attention_maps(model: Model, items: Any) -> Maps | ImageMaps:
    """Who attends to whom in one sequence, by layer and head of the encoder; of an image over its rows and columns."""
    example, weights, hidden = _attended(model, items)
    front_end = model.network.front_end
    if not isinstance(example.items, Image):
        return Maps(weights, front_end.names(example.items))
    pool: Any = getattr(model.network, "pool", None)
    return maps_of_image(front_end, example.items, weights, [] if pool is None else pool.attention_weights(hidden))


def sequence_maps(model: Model, items: Any) -> Maps:
    """The same of anything, an image too, as of a sequence."""
    example, weights, _ = _attended(model, items)
    return Maps(weights, model.network.front_end.names(example.items))


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


def _check_memory(maps: int, length: int) -> None:
    """Refuses more maps of so many vectors than the machine can hold.

    Raises:
        RegardError: how much they take, and what to do.
    """
    needed, there = maps * length**2 * 4, memory()  # bytes
    if needed > there:
        raise RegardError(
            f"{maps} maps, one for each layer and head, of {length:,} × {length:,} weights take {needed / 2**30:,.0f} "
            f"GiB, got a machine with {there / 2**30:,.0f}; give a part of the sequence, or a smaller image"
        )


def maps_of_image(front_end: Any, image: Image, layers: list[Tensor], pooling: list[Tensor]) -> ImageMaps:
    """Weights ``[H, N, N]`` with what the front end knows of rows and columns; pooling is of one image, or none."""
    picture, grid = torch.from_numpy(front_end.pixels(image)), front_end.grid(image)
    pooled = pooling[0] if pooling else None
    return ImageMaps(layers, picture, grid=grid, stride=front_end.stride, before=front_end.before, pooling=pooled)


@torch.inference_mode()
def _attended(model: Model, items: Any) -> tuple[Example, list[Tensor], Ragged]:
    """One example, the weights ``[H, N, N]`` of each layer, and the vectors that come out."""
    example, network = read(model, [items], labelled=False, items=item_kind(model.config))[0], model.network.eval()
    length = network.front_end.count(example.items)
    check_length(model.config, example, length, windowed=True)
    _check_memory(model.config.depth * model.config.heads, length)
    inputs = network.front_end.encode([example.items]).to(device_of(network))
    with record(network.encoder) as layers:
        hidden = network.encoder(network.front_end(inputs))
    if not layers:
        raise RegardError("this encoder does not attend, so there is nothing to show; see the option `encoder`")
    return example, [layer.weights.dense()[0] for layer in layers], hidden
