"""Self-attention that you can train, see and scale.

Names load on first use, so that ``import regard`` and the command line's help need not wait for PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regard.errors import ConfigError, DataError, ModelError, RegardError, ShapeError, UnsupportedError

if TYPE_CHECKING:
    from regard.attention import (
        Additive,
        AttentionWeights,
        GridBias,
        GridWeights,
        RelativeBias,
        attend,
        attend2d,
        attention_weights,
        attention_weights2d,
        explain,
        explain2d,
    )
    from regard.image import Image
    from regard.ragged import Ragged
    from regard.recording import Recording
    from regard.tasks import Classifier, Labeler, MaskedModel, Seq2Seq, Transcriber, load
    from regard.tasks.bert import load_bert
    from regard.tasks.vit import load_vit
    from regard.viewer.recording import record

__version__ = "0.1.0"

__all__ = [
    "Additive",
    "AttentionWeights",
    "Classifier",
    "ConfigError",
    "DataError",
    "GridBias",
    "GridWeights",
    "Image",
    "Labeler",
    "MaskedModel",
    "ModelError",
    "Ragged",
    "Recording",
    "RegardError",
    "RelativeBias",
    "Seq2Seq",
    "ShapeError",
    "Transcriber",
    "UnsupportedError",
    "__version__",
    "attend",
    "attend2d",
    "attention_weights",
    "attention_weights2d",
    "explain",
    "explain2d",
    "load",
    "load_bert",
    "load_vit",
    "record",
]

_HOMES = {
    "regard.attention": (
        *("Additive", "AttentionWeights", "GridBias", "GridWeights", "RelativeBias"),
        *("attend", "attend2d", "attention_weights", "attention_weights2d", "explain", "explain2d"),
    ),
    "regard.image": ("Image",),
    "regard.ragged": ("Ragged",),
    "regard.recording": ("Recording",),
    "regard.tasks": ("Classifier", "Labeler", "MaskedModel", "Seq2Seq", "Transcriber", "load"),
    "regard.tasks.bert": ("load_bert",),
    "regard.tasks.vit": ("load_vit",),
    "regard.viewer.recording": ("record",),
}

if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses other names

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(home), name)
                return value
        raise AttributeError(f"module 'regard' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
