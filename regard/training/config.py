"""Every option, once: its name, default, choices and help line. The CLI, TOML files and Python keywords all follow this."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regard.errors import ConfigError

Window = int | tuple[int | None, int | None] | None


class Config(BaseModel):
    """What `regard train label` takes; ``config.toml`` of a run folder is this, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Data
    train: Annotated[str | None, Field(description="Training file.")] = None
    dev: Annotated[str | None, Field(description="File to evaluate on while training; keeps the best checkpoint.")] = None
    output: Annotated[str | None, Field(description="Run folder to write.")] = None
    format: Annotated[
        Literal["auto", "conllu", "columns", "jsonl", "tsv"], Field(description="Format of the files; auto goes by name.")
    ] = "auto"
    column: Annotated[str, Field(description="Which label to learn: upos, xpos, feats, ... or a column number.")] = "upos"
    longest: Annotated[int, Field(gt=0, description="Longest sequence taken without a window, in items.")] = 20_000
    unseen_labels: Annotated[
        Literal["refuse", "count-wrong"], Field(description="Labels outside the training data when evaluating.")
    ] = "refuse"

    # Network
    front_end: Annotated[Literal["words", "vectors"], Field(description="How raw items become vectors.")] = "words"
    encoder: Annotated[
        Literal["attention", "pointwise", "sliding", "convolution"], Field(description="What looks at the sequence.")
    ] = "attention"
    dim: Annotated[int, Field(gt=0, description="Width of the network.")] = 192
    depth: Annotated[int, Field(ge=0, description="Number of layers.")] = 3
    heads: Annotated[int, Field(gt=0, description="Attention heads per layer.")] = 4
    feed_forward_dim: Annotated[int | None, Field(description="Inner width of the fully connected parts; 4 × dim if unset.")] = None
    positions: Annotated[
        Literal["relative", "sinusoidal", "learned", "rotary", "alibi", "none"], Field(description="How order is told.")
    ] = "relative"
    position_reach: Annotated[
        int, Field(gt=0, description="Distances told apart to each side (relative); longest sequence (learned).")
    ] = 16
    window: Annotated[
        Window, Field(description="Truncated self-attention: w, or (left, right), items to each side; none for all.")
    ] = None
    causal: Annotated[bool, Field(description="See only the past.")] = False
    score: Annotated[Literal["dot", "additive"], Field(description="How query and key are compared.")] = "dot"
    normalizer: Annotated[Literal["softmax", "relu", "sigmoid"], Field(description="How scores become weights.")] = "softmax"
    norm: Annotated[Literal["pre", "post"], Field(description="Layer norm before or after each part.")] = "pre"
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of activations dropped in training.")] = 0.3
    implementation: Annotated[str, Field(description="Code that computes attention; never changes the meaning.")] = "auto"

    # Training
    epochs: Annotated[int, Field(gt=0, description="Passes over the training data.")] = 20
    batch_tokens: Annotated[int, Field(gt=0, description="Items (words, vectors) in a batch.")] = 1000
    accumulate: Annotated[int, Field(gt=0, description="Batches summed before each step.")] = 1
    learning_rate: Annotated[float, Field(gt=0, description="Peak of the one-cycle schedule.")] = 2e-3
    warmup: Annotated[float, Field(ge=0, le=1, description="Share of the steps in which the rate rises.")] = 0.1
    weight_decay: Annotated[float, Field(ge=0, description="AdamW's decay of matrices.")] = 0.01
    clip: Annotated[float, Field(ge=0, description="Largest gradient norm; 0 for no limit.")] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="Share of each target spread over all labels.")] = 0.1
    average: Annotated[float, Field(ge=0, lt=1, description="Decay of the running average of weights that is kept; 0 for none.")] = 0.998
    patience: Annotated[int, Field(ge=0, description="Stop after so many evaluations without a better one; 0 never.")] = 0
    seed: Annotated[int, Field(ge=0, description="Same seed, same machine: same weights.")] = 1
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:1, ...")] = "auto"
    precision: Annotated[Literal["auto", "float32", "bfloat16"], Field(description="auto: bfloat16 where a GPU has it.")] = "auto"
    checkpoint_seconds: Annotated[float, Field(ge=0, description="Write a resumable checkpoint this often, beside each epoch's.")] = 60.0
    tensorboard: Annotated[bool, Field(description="Also write TensorBoard events.")] = False
    baselines: Annotated[
        Literal["none", "simple", "all"], Field(description="Compare with: simple counting; all adds trained encoders.")
    ] = "simple"


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
