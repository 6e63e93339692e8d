"""What is changed of images while a network learns: mirrored, moved, cut, recoloured, mixed with others; by `kornia`.

All randomness is PyTorch's, which a training seeds at every step, so that one that was resumed draws the same.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.errors import ConfigError, UnsupportedError

MIRRORED = 0.5  # the share of images
SHAPES = (3 / 4, 4 / 3)  # how wide what is left may be for its height, of what the image is
HUE = 0.2  # of the circle of colours, at strength 1


class Changes(NamedTuple):
    """How much images are changed; nothing is where all are 0.

    Arguments:
        flip: whether half of them are mirrored, left to right.
        shift: pixels by which they are moved at most, up or down and to a side; the border is repeated.
        crop: the largest share of the area that is cut off; what is left, of about the same shape, fills the image.
        color: by which share brightness, contrast and, of coloured ones, saturation are changed at most; hue by less.
    """

    flip: bool = False
    shift: int = 0
    crop: float = 0.0
    color: float = 0.0

    def of(self, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Images ``[b, C, rows, columns]``, each changed in its own way, and masks ``[b, 1, rows, columns]`` with them.

        No number of a mask is changed but where it stands.
        """
        chain = _chain(self, tuple(images.shape[1:]), with_masks=masks is not None)
        if masks is None:
            return chain(images), None
        changed, moved = chain(images, masks.to(images.dtype))
        return changed, moved.round().to(masks.dtype)


@lru_cache(maxsize=64)
def _chain(changes: Changes, shape: tuple[int, int, int], *, with_masks: bool) -> Any:
    """What makes those changes of images of one shape."""
    kornia = library()
    size, steps = shape[1:], []
    if changes.flip:
        steps.append(kornia.RandomHorizontalFlip(p=MIRRORED))
    if changes.shift:
        steps.append(kornia.RandomCrop(size, padding=changes.shift, padding_mode="replicate"))
    if changes.crop:
        narrowest, widest = (size[1] / size[0] * shape for shape in SHAPES)
        steps.append(kornia.RandomResizedCrop(size, scale=(1 - changes.crop, 1.0), ratio=(narrowest, widest)))
    if changes.color:
        around = (1 - changes.color, 1 + changes.color)
        steps += [kornia.RandomBrightness(around, p=1.0), kornia.RandomContrast(around, p=1.0)]
        if shape[0] == 3:
            turn = HUE * changes.color
            steps += [kornia.RandomSaturation(around, p=1.0), kornia.RandomHue((-turn, turn), p=1.0)]
    return kornia.AugmentationSequential(*steps, data_keys=["input", "mask"] if with_masks else ["input"])


def mixed(images: Tensor, *, cut: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Images ``[b, C, rows, columns]``, each with another in it; which, ``[b]``; and the share of its own, ``[b]``.

    ``share · own + (1 − share) · other``, the share uniform from 0 to 1 (Zhang et al. 2018, "mixup"); or, ``cut``, a
    rectangle of the other in its place (Yun et al. 2019, "CutMix").
    """
    kornia, keys = library(), ["input", "class"]
    numbers = torch.arange(len(images))
    if cut:
        found, pairs = kornia.RandomCutMixV2(data_keys=keys, use_correct_lambda=True)(images, numbers)
        return found, pairs[0, :, 1].long(), pairs[0, :, 2]
    found, pairs = kornia.RandomMixUpV2(lambda_val=(0.0, 1.0), data_keys=keys)(images, numbers)
    return found, pairs[:, 1].long(), 1 - pairs[:, 2]


def library() -> ModuleType:
    """The augmentations of `kornia`.

    Raises:
        UnsupportedError: it is not installed, and how to install it.
    """
    try:
        from kornia import augmentation
    except ImportError:
        raise UnsupportedError("changed images need kornia: pip install 'regard[image]'") from None
    return augmentation


def check_library(changes: Changes) -> None:
    """Refuses at once to learn from changed images where nothing can change them.

    Raises:
        ConfigError: kornia is not installed.
    """
    if changes != Changes() and find_spec("kornia") is None:
        raise ConfigError("flip, shift, crop and color need kornia: pip install 'regard[image]', or leave them out")
