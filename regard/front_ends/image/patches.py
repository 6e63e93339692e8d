"""The `patches` front end: an image as the set of its patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from regard.front_ends import Options
from regard.front_ends.image import Patches, learn_patches, restore_patches
from regard.image import Image


def learn(images: Iterable[Image], options: Options) -> Patches:
    """With the scale of the training images."""
    return learn_patches(images, options, patch=options.patch_size, stride=options.patch_stride)


def restore(vocabulary: dict[str, Any], options: Options) -> Patches:
    """With that of an earlier one."""
    return restore_patches(vocabulary, options, patch=options.patch_size, stride=options.patch_stride)
