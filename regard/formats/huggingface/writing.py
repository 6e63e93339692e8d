"""What writing a BERT and writing a ViT have in common: the folder, what an encoder's config tells, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.files import atomic_folder, atomic_write, explain_failures
from regard.formats.huggingface.folder import THEIR_ACTIVATIONS, WEIGHTS
from regard.formats.huggingface.names import State
from regard.tensors import write_tensors

INITIAL_DEVIATION = 0.02  # of weights that `transformers` makes anew


def differences(program: str, wanted: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """Every option of a network that is not the one that a program's networks have."""
    return [
        f"{name} is {options[name]!r}, {program} has {value!r}"
        for name, value in wanted.items()
        if name in options and options[name] != value
    ]


@contextmanager
def new_folder(folder: Path, tensors: State) -> Iterator[Path]:
    """A folder with the tensors; it takes its place when all else was written into it too.

    Raises:
        RegardError: it cannot be written, or something is in it.
    """
    with explain_failures(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as part:
        with atomic_write(part / WEIGHTS, binary=True) as file:
            write_tensors(file, tensors, lambda _: {"format": "pt"})
        yield part


def inner_width(options: Mapping[str, Any]) -> int:
    """F, of the feed-forward layers."""
    given = options["feed_forward_dim"]
    return 4 * int(options["dim"]) if given is None else int(given)


def encoder_config(options: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """What ``config.json`` tells of an encoder, and of the labels of a head, if there is one."""
    config: dict[str, Any] = {
        "hidden_size": options["dim"],
        "num_hidden_layers": options["depth"],
        "num_attention_heads": options["heads"],
        "intermediate_size": inner_width(options),
        "hidden_act": THEIR_ACTIVATIONS[options["activation"]],
        "hidden_dropout_prob": options["dropout"],
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": options["norm_eps"],
        "initializer_range": INITIAL_DEVIATION,
    }
    if labels:
        config["id2label"] = {str(row): label for row, label in enumerate(labels)}
        config["label2id"] = {label: row for row, label in enumerate(labels)}
    return config
