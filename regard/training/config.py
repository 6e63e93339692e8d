"""Every option, once: its name, default, choices and help line. CLI, TOML files and Python keywords follow this."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regard.errors import ConfigError

Window = int | tuple[int | None, int | None] | None


class Config(BaseModel):
    """What `regard train label` takes; ``config.toml`` of a run folder is this, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Data
    train: str | None = Field(None, description="Training file.")
    dev: str | None = Field(None, description="File to evaluate on while training; keeps the best checkpoint.")
    output: str | None = Field(None, description="Run folder to write.")
    format: Literal["auto", "conllu", "columns", "jsonl", "tsv", "npz"] = Field(
        "auto", description="Format of the files; auto goes by name."
    )
    column: str = Field("upos", description="Which label to learn: upos, xpos, feats, ... or a column number.")
    longest: int = Field(20_000, gt=0, description="Longest sequence taken without a window, in items.")
    unseen_labels: Literal["refuse", "count-wrong"] = Field(
        "refuse", description="Labels outside the training data when evaluating."
    )

    # Network
    front_end: Literal["words", "vectors"] = Field("words", description="How raw items become vectors.")
    encoder: Literal["attention", "pointwise", "sliding", "convolution"] = Field(
        "attention", description="What looks at the sequence."
    )
    dim: int = Field(192, gt=0, description="Width of the network.")
    depth: int = Field(3, ge=0, description="Number of layers.")
    heads: int = Field(4, gt=0, description="Attention heads per layer.")
    feed_forward_dim: int | None = Field(
        None, description="Inner width of the fully connected parts; 4 × dim if unset."
    )
    positions: Literal["relative", "sinusoidal", "learned", "rotary", "alibi", "none"] = Field(
        "relative", description="How order is told."
    )
    position_reach: int = Field(
        16, gt=0, description="Distances told apart to each side (relative); longest sequence (learned)."
    )
    window: Window = Field(
        None, description="Truncated self-attention: w, or (left, right), items to each side; none for all."
    )
    causal: bool = Field(False, description="See only the past.")
    score: Literal["dot", "additive"] = Field("dot", description="How query and key are compared.")
    normalizer: Literal["softmax", "relu", "sigmoid"] = Field("softmax", description="How scores become weights.")
    norm: Literal["pre", "post"] = Field("pre", description="Layer norm before or after each part.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of activations dropped in training.")
    implementation: str = Field("auto", description="Code that computes attention; never changes the meaning.")

    # Training
    epochs: int = Field(10, gt=0, description="Passes over the training data.")
    batch_tokens: int = Field(1000, gt=0, description="Items (words, vectors) in a batch.")
    accumulate: int = Field(1, gt=0, description="Batches summed before each step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak of the one-cycle schedule.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of matrices.")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 for no limit.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of each target spread over all labels.")
    average: float = Field(
        0.998, ge=0, lt=1, description="Decay of the running average of weights that is kept; 0 for none."
    )
    patience: int = Field(0, ge=0, description="Stop after so many evaluations without a better one; 0 never.")
    seed: int = Field(1, ge=0, description="Same seed, same machine: same weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, ...")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where a GPU has it.")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="Write a resumable checkpoint this often, beside each epoch's."
    )
    tensorboard: bool = Field(False, description="Also write TensorBoard events.")
    baselines: Literal["none", "simple", "all"] = Field(
        "simple", description="Compare with: simple counting; all adds trained encoders."
    )


def make_config(options: dict[str, Any]) -> Config:
    """Checked options.

    Raises:
        ConfigError: an unknown name, with the nearest known one, or a value that the option does not take.
    """
    for name in options:
        if name not in Config.model_fields:
            near = get_close_matches(name, Config.model_fields, n=1)
            raise ConfigError(f"unknown option '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    try:
        return Config(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(f"{name}: {first['msg'].lower()}, got {options[name]!r}") from None


def describe(name: str) -> str:
    """The help line of an option."""
    return Config.model_fields[name].description or ""


def defaults() -> dict[str, Any]:
    return {name: field.default for name, field in Config.model_fields.items()}
