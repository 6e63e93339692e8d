"""Our networks as a ViT that `transformers` opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from regard.errors import UnsupportedError
from regard.files import write_json
from regard.formats.huggingface import vit
from regard.formats.huggingface.folder import CONFIG
from regard.formats.huggingface.names import State, to_theirs
from regard.formats.huggingface.vit import PREPROCESSOR, Sizes
from regard.formats.huggingface.writing import differences, encoder_config, inner_width, new_folder
from regard.nn import ClassToken

VIT_HAS = {
    "front_end": "patches",
    "stem": "linear",
    "class_token": True,
    "encoder": "attention",
    "positions": "none",
    "embedding_norm": False,
    "window": None,
    "windows": None,
    "causal": False,
    "score": "dot",
    "normalizer": "softmax",
    "norm": "pre",
}
BICUBIC = 3  # as Pillow numbers it


def reasons_against_vit(kind: str, options: Mapping[str, Any]) -> list[str]:
    """Every option of a network that no ViT has; none where :func:`write_vit` can write it.

    >>> reasons_against_vit("classify", {"front_end": "patches", "norm": "post"})
    ["norm is 'post', ViT has 'pre'"]
    """
    wanted = VIT_HAS | ({"pooling": "first"} if kind == "classify" else {})
    if options.get("patch_stride") is not None:
        wanted["patch_stride"] = options["patch_size"]
    reasons = differences("ViT", wanted, options)
    size = _sides(options.get("image_size"))
    if size is not None and any(side % options["patch_size"] for side in size):
        reasons.append(f"image_size is {options['image_size']}, ViT has a multiple of patch_size")
    return reasons


def write_vit(
    folder: str | Path,
    *,
    options: Mapping[str, Any],
    vocabulary: Mapping[str, Any],
    patches: State,
    encoder: State,
    pooler: State | None = None,
    head: State | None = None,
    labels: Sequence[str] = (),
) -> str:
    """Writes a folder that `transformers` opens and that gives the same numbers; gives the class that opens it.

    With ``head`` and ``labels`` that is ViTForImageClassification, else ViTModel, with ``pooler`` or without. Positions
    that were learned for another image size are written as they are interpolated to the one of the options.

    Arguments:
        folder: made, or an empty one; it is filled when all is written.
        options: those of the network, all of them, as in a task's config.
        vocabulary: of the front end, of which ``patches`` is the state.
        encoder: state of the :class:`regard.nn.Encoder`.
        pooler: state of the :class:`regard.nn.Pooling` "bert".
        head: state of a linear layer from E to the labels.
        labels: by row of ``head``.

    Raises:
        UnsupportedError: the network is no ViT, with every reason.
        ModelError: tensors that are not those of the options.
        RegardError: the folder cannot be written, or something is in it.
    """
    folder = Path(folder)
    if reasons := reasons_against_vit("classify" if head is not None else "encoder", options):
        raise UnsupportedError(f"this network is no ViT: {'; '.join(reasons)}; train with ViT's options, or from a ViT")
    patches, grid = _at_image_size(patches, options, tuple(vocabulary["grid"]))
    sizes = _sizes(options, channels=len(vocabulary["mean"]), grid=grid)
    tensors = _renamed("encoder", vit.encoder_names(sizes.depth), vit.encoder_shapes(sizes), encoder)
    patches = vit.added_to_theirs(patches)
    tensors |= _renamed("patches", vit.patches_names(), vit.patches_shapes(sizes), patches)
    if pooler is not None and head is None:
        tensors |= _renamed("pooler", vit.pooler_names(), vit.pooler_shapes(sizes), pooler)
    if head is not None:
        tensors = {f"vit.{name}": tensor for name, tensor in tensors.items()}
        tensors |= _renamed("head", vit.head_names(), vit.head_shapes(sizes, len(labels)), head)
    opened_by = "ViTModel" if head is None else "ViTForImageClassification"
    with new_folder(folder, tensors) as part:
        write_json(_preprocessor(options, vocabulary, sizes), part / PREPROCESSOR)
        write_json(_config(options, sizes, labels) | {"architectures": [opened_by]}, part / CONFIG)
    return opened_by


def _renamed(part: str, names: Any, shapes: Any, state: State) -> State:
    return to_theirs(part, names, shapes, state, program="ViT")


def _at_image_size(patches: State, options: Mapping[str, Any], grid: tuple[int, int]) -> tuple[State, tuple[int, int]]:
    """With positions for the grid of images of the options' size, if they are brought to one."""
    size, patch = _sides(options["image_size"]), options["patch_size"]
    wanted = grid if size is None else (size[0] // patch, size[1] // patch)
    if wanted == grid:
        return patches, grid
    added = ClassToken(options["dim"], grid=grid)
    added.load_state_dict({name: patches[f"class_token.{name}"] for name in ("token", "table")})
    with torch.no_grad():
        return patches | {"class_token.table": added.positions(*wanted)}, wanted


def _sizes(options: Mapping[str, Any], *, channels: int, grid: tuple[int, int]) -> Sizes:
    return Sizes(
        dim=options["dim"],
        depth=options["depth"],
        feed_forward_dim=inner_width(options),
        grid=grid,
        patch=options["patch_size"],
        channels=channels,
    )


def _sides(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _preprocessor(options: Mapping[str, Any], vocabulary: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
    rows, columns = _pixels(sizes)
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": options["image_size"] is not None,
        "size": {"height": rows, "width": columns},
        "resample": BICUBIC,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": vocabulary["mean"],
        "image_std": vocabulary["std"],
    }


def _pixels(sizes: Sizes) -> tuple[int, int]:
    """Rows and columns of an image with the table's grid."""
    return sizes.grid[0] * sizes.patch, sizes.grid[1] * sizes.patch


def _config(options: Mapping[str, Any], sizes: Sizes, labels: Sequence[str]) -> dict[str, Any]:
    rows, columns = _pixels(sizes)
    return encoder_config(options, labels) | {
        "model_type": vit.MODEL_TYPE,
        "image_size": rows if rows == columns else [rows, columns],
        "patch_size": sizes.patch,
        "num_channels": sizes.channels,
        "qkv_bias": True,
    }
