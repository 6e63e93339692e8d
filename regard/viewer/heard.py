"""What is heard of one call of attention, and where."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.attention import AttentionWeights
from regard.errors import ConfigError, ShapeError

CROSSING = ("cross", "encoder_attn", "encdec", "enc_attn", "src_attn")  # in names of attentions to another sequence

HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head")


@dataclass(frozen=True, eq=False)
class Heard:
    """The weights of one example.

    Arguments:
        weights: dense, ``[1, H, Q, W]``.
        crosses: whether another sequence is attended to.
        module: that made them, where it is a part of the one that was asked.
    """

    weights: AttentionWeights
    crosses: bool = False
    module: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """Where something was heard.

    Arguments:
        name: of the innermost module within the one that is recorded.
        module: itself.
        example: which of the batch is kept.
        room: bytes that weights may take.
    """

    name: str
    module: nn.Module
    example: int
    room: float

    @property
    def attends(self) -> bool:
        """Whether it is an attention by its name or that of its class."""
        return is_attention(*self.name.split(".")[-2:], type(self.module).__name__)

    @property
    def heads(self) -> int | None:
        """How many it has, where it says so."""
        found = (getattr(self.module, name, None) for name in HEADS)
        return next((heads for heads in found if isinstance(heads, int)), None)

    @property
    def crosses(self) -> bool:
        """Whether its name says that another sequence is attended to."""
        given = getattr(self.module, "is_cross_attention", None)
        return any(word in self.name.lower() for word in CROSSING) if given is None else bool(given)

    def of(self, x: Tensor) -> Tensor:
        """The example of a batch ``[B, ...]``, as a batch of one."""
        if len(x) == 1:  # shared by all
            return x
        self.check_example(len(x))
        return x[self.example][None]

    def check_example(self, there: int) -> None:
        """Refuses to take an example that a batch of so many has not; of none the network goes on."""
        if not there:
            raise ShapeError("its batch is empty")
        if self.example >= there:
            raise ConfigError(f"example: there are {there} in the batch of '{self.name}', from 0; got {self.example}")

    def check_room(self, heads: int, queries: int, keys: int) -> None:
        """Refuses weights that would fill the memory."""
        needed = 4 * heads * queries * keys
        if needed > self.room:
            raise ShapeError(
                f"{heads} heads of {queries:,} × {keys:,} weights take {needed / 2**30:,.1f} GiB, more than there is; "
                "record a shorter sequence, or an attention with a window"
            )


def is_attention(*names: str) -> bool:
    """Whether one of the names is that of an attention.

    >>> is_attention("self_attn"), is_attention("Att"), is_attention("attribute", "softmax")
    (True, True, False)
    """
    return any(name == "att" or "attn" in name or "atten" in name for name in map(str.lower, names))


def whole_weights(weights: Tensor, query_start: int = 0) -> AttentionWeights:
    """Of every pair, ``[1, H, Q, K]``."""
    Q, K = weights.shape[-2:]
    return AttentionWeights(weights, torch.zeros(Q, dtype=torch.int64), torch.tensor([K]), query_start)


def trimmed(weights: AttentionWeights, seen: Tensor, *, crosses: bool) -> AttentionWeights:
    """Without padding: the keys ``[K]`` before the first and after the last that is seen, and these as queries."""
    K, Q = int(weights.key_lengths), weights.values.shape[2]
    places = seen.nonzero().flatten().tolist()
    if not places or (start := places[0], stop := places[-1] + 1) == (0, K):
        return weights
    values, first = weights.values, weights.first
    if Q == K and not crosses:
        values, first = values[:, :, start:stop], first[start:stop]
    if is_whole(weights):
        values, first = values[..., start:stop], first + start
    before = max(0, weights.query_start - start) if Q < K else weights.query_start
    return AttentionWeights(values, first - start, weights.key_lengths.new_tensor([stop - start]), before)


def is_whole(weights: AttentionWeights) -> bool:
    """Whether they are those of every pair, and not a band."""
    return weights.values.shape[-1] == int(weights.key_lengths) and not bool(weights.first.any())


def beside(given: list[Tensor]) -> list[Tensor]:
    """With as many axes before ``[H, N, D]`` each, so that a mask ``[H, Q, K]`` holds for every example."""
    if any(x.is_nested for x in given):
        return given
    batch = torch.broadcast_shapes(*(x.shape[:-3] for x in given))  # type: ignore[no-untyped-call]
    return [x.expand(*batch, *x.shape[-3:]) if x.dim() > 2 or batch else x for x in given]


def one_of(place: Place, x: Tensor) -> Tensor:
    """The example of what PyTorch's kernels take, ``[..., H, N, D]``, as ``[1, H, N, D]``; without H there is one."""
    if x.is_nested:
        x = x.unbind()[place.example][None]
    if x.dim() < 4:
        x = x.expand(1, *x.shape[-2:])[:, None] if x.dim() == 2 else x[:, None]
    return place.of(x.flatten(0, -4))


def is_bool(mask: Tensor) -> bool:
    return mask.dtype == torch.bool


def lets_see(mask: Tensor) -> Tensor:
    """Where it lets see: instead of −inf many add the least number that there is."""
    return mask if is_bool(mask) else mask > torch.finfo(mask.dtype).min / 2
