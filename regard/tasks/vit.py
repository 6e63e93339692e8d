"""A ViT of Hugging Face as a module: images in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data.images import as_image
from regard.data.records import Place
from regard.errors import RegardError, ShapeError
from regard.formats.huggingface.read_vit import VitFolder, read_vit
from regard.formats.huggingface.write_vit import write_vit
from regard.front_ends import restore_front_end
from regard.image import Image
from regard.nn import Pooling
from regard.ragged import Ragged, counted
from regard.tasks.card import told_network
from regard.tasks.classify.options import ClassifyConfig
from regard.tasks.fitting import device_of, make_encoder
from regard.tasks.maps import maps_of_image
from regard.training.config import ImageSize, make_config
from regard.viewer.images import ImageMaps
from regard.viewer.recording import Recording, record


class VisionTransformer(nn.Module):
    """Images → vectors that know of each other, ``encoder([class; patches] + positions)``, that of the class first.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words". Made by :func:`load_vit`.

    Its parts are ``front_end`` (a vector for each patch), ``encoder``, and what the folder had of ``pooler`` and
    ``head``, a row of which is one of ``labels``; None, and none, where it had none.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(self, vit: VitFolder, *, image_size: ImageSize) -> None:
        super().__init__()
        self.config = make_config(ClassifyConfig, vit.options | {"image_size": image_size, "dropout": 0.0})
        self.labels = vit.labels
        self.front_end = restore_front_end("patches", vit.vocabulary, self.config)
        self.encoder = make_encoder(self.config)
        self.pooler = None if vit.pooler is None else Pooling("bert", dim=self.config.dim)
        self.head = None if vit.head is None else nn.Linear(self.config.dim, len(vit.labels))
        parts = {"front_end": vit.patches, "encoder": vit.encoder, "pooler": vit.pooler, "head": vit.head}
        for name, state in parts.items():
            if state is not None:
                getattr(self, name).load_state_dict(state)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.parameters())
        labels = f", {counted(len(self.labels), 'label')}" if self.labels else ""
        return f"<VisionTransformer: {told_network(self.config)}, {count:,} parameters{labels}>"

    def pixels(self, images: Sequence[Any]) -> Ragged:
        """Images as one batch of pixels on the CPU: paths, arrays, Pillow's or :class:`regard.Image`."""
        batch: Ragged = self.front_end.encode([self._image(image) for image in images])
        return batch

    def forward(self, images: Ragged | Tensor | Sequence[Any]) -> Ragged:
        """``Ragged [T, E]``: 1 + rows × columns vectors of each image, that of the class first, then patch by patch.

        An image of another size than that of training has its positions interpolated. Where patches do not fill an
        image its border is repeated; `transformers` leaves out what remains.

        Arguments:
            images: what :meth:`pixels` gives, or takes; or pixels ``[B, C, rows, columns]`` that are scaled already,
                the ``pixel_values`` of `transformers`.

        Raises:
            ShapeError: a tensor of another shape.
            DataError: something that is no image.
        """
        if isinstance(images, Tensor):
            return self._encoded(self.front_end.vectors(self._scaled(images)))
        batch = images if isinstance(images, Ragged) else self.pixels(images)
        return self._encoded(self.front_end(batch.to(device_of(self))))

    def encode(self, images: Ragged | Tensor | Sequence[Any], *, normalize: bool = False) -> Tensor:
        """``[B, E]``, one vector for each image, that of the class; with its gradient.

        Arguments:
            images: as :meth:`forward` takes them.
            normalize: whether each is divided by its length, so that a product of two is their cosine.
        """
        hidden = self(images)
        vectors: Tensor = hidden.values[hidden.offsets[:-1]]
        return F.normalize(vectors, dim=1) if normalize else vectors

    def logits(self, images: Ragged | Tensor | Sequence[Any]) -> Tensor:
        """``[B, labels]``, a score for each of ``labels``.

        Raises:
            RegardError: the folder held no head.
        """
        if self.head is None:
            raise RegardError("this ViT has no head: its folder holds a ViTModel; train one on encode(images)")
        scores: Tensor = self.head(self.encode(images))
        return scores

    @torch.no_grad()
    def attention(self, image: Any) -> ImageMaps:
        """Who attends to whom in one image: a map over it for every layer and head."""
        given = self._image(image)
        with record(self.encoder) as layers:
            hidden = self([given])
        first = Pooling("first", dim=self.config.dim)
        with record(first) as pooled:
            first(hidden)
        return maps_of_image(self.front_end, given, Recording([*layers, *pooled]))

    def save(self, folder: str | Path) -> str:
        """Writes a folder that `transformers` opens, new or empty, and gives the name of the class that opens it.

        Raises:
            RegardError: the folder cannot be written, or something is in it.
        """
        return write_vit(
            folder,
            options=self.config.model_dump() | {"pooling": "first"},
            vocabulary=self.front_end.vocabulary(),
            patches=self.front_end.state_dict(),
            encoder=self.encoder.state_dict(),
            pooler=None if self.pooler is None else self.pooler.state_dict(),
            head=None if self.head is None else self.head.state_dict(),
            labels=self.labels,
        )

    def _encoded(self, vectors: Ragged) -> Ragged:
        hidden: Ragged = self.encoder(vectors)
        return hidden

    def _image(self, image: Any) -> Image:
        return as_image(image, Place())

    def _scaled(self, pixels: Tensor) -> Ragged:
        """``[B, C, rows, columns]`` as a batch of grids ``[P, C]``."""
        channels = len(self.front_end.mean)
        if pixels.ndim != 4 or pixels.shape[1] != channels or not pixels.numel():
            raise ShapeError(
                f"images must be pixels [B, {channels}, rows, columns], got a tensor of shape {list(pixels.shape)}; "
                "of one image take pixels[None]"
            )
        return Ragged.from_grids(list(pixels.movedim(1, 3)))


def load_vit(folder: str | Path, *, image_size: ImageSize | Literal["own"] = "own") -> VisionTransformer:
    """Opens a ViT that `transformers` or `timm` saved, with the same numbers, ready to be used or trained on.

    Arguments:
        folder: with ``config.json`` and ``model.safetensors``, of ViTModel, ViTForImageClassification, or a plain ViT
            of timm. Images are scaled as it says, or from −1 to 1 where it does not; whole ones are resized, by bicubic
            interpolation, whatever it says.
        image_size: rows and columns of pixels to which images are brought; "own" for those of the folder, None to
            leave them as they are.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.
    """
    vit = read_vit(folder)
    return VisionTransformer(vit, image_size=vit.image_size if image_size == "own" else image_size).eval()
