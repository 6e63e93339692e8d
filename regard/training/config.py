"""Every option, once: its name, default, choices and help line. CLI, TOML files and Python keywords follow this."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regard.errors import ConfigError

Window = int | tuple[int | None, int | None] | None
C = TypeVar("C", bound="Config")


def _option(panel: str) -> Callable[..., Any]:
    def option(default: Any, description: str, **rules: Any) -> Any:
        return Field(default, description=description, json_schema_extra={"panel": panel}, **rules)

    return option


_data, _network, _training = (_option(panel) for panel in ("Data", "Network", "Training"))


class Config(BaseModel):
    """The options that all tasks share; ``config.toml`` of a run folder holds those of its task, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: ClassVar[str]

    train: str | None = _data(None, "Training file.")
    dev: str | None = _data(None, "File to evaluate on while training; keeps the best checkpoint.")
    output: str | None = _data(None, "Run folder to write.")
    longest: int = _data(20_000, "Longest sequence taken without a window, in items.", gt=0)

    pretrained: str | None = _network(None, "Run folder, or Hugging Face BERT folder, whose encoder to start from.")
    front_end: Literal["words", "subwords", "characters", "symbols", "vectors"] = _network(
        "subwords", "How raw items become vectors."
    )
    tokenizer: str | None = _network(
        None, "What cuts text into subwords: tokenizer.json, vocab.txt or a folder of one; learned from train if unset."
    )
    subword_model: Literal["bpe", "wordpiece"] = _network("bpe", "Kind of the subwords that are learned.")
    subwords: int = _network(8000, "Largest number of different subwords.", gt=0)
    lowercase: bool = _network(False, "Whether subwords and characters are read in lower case.")
    case: bool = _network(False, "Tell each subword how it was written, which a lower-casing tokenizer forgets.")
    encoder: Literal["attention", "pointwise", "sliding", "convolution"] = _network(
        "attention", "What looks at the sequence."
    )
    dim: int = _network(192, "Width of the network.", gt=0)
    depth: int = _network(3, "Number of layers.", ge=0)
    heads: int = _network(4, "Attention heads per layer.", gt=0)
    feed_forward_dim: int | None = _network(None, "Inner width of the fully connected parts; 4 × dim if unset.")
    positions: Literal["relative", "sinusoidal", "learned", "rotary", "alibi", "none"] = _network(
        "relative", "How order is told."
    )
    position_reach: int = _network(
        16, "Distances told apart to each side (relative); longest sequence (learned).", gt=0
    )
    window: Window = _network(None, "Truncated self-attention: w, or (left, right), items to each side; none for all.")
    causal: bool = _network(False, "See only the past.")
    score: Literal["dot", "additive"] = _network("dot", "How query and key are compared.")
    normalizer: Literal["softmax", "relu", "sigmoid"] = _network("softmax", "How scores become weights.")
    norm: Literal["pre", "post"] = _network("pre", "Layer norm before or after each part.")
    norm_eps: float = _network(1e-5, "Added to the variance in every layer norm.", gt=0)
    embedding_norm: bool = _network(False, "Layer norm on vectors and positions before the first layer.")
    activation: Literal["relu", "gelu"] = _network("relu", "Between the two matrices of a fully connected part.")
    dropout: float = _network(0.3, "Share of activations dropped in training.", ge=0, lt=1)
    implementation: str = _network("auto", "Code that computes attention; never changes the meaning.")

    epochs: int = _training(10, "Passes over the training data.", gt=0)
    batch_tokens: int = _training(1000, "Items (words, vectors) in a batch.", gt=0)
    accumulate: int = _training(1, "Batches summed before each step.", gt=0)
    learning_rate: float = _training(2e-3, "Peak of the one-cycle schedule.", gt=0)
    layer_decay: float = _training(
        1.0,
        "The rate of each layer is so much of the next one's, where a pretrained network is trained on.",
        gt=0,
        le=1,
    )
    warmup: float = _training(0.1, "Share of the steps in which the rate rises.", ge=0, le=1)
    weight_decay: float = _training(0.01, "AdamW's decay of matrices.", ge=0)
    clip: float = _training(1.0, "Largest gradient norm; 0 for no limit.", ge=0)
    label_smoothing: float = _training(0.1, "Share of each target spread over all labels.", ge=0, lt=1)
    average: float = _training(0.998, "Decay of the running average of weights that is kept; 0 for none.", ge=0, lt=1)
    patience: int = _training(0, "Stop after so many evaluations without a better one; 0 never.", ge=0)
    seed: int = _training(1, "Same seed, same machine: same weights.", ge=0)
    device: str = _training("auto", "auto, cpu, cuda, cuda:1, ...")
    precision: Literal["auto", "float32", "bfloat16"] = _training("auto", "auto: bfloat16 where a GPU has it.")
    checkpoint_seconds: float = _training(60.0, "Write a resumable checkpoint this often, beside each epoch's.", ge=0)
    tensorboard: bool = _training(False, "Also write TensorBoard events.")
    baselines: Literal["none", "simple", "all"] = _training(
        "simple", "Compare with: simple counting; all adds trained encoders."
    )


