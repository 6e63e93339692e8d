"""The options that all tasks share, once: name, default, choices, help line. CLI, TOML and Python keywords follow.

Those of one task are in the ``options`` of its folder.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from regard.data.encodings import UTF8, checked_delimiter, checked_encoding
from regard.data.lines import MIB, RECORD, UNPACKED
from regard.data.share import share_of
from regard.errors import ConfigError
from regard.front_ends import FRONT_ENDS

if TYPE_CHECKING:
    FrontEndName = str
    TargetName = str
else:
    FrontEndName = Literal[tuple(FRONT_ENDS)]
    TargetName = Literal[tuple(name for name, row in FRONT_ENDS.items() if row.target)]

Side = int | None
Window = int | tuple[Side, Side] | tuple[Side, Side, Side, Side] | None
Windows = tuple[Window, ...] | None
ImageSize = int | tuple[int, int] | None
C = TypeVar("C", bound="Config")


def option_of(panel: str) -> Callable[..., Any]:
    """Makes options of a panel; ``before`` is what a run has that was made when there was no such option."""

    def option(default: Any, description: str, *, before: Any = None, **rules: Any) -> Any:
        extra = {"panel": panel, "before": default if before is None else before}
        return Field(default, description=description, json_schema_extra=extra, **rules)

    return option


# What no network or machine of today comes near: a larger number is a slip, or was put there to take all memory.
WIDEST, DEEPEST, LONGEST = 2**16, 1000, 2**31
AUTO: Literal["auto"] = "auto"
BatchTokens = Annotated[int, Field(gt=0, le=LONGEST)] | Literal["auto"]
DEVICE = r"^(auto|(cpu|cuda|mps|xpu|hpu|npu|mtia|xla)(:\d+)?)$"

PANELS = ("Data", "Reading", "Network", "Training")  # Reading: what evaluation and prediction take too
data, reading, network, training = map(option_of, PANELS)


def _dev(given: Any) -> Any:
    """A share of train as the text that it is typed as; a number that is neither that nor a file is refused."""
    if isinstance(given, int | float) or (isinstance(given, str) and re.fullmatch(r"[\d.]+", given)):
        text = given if isinstance(given, str) else repr(given)
        if share_of(text) is None and not os.path.exists(text):
            raise ConfigError(f"dev: a file, or a share of train between 0 and 1, got {given!r}")
        return text
    return given


def _delimiter(text: str | None) -> str | None:
    return None if text is None else checked_delimiter(text)


class Config(BaseModel):
    """The options that all tasks share; ``config.toml`` of a run folder holds those of its task, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: ClassVar[str]
    learns: ClassVar[str]  # the goal, a name of `regard.data.goals.GOALS`
    writes: ClassVar[str | None] = None  # what predictions hold, if it is not the goal
    predicts_from: ClassVar[str | None] = None  # kind of items, where it is not the one of training

    train: str | None = data(None, "Training file or folder.")
    dev: Annotated[str | None, BeforeValidator(_dev)] = data(
        None,
        "File or folder to evaluate on while training, or a share of train, such as 0.1; keeps the best checkpoint.",
    )
    folds: int | None = data(
        None,
        "In the place of dev: also train so many times without a part of train, and tell mean and spread of the scores "
        "on these parts.",
        ge=2,
        le=WIDEST,
    )
    output: str | None = data(None, "Run folder to write.")
    audio_column: str = reading("audio", "Column or key of the recording (front_end=audio).")
    image_column: str = reading("image", "Column or key of the image (front_end=pixels or patches).")
    delimiter: Annotated[str | None, AfterValidator(_delimiter)] = reading(
        None, "What parts the cells of csv: a character, or tab, semicolon, pipe, comma; told by the header if unset."
    )
    encoding: Annotated[str, AfterValidator(checked_encoding)] = reading(
        UTF8, "Encoding of files of text: utf-8, cp1252, latin-1, utf-16, ..."
    )
    bad_records: Literal["refuse", "skip"] = reading(
        "refuse", "What becomes of records that cannot be used: an error, or they are left out and counted."
    )
    largest_record: int = reading(RECORD, "Largest record of a file (a line, a row, a text), in MiB.", gt=0, le=MIB)
    largest_unpacked: int = reading(
        UNPACKED,
        "Largest packed file (gzip, npz, Parquet) that is held in memory, in MiB when it is unpacked.",
        gt=0,
        le=MIB,
    )
    feature_cache: str | None = data(None, "Folder in which frames of recordings are kept from one pass to the next.")
    longest: int = data(20_000, "Longest sequence taken without a window, in items.", gt=0, le=LONGEST)
    longest_windowed: int = data(150_000, "Longest sequence taken in windows, or with one, in items.", gt=0, le=LONGEST)

    pretrained: str | None = network(
        None,
        "Run folder, or Hugging Face folder of a BERT, one of its kin or a ViT, whose encoder to start from; or "
        "minilm, a BERT of English in a package.",
    )
    architecture: Literal["bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra"] = network(
        "bert", "What a network of subwords is exported as; that of the weights to start from, if they have one."
    )
    continue_from: str | None = network(
        None, "Run folder of a finished model to go on with, its labels and head too; its options hold unless given."
    )
    front_end: FrontEndName = network("subwords", "How raw items become vectors.")
    tokenizer: str | None = network(
        None, "What cuts text into subwords: tokenizer.json, vocab.txt or a folder of one; learned from train if unset."
    )
    subword_model: Literal["bpe", "wordpiece"] = network("bpe", "Kind of the subwords that are learned.")
    subwords: int = network(8000, "Largest number of different subwords.", gt=0, le=2**24)
    lowercase: bool = network(False, "Whether subwords and characters are read in lower case.")
    case: bool = network(False, "Tell each subword how it was written, which a lower-casing tokenizer forgets.")
    sample_rate: int | None = network(
        None, "Hz to which recordings are brought; that of most, at most 16,000, if unset.", ge=1000, le=384_000
    )
    features: Literal["log-mel", "mfcc"] = network("log-mel", "What a frame of sound is told by.")
    bins: int = network(40, "Mel bands of a frame, or cepstra (mfcc).", gt=0, le=1024)
    frame_shift: float = network(10.0, "From one frame to the next, in ms.", gt=0, le=1000)
    frame_length: float = network(25.0, "What a frame hears, in ms.", gt=0, le=1000)
    subsample: int = network(2, "Frames that become one vector.", gt=0, le=1000)
    normalize: Literal["training", "utterance", "running"] = network(
        "training",
        "Scale of frames: that of all training data; of each recording; or of what has come of it, as streams can.",
    )
    image_size: ImageSize = network(
        None, "Rows and columns of pixels to which images are brought, one number for both; as they are if unset."
    )
    patch_size: int = network(4, "Rows and columns of pixels in a patch (front_end=patches).", gt=0, le=1024)
    patch_stride: int | None = network(
        None, "Pixels from one patch to the next; patch_size if unset, smaller where they overlap.", gt=0, le=1024
    )
    stem: Literal["linear", "convolution", "residual"] = network(
        "linear",
        "What makes a vector of a patch: one matrix; convolutions that halve the image again and again; or such with a "
        "residual block before each.",
    )
    class_token: bool = network(
        False, "As in ViT, a learned vector before the patches, and learned positions of their rows and columns."
    )
    encoder: Literal["attention", "pointwise", "sliding", "convolution"] = network(
        "attention", "What looks at the sequence."
    )
    dim: int = network(192, "Width of the network.", gt=0, le=WIDEST)
    embedding_dim: int | None = network(
        None, "Width of vectors before a matrix brings them to dim, as in ELECTRA; dim if unset.", gt=0, le=WIDEST
    )
    depth: int = network(3, "Number of layers.", ge=0, le=DEEPEST)
    heads: int = network(4, "Attention heads per layer.", gt=0, le=WIDEST)
    feed_forward_dim: int | None = network(
        None, "Inner width of the fully connected parts; 4 × dim if unset.", gt=0, le=4 * WIDEST
    )
    positions: Literal["relative", "sinusoidal", "learned", "rotary", "alibi", "none"] = network(
        "relative", "How order is told."
    )
    position_reach: int = network(
        16, "Distances told apart to each side (relative); longest sequence (learned).", gt=0, le=2**24
    )
    window: Window = network(
        None,
        "Truncated self-attention: w, or (left, right), items to each side; of images w, (vertical, horizontal), or "
        "(up, down, left, right); none for all.",
    )
    windows: Windows = network(None, "One window for each layer of the encoder, in the place of window.")
    causal: bool = network(False, "See only the past.")
    score: Literal["dot", "additive"] = network("dot", "How query and key are compared.")
    normalizer: Literal["softmax", "relu", "sigmoid"] = network("softmax", "How scores become weights.")
    norm: Literal["pre", "post"] = network("pre", "Layer norm before or after each part.")
    norm_eps: float = network(1e-5, "Added to the variance in every layer norm.", gt=0)
    embedding_norm: bool = network(False, "Layer norm on vectors and positions before the first layer.")
    activation: Literal["relu", "gelu", "gelu_tanh"] = network(
        "relu", "Between the two matrices of a fully connected part."
    )
    dropout: float = network(0.3, "Share of activations dropped in training.", ge=0, lt=1)
    implementation: str = network("auto", "Code that computes attention; never changes the meaning.")

    mask_frames: float = training(
        0.5, "SpecAugment: how much of the bands and times of frames is hidden in training; 0 for none.", ge=0, le=4
    )
    speed: float = training(
        0.0, "Training recordings are played slower or faster by this share, or as they are; 0 for none.", ge=0, lt=1
    )
    noise: str | None = training(
        None, "Mixed into half of the training recordings, 5 to 30 dB below: white, or a folder of recordings."
    )
    flip: bool = training(False, "Half of the training images are mirrored, left to right.")
    shift: int = training(0, "Pixels by which training images are moved at most; 0 for none.", ge=0, le=1024)
    crop: float = training(
        0.0, "Largest share of a training image's area that is cut off; the rest fills it; 0 for none.", ge=0, lt=1
    )
    color: float = training(
        0.0, "By which share brightness, contrast and colours of training images are changed; 0 for none.", ge=0, le=1
    )
    epochs: int = training(10, "Passes over the training data.", gt=0, le=LONGEST)
    batch_tokens: BatchTokens = training(
        1000, "Vectors in a batch, as the network reads them: of words, subwords, frames, ...; auto: what fits a GPU."
    )
    accumulate: int = training(1, "Batches summed before each step.", gt=0, le=WIDEST)
    sequence_parallel: int = training(
        1, "Processes that share each sequence, a part of its rows each; torchrun starts a multiple.", gt=0, le=WIDEST
    )
    compile: bool = training(
        False, "Let PyTorch compile the layers of encoder and decoder, for GPUs; the first step takes half a minute."
    )
    shard: bool = training(
        False, "Each process holds a part of weights, gradients and moments, not all of them; torchrun starts several."
    )
    learning_rate: float = training(2e-3, "Peak of the one-cycle schedule.", gt=0)
    layer_decay: float = training(
        1.0,
        "The rate of each layer is so much of the next one's, where a pretrained network is trained on.",
        gt=0,
        le=1,
    )
    warmup: float = training(0.1, "Share of the steps in which the rate rises.", ge=0, le=1)
    weight_decay: float = training(0.01, "AdamW's decay of matrices.", ge=0)
    clip: float = training(1.0, "Largest gradient norm; 0 for no limit.", ge=0)
    label_smoothing: float = training(0.1, "Share of each target spread over all labels.", ge=0, lt=1)
    average: float = training(0.998, "Decay of the running average of weights that is kept; 0 for none.", ge=0, lt=1)
    patience: int = training(0, "Stop after so many evaluations without a better one; 0 never.", ge=0)
    seed: int = training(1, "Same seed, same machine: same weights.", ge=0, lt=2**63)
    device: str = training("auto", "auto, cpu, cuda, cuda:1, ...", pattern=DEVICE)
    precision: Literal["auto", "float32", "bfloat16"] = training("auto", "auto: bfloat16 where a GPU has it.")
    checkpoint_seconds: float = training(60.0, "Write a resumable checkpoint this often, beside each epoch's.", ge=0)
    tensorboard: bool = training(False, "Also write TensorBoard events.")
    quiet: bool = training(False, "Show nothing but warnings and errors: no progress, no scores.")
    baselines: Literal["none", "simple", "all"] = training(
        "simple", "Compare with: simple counting; all adds trained encoders."
    )

    @property
    def goal(self) -> str:
        """What is learned of a sequence: labels of recordings are segments, of images masks."""
        return FRONT_ENDS[self.front_end].per_item if self.learns == "labels" else self.learns

    @property
    def gives(self) -> str:
        """What predictions hold."""
        return self.goal if self.writes is None else self.writes

    def of_part(self, part: str) -> Self:
        """The options as a front end is to read them, by the part of the network that it is."""
        if part != "front_end" or self.embedding_dim is None:
            return self
        return self.model_copy(update={"dim": self.embedding_dim})

    @property
    def is_grid(self) -> bool:
        """Whether the encoder's vectors stand in rows and columns: those of an image, with none of its class before."""
        return FRONT_ENDS[self.front_end].grid and not self.class_token

    @property
    def is_windowed(self) -> bool:
        """Whether every layer of the encoder has a window."""
        return self.window is not None if self.windows is None else None not in self.windows


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
        own = first.get("ctx", {}).get("error")
        if isinstance(own, ConfigError):  # of a function that checks the value
            raise own from None
        name = str(first["loc"][0])
        raise ConfigError(f"{name}: {first['msg'].lower()}, got {options[name]!r}") from None


def check_tokenizer(config: Config, front_ends: Iterable[str]) -> None:
    """Refuses a tokenizer where no front end cuts text into subwords, or where it is also said how to learn one.

    Raises:
        ConfigError: in both cases.
    """
    if config.tokenizer is None:
        return
    if "subwords" not in front_ends:
        raise ConfigError(
            f"tokenizer: it cuts text into subwords, got front_end '{config.front_end}'; set that to subwords"
        )
    for name in ("subword_model", "subwords", "lowercase"):
        given = getattr(config, name)
        if given != Config.model_fields[name].default:
            raise ConfigError(f"{name}: the tokenizer {config.tokenizer} has its own, got {given!r}; leave it out")


def describe(kind: type[Config], name: str) -> str:
    """The help line of an option."""
    return kind.model_fields[name].description or ""


def panel_of(kind: type[Config], name: str) -> str:
    """Data, Network or Training: what an option is about."""
    return str(extra_of(kind, name)["panel"])


def extra_of(kind: type[Config], name: str) -> dict[str, Any]:
    """What :func:`option_of` knows of an option beside its rules."""
    extra: Any = kind.model_fields[name].json_schema_extra
    return dict(extra)


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
