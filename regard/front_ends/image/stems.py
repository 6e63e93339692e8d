"""What makes vectors of patches: ``[b, channels, rows, columns]`` → ``[b, dim, rows / stride, columns / stride]``."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError

NARROWEST = 8  # channels of a convolution
IN_A_GROUP = 8  # channels that are scaled together


def linear(channels: int, patch: int, stride: int, dim: int) -> nn.Module:
    """``W patch + b``, patches that begin at every ``stride``-th row and column.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words".
    """
    return nn.Conv2d(channels, dim, patch, stride)


def convolution(channels: int, patch: int, stride: int, dim: int) -> nn.Module:
    """Layers of 3 × 3, each of which halves the image, and one that mixes channels.

    Xiao et al. 2021, "Early Convolutions Help Transformers See Better".

    Raises:
        ConfigError: a patch that halving does not make, or patches that overlap.
    """
    halvings = _halvings("convolution", patch, stride)
    count = max(1, halvings)
    layers: list[nn.Module] = []
    before = channels
    for number in range(1, count + 1):
        width = max(NARROWEST, dim >> (count - number))
        layers += [nn.Conv2d(before, width, 3, 2 if halvings else 1, padding=1), nn.GroupNorm(1, width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.Conv2d(before, dim, 1))


def residual(channels: int, patch: int, stride: int, dim: int) -> nn.Module:
    """A layer of 3 × 3 and a residual block at each size of the image until one of its pixels is a patch.

    A small convolutional network looks at the image before attention does: Dai et al. 2021, "CoAtNet: Marrying
    Convolution and Attention for All Data Sizes". The blocks are those of He et al. 2016, "Deep Residual Learning for
    Image Recognition"; the norm that of Wu and He 2018, "Group Normalization", by
    which no image depends on others of its batch.

    Raises:
        ConfigError: a patch that halving does not make, or patches that overlap.
    """
    halvings = _halvings("residual", patch, stride)
    layers: list[nn.Module] = []
    before = channels
    for number in range(max(1, halvings)):
        width = max(NARROWEST, dim >> (halvings - number) >> 3 << 3)
        layers += [nn.Conv2d(before, width, 3, 2 if number else 1, padding=1, bias=False), _norm(width), nn.ReLU()]
        layers.append(Block(width, _norm))
        before = width
    return nn.Sequential(*layers, nn.Conv2d(before, dim, 3, 2 if halvings else 1, padding=1))


class Block(nn.Module):
    """``relu(x + norm(conv(relu(norm(conv(x))))))``, two layers of 3 × 3 on ``[b, channels, rows, columns]``."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.path = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels)),
        )

    def forward(self, images: Tensor) -> Tensor:
        return F.relu(images + self.path(images))


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // IN_A_GROUP, channels)


def _halvings(stem: str, patch: int, stride: int) -> int:
    """How often an image is halved until a pixel is a patch."""
    if stride != patch:
        raise ConfigError(f"patch_stride goes with stem=linear, got {stride} and stem={stem}; leave it out")
    halvings = patch.bit_length() - 1
    if 2**halvings != patch:
        raise ConfigError(f"patch_size must be 1, 2, 4, 8, 16, ... with stem={stem}, got {patch}")
    return halvings


STEMS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "linear": linear,
    "convolution": convolution,
    "residual": residual,
}
