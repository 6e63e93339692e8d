"""The image front ends: patches of pixels → vectors, by a convolution with the stride from one patch to the next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError, ModelError
from regard.front_ends import Options
from regard.front_ends.image.augment import Changes, check_library, mixed
from regard.front_ends.image.stems import STEMS
from regard.front_ends.stored import are_numbers, check_vocabulary
from regard.front_ends.windows import windows
from regard.image import Image
from regard.nn import ClassToken, Dropout
from regard.ragged import Ragged, of_one_size

LEARNT = 5000  # training images, spread over all, that the mean is taken of
SMALL = 16  # rows and columns of what baselines look at
LARGE = 1 << 20  # pixels of an image, above which it is made smaller for the mean
UNCHANGED = Changes()


class Patches(nn.Module):
    """Images → vectors ``[T, dim]``, one for each patch, in rows and columns: ``W patch + b``, or of another stem.

    Patches of ``patch`` × ``patch`` pixels begin at every ``stride``-th row and column; where they overlap, or do not
    fill the image, its border is repeated around it, so that there are ⌈rows / stride⌉ × ⌈columns / stride⌉.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words".

    Arguments:
        mean, std: of each channel, over the training data, by which pixels are scaled.
        dim: width of the vectors out.
        patch, stride: in pixels.
        size: rows and columns to which images are brought first; None leaves them as they are.
        stem: one of `regard.front_ends.image.stems.STEMS`.
        class_grid: rows and columns of the positions that come with a vector before those of the patches, as
            :class:`regard.nn.ClassToken` has them; None for neither.
        dropout: on the vectors out.
        changes: made of images while the network learns.

    Raises:
        ConfigError: patches that do not touch, or a stem that cannot make patches of that size.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        dim: int,
        patch: int = 1,
        stride: int | None = None,
        size: tuple[int, int] | None = None,
        stem: str = "linear",
        class_grid: tuple[int, int] | None = None,
        dropout: float = 0.0,
        changes: Changes = UNCHANGED,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self.patch, self.stride, self.image_size = patch, patch if stride is None else stride, size
        if self.stride > patch:
            raise ConfigError(
                f"patch_stride must be at most patch_size, {patch}, got {stride}: pixels would be left out"
            )
        self.project = STEMS[stem](len(mean), patch, self.stride, dim)
        self.class_token = None if class_grid is None else ClassToken(dim, grid=class_grid)
        self.dropout, self.changes = Dropout(dropout), changes

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside options to scale in the same way again, ready for JSON."""
        grid = {} if self.class_token is None else {"grid": list(self.class_token.grid)}
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), **grid}

    @property
    def before(self) -> int:
        """How many vectors stand before those of the patches."""
        return 0 if self.class_token is None else 1

    def grid(self, image: Image) -> tuple[int, int]:
        """Rows and columns of patches that an image becomes."""
        return _grid(image.size if self.image_size is None else self.image_size, self.stride)

    def count(self, image: Image) -> int:
        """How many vectors an image becomes."""
        rows, columns = self.grid(image)
        return self.before + rows * columns

    def split(self, image: Image, longest: int) -> list[Image]:
        """Overlapping parts of at most so many vectors: bands of whole rows, cut across where one row is too long.

        An image that is brought to a size stays whole.
        """
        if self.image_size is not None:
            return [image]
        (rows, columns), stride = self.grid(image), self.stride
        longest = max(1, longest - self.before)
        across = windows(columns, longest)
        down = windows(rows, max(1, longest // max(stop - start for start, stop in across)))
        return [
            image.part(top * stride, bottom * stride, left * stride, right * stride)
            for top, bottom in down
            for left, right in across
        ]

    def names(self, image: Image) -> list[str]:
        """Row and column of each vector, from 1."""
        rows, columns = self.grid(image)
        places = [f"{row}, {column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
        return ["class"] * self.before + places

    def pixels(self, image: Image) -> NDArray[np.float32]:
        """``[rows, columns, channels]``, from 0 to 1, brought to the size that all have."""
        if self.image_size is not None:
            image = image.at_size(*self.image_size)
        return image.pixels(len(self.mean))

    def frames(self, image: Image) -> NDArray[np.float32]:
        """``[1, side·side·channels]``, for baselines: all pixels of the image at a small size, as one vector."""
        return image.at_size(SMALL, SMALL).pixels(len(self.mean)).reshape(1, -1)

    def encode(self, images: Sequence[Image]) -> Ragged:
        """The pixels ``[P, channels]`` of images as one batch with their sizes, on the CPU."""
        return self.encode_with(images, None)[0]

    def encode_with(
        self, images: Sequence[Image], masks: Sequence[NDArray[np.int64]] | None
    ) -> tuple[Ragged, Sequence[NDArray[np.int64]] | None]:
        """The same, and for each image its mask ``[rows, columns]``: where the image is changed, so is the mask."""
        pixels = [torch.from_numpy(self.pixels(image)) for image in images]
        if not self.training or self.changes == UNCHANGED:
            return Ragged.from_grids(pixels), masks
        moved = [_nearest(mask, own.shape) for mask, own in zip(masks or (), pixels, strict=masks is not None)]
        for numbers in of_one_size([own.shape[:2] for own in pixels]):
            own_masks = torch.stack([moved[number] for number in numbers])[:, None] if moved else None
            changed, changed_masks = self.changes.of(_stacked(pixels, numbers), own_masks)
            for place, number in enumerate(numbers):
                pixels[number] = changed[place].movedim(0, 2)
                if changed_masks is not None:
                    moved[number] = changed_masks[place, 0]
        return Ragged.from_grids(pixels), None if masks is None else [mask.numpy() for mask in moved]

    def mixed(self, inputs: Ragged, *, cut: bool) -> tuple[Ragged, Tensor, Tensor]:
        """A batch with another image of the same size in each; which, ``[B]``, and the share of its own, ``[B]``."""
        pixels, sizes = _grids(inputs)
        others, shares = torch.arange(len(pixels)), torch.ones(len(pixels))
        for numbers in of_one_size(sizes):
            blended, partners, shares[numbers] = mixed(_stacked(pixels, numbers), cut=cut)
            others[numbers] = torch.tensor(numbers)[partners]
            for number, one in zip(numbers, blended.movedim(1, 3), strict=True):
                pixels[number] = one
        return Ragged.from_grids(pixels), others, shares

    def forward(self, inputs: Ragged) -> Ragged:
        """``[T, dim]``, a vector for each patch, after the one of the class if there is one."""
        return self.vectors(inputs.with_values((inputs.values - self.mean) / self.std))

    def vectors(self, scaled: Ragged) -> Ragged:
        """The same of pixels ``[P, channels]`` that are scaled already."""
        patched = scaled.map_grids(self.patched)
        if self.class_token is not None:
            patched = self.class_token(patched)
        return patched.with_values(self.dropout(patched.values))

    def patched(self, images: Tensor) -> Tensor:
        """``[b, rows, columns, channels]`` → ``[b, rows', columns', dim]``, a vector for each patch."""
        vectors: Tensor = self.project(_padded(images.movedim(3, 1), self.patch, self.stride))
        return vectors.movedim(1, 3)


def _grid(size: tuple[int, int], stride: int) -> tuple[int, int]:
    rows, columns = size
    return -(-rows // stride), -(-columns // stride)


def _grids(pixels: Ragged) -> tuple[list[Tensor], list[tuple[int, int]]]:
    """The images of a batch, each ``[rows, columns, channels]``, and their sizes."""
    assert pixels.grid is not None
    sizes = [(rows, columns) for rows, columns in pixels.grid.tolist()]
    return [image.view(*size, -1) for image, size in zip(pixels.unbind(), sizes, strict=True)], sizes


def _stacked(images: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
    """Those of one size as one tensor, ``[b, channels, rows, columns]``."""
    return torch.stack([images[number] for number in numbers]).movedim(3, 1)


def _nearest(mask: NDArray[np.int64], size: Sequence[int]) -> Tensor:
    """A mask brought to another size, of which rows and columns come first."""
    rows, columns = (
        ((np.arange(new) + 0.5) * own / new).astype(np.int64) for new, own in zip(size[:2], mask.shape, strict=True)
    )
    return torch.from_numpy(mask[rows[:, None], columns])


def _padded(images: Tensor, patch: int, stride: int) -> Tensor:
    """``[b, C, rows, columns]`` with its border repeated, so that ⌈rows / stride⌉ × ⌈columns / stride⌉ patches fit."""
    rows, columns = images.shape[2:]
    down, across = ((-(-size // stride) - 1) * stride + patch - size for size in (rows, columns))
    if not (down or across):
        return images
    before = (patch - stride) // 2  # the middle of a patch stays that of its pixels
    return F.pad(images, (before, across - before, before, down - before), mode="replicate")


def learn_patches(images: Iterable[Image], options: Options, *, patch: int, stride: int | None) -> Patches:
    """With the channels that most training images have, and the mean and deviation of their pixels."""
    check_library(_changes(options))
    held = list(images)
    counts = Counter(image.channels for image in held)
    channels = max(counts) if set(counts) <= {1, 3} else counts.most_common(1)[0][0]
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    for image in held[:: max(1, len(held) // LEARNT)]:
        pixels = _looked_at(image, options).pixels(channels).reshape(-1, channels)
        count, total = count + len(pixels), total + pixels.sum(0, dtype=np.float64)
        squares += np.einsum("nc,nc->c", pixels, pixels, dtype=np.float64)
        if options.color and not 0 <= pixels.min() <= pixels.max() <= 1:
            raise ConfigError(
                f"color: it changes pixels from 0 to 1, got some from {pixels.min():g} to {pixels.max():g}; bring "
                "arrays to that scale, or leave it out"
            )
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    scale = mean.tolist(), np.where(std > 1e-3, std, 1.0).tolist()
    size = Counter(image.size for image in held).most_common(1)[0][0]
    size = size if options.image_size is None else _sides(options.image_size)
    grid = _grid(size, patch if stride is None else stride) if options.class_token else None
    return _made(*scale, options, patch=patch, stride=stride, grid=grid)


def _looked_at(image: Image, options: Options) -> Image:
    """As the network will see it; a large one smaller, as its mean needs no detail."""
    if options.image_size is not None:
        return image.at_size(*_sides(options.image_size))
    shrink = math.ceil(math.sqrt(len(image) / LARGE))
    return image if shrink == 1 else image.at_size(max(1, image.rows // shrink), max(1, image.columns // shrink))


def restore_patches(vocabulary: dict[str, Any], options: Options, *, patch: int, stride: int | None) -> Patches:
    """With those of an earlier one."""
    check_vocabulary(
        vocabulary,
        mean=("a list of numbers", are_numbers),
        std=("a list of numbers above 0", lambda std: are_numbers(std) and min(std) > 0),
        **({"grid": ("rows and columns, whole numbers above 0", _are_sides)} if options.class_token else {}),
    )
    mean, std = vocabulary["mean"], vocabulary["std"]
    if len(mean) != len(std):
        raise ModelError(f"mean has {len(mean)} channels, std {len(std)}")
    grid = tuple(vocabulary["grid"]) if options.class_token else None
    return _made(mean, std, options, patch=patch, stride=stride, grid=grid)


def _are_sides(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 < n < 2**16 for n in value)


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _made(
    mean: Sequence[float],
    std: Sequence[float],
    options: Options,
    *,
    patch: int,
    stride: int | None,
    grid: tuple[int, int] | None,
) -> Patches:
    return Patches(
        mean,
        std,
        dim=options.dim,
        patch=patch,
        stride=stride,
        size=None if options.image_size is None else _sides(options.image_size),
        stem=options.stem,
        class_grid=grid,
        dropout=options.dropout,
        changes=_changes(options),
    )


def _changes(options: Options) -> Changes:
    return Changes(options.flip, options.shift, options.crop, options.color)