class LabelConfig(Config):
    """What `regard train label` takes."""

    task = "label"

    format: Literal["auto", "conllu", "columns", "jsonl", "tsv", "npz"] = _data(
        "auto", "Format of the files; auto goes by name."
    )
    column: str = _data("upos", "Which label to learn: upos, xpos, feats, ... or a column number.")
    unseen_labels: Literal["refuse", "count-wrong"] = _data(
        "refuse", "Labels outside the training data when evaluating."
    )
    front_end: Literal["words", "subwords", "characters", "symbols", "vectors"] = _network(
        "words", "How raw items become vectors."
    )


class ClassifyConfig(Config):
    """What `regard train classify` takes."""

    task = "classify"

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "ts", "npz", "folder"] = _data(
        "auto", "Format of the files; auto goes by name."
    )
    column: str = _data("label", "Column or key of the label.")
    text_column: str = _data("text", "Column or key of the text.")
    unseen_labels: Literal["refuse", "count-wrong"] = _data(
        "refuse", "Labels outside the training data when evaluating."
    )
    pooling: Literal["mean", "max", "query", "first", "bert"] = _network(
        "query", "How a sequence becomes one vector; query is a learned one that attends to it, bert a layer on first."
    )
    class_weights: Literal["none", "balanced"] = _training(
        "none", "balanced: rare classes count as much as frequent ones."
    )


class TransduceConfig(Config):
    """What `regard train transduce` takes."""

    task = "transduce"

    train_target: str | None = _data(None, "Target side of the training file, where it is a file of its own.")
    dev_target: str | None = _data(None, "Target side of the dev file, where it is a file of its own.")
    format: Literal["auto", "lines", "tsv", "csv", "jsonl", "parquet"] = _data(
        "auto", "Format of the files; auto goes by name."
    )
    source_column: str = _data("source", "Column or key of the source.")
    target_column: str = _data("target", "Column or key of the target.")
    longest: int = _data(1000, "Longest source or target taken, in items.", gt=0)
    dim: int = _network(256, "Width of the network.", gt=0)
    dropout: float = _network(0.2, "Share of activations dropped in training.", ge=0, lt=1)
    target_units: Literal["subwords", "characters", "symbols"] = _network(
        "subwords", "What the target is made of; symbols stand between blanks."
    )
    shared_vocabulary: bool = _network(False, "One table of subwords for source and target.")
    tied: bool = _network(True, "The output matrix is the table of target vectors.")
    decoder_depth: int | None = _network(None, "Number of decoder layers; depth if unset.", ge=0)
    batch_tokens: int = _training(3000, "Items of source and target in a batch.", gt=0)
    beam: int = _training(4, "Hypotheses kept in decoding; 1 is greedy. Evaluations while training are greedy.", gt=0)
    length_penalty: float = _training(1.0, "Score = log probability / length ^ penalty.", ge=0)
    longest_output: float = _training(
        2.0, "Outputs are cut, with a warning, at 20 items and so many times the length of the source.", gt=0
    )
    select: Literal["auto", "bleu", "chrf", "exact"] = _training(
        "auto", "Metric that chooses the weights: auto is bleu for subwords, else exact."
    )


class PretrainConfig(Config):
    """What `regard train pretrain` takes."""

    task = "pretrain"

    longest: int = _data(512, "Longer sequences are read in windows of so many items.", gt=0)
    dropout: float = _network(0.1, "Share of activations dropped in training.", ge=0, lt=1)
    batch_tokens: int = _training(4000, "Items in a batch.", gt=0)
    label_smoothing: float = _training(0.0, "Share of each target spread over all tokens.", ge=0, lt=1)
    mask_share: float = _training(0.15, "Share of the items that are to be guessed.", gt=0, lt=1)
    whole_words: bool = _training(False, "Hide all subwords of a word together.")


CONFIGS: dict[str, type[Config]] = {
    kind.task: kind for kind in (LabelConfig, ClassifyConfig, TransduceConfig, PretrainConfig)
}


def make_config(kind: type[C], options: dict[str, Any]) -> C:
    """Checked options of a task.

    Raises:
        ConfigError: an unknown name, with the nearest known one, or a value that the option does not take.
    """
    for name in options:
        if name not in kind.model_fields:
            near = get_close_matches(name, kind.model_fields, n=1)
            raise ConfigError(f"unknown option '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(f"{name}: {first['msg'].lower()}, got {options[name]!r}") from None


def describe(kind: type[Config], name: str) -> str:
    """The help line of an option."""
    return kind.model_fields[name].description or ""


def panel_of(kind: type[Config], name: str) -> str:
    """Data, Network or Training: what an option is about."""
    extra = kind.model_fields[name].json_schema_extra
    return str(extra["panel"]) if isinstance(extra, dict) else ""


F = TypeVar("F", bound=Callable[..., Any])


def with_options(kind: type[Config], *panels: str) -> Callable[[F], F]:
    """A function whose ``**options`` are options of a task: its signature names those of the panels, with defaults."""

    def signed(function: F) -> F:
        own = [part for part in inspect.signature(function).parameters.values() if part.kind != part.VAR_KEYWORD]
        taken = {part.name for part in own}
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in kind.model_fields.items()
            if panel_of(kind, name) in panels and name not in taken
        ]
        function.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
        return function

    return signed
