"""Tensors without numbers, on meta or of FakeTensorMode: every call gives the shapes and types of its results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import regard
from attention.both import Case, GridCase, make
from regard import UnsupportedError
from regard.attention.api import IMPLEMENTATIONS

RAGGED = {"ragged": True, "lengths": ((9, 9), (0, 0), (17, 17))}
IMAGE = GridCase(dtype=torch.float32, window=(1, 2), tables=(2, 1, 1, 1), key_heads=2, value_dim=5)
CASES: dict[str, Case | GridCase] = {
    "plain": Case(dtype=torch.float32, key_heads=2, group=2),
    "causal": Case(dtype=torch.bfloat16, causal=True),
    "window": Case(dtype=torch.float16, window=(3, 1), query_start=2, table=(2, 2), value_dim=5, dropout_p=0.1),
    "additive": Case(dtype=torch.float32, score="additive", normalizer="relu", key_mask=True),
    "bias": Case(dtype=torch.float64, bias=(True, True, True, True), normalizer="sigmoid"),
    "empty": Case(dtype=torch.float32, lengths=((4, 0),), window=2),
    "ragged": Case(dtype=torch.float32, **RAGGED),  # type: ignore[arg-type]
    "ragged-window": Case(dtype=torch.bfloat16, window=3, group=2, table=(1, 1), **RAGGED),  # type: ignore[arg-type]
    "cross": Case(dtype=torch.float32, window=(None, 2), ragged=True, lengths=((3, 5), (2, 0))),
    "image": IMAGE,
    "images": replace(IMAGE, ragged=True, sizes=((2, 3), (0, 4), (4, 2)), dilation=2, dtype=torch.bfloat16),
    "image, all pixels": replace(IMAGE, window=None),
    "image, shifted": replace(IMAGE, border="shift", score="additive", dropout_p=0.1),
}
REFUSES = {
    "triton": ["bias", *(name for name in CASES if "image" in name)],  # the bias is float64
    "native": ["bias", "image, all pixels", "image, shifted"],
    "sdpa": [name for name in CASES if name not in ("plain", "causal")],
}
GIVES_NO_WEIGHTS = [("sdpa", name) for name in CASES] + [("native", name) for name in CASES if "image" in name]
TABLE = [
    (implementation, name)
    for implementation in (*IMPLEMENTATIONS, "auto")
    for name in CASES
    if name not in REFUSES.get(implementation, [])
]


def _on_meta(options: dict[str, Any], offsets_on: str) -> dict[str, Any]:
    """With tensors on meta, but those of where sequences lie where it is said."""
    devices = dict.fromkeys(("offsets", "key_offsets", "size"), offsets_on)
    return {name: x.to(devices.get(name, "meta")) if isinstance(x, Tensor) else x for name, x in options.items()}


@pytest.mark.parametrize(("implementation", "name"), TABLE)
@pytest.mark.parametrize("offsets_on", ["cpu", "meta"])
def test_meta(implementation: str, name: str, offsets_on: str) -> None:
    real, call = make(CASES[name]), make(CASES[name])
    call.leaves = {leaf: x.to("meta").requires_grad_() for leaf, x in call.leaves.items()}
    call.options = _on_meta(call.options, offsets_on)
    output, expected = call.attend(implementation), real.attend("reference")
    assert output.is_meta
    assert (output.shape, output.dtype) == (expected.shape, expected.dtype)
    for gradient, leaf in zip(
        torch.autograd.grad(output.sum(), list(call.leaves.values())), call.leaves.values(), strict=True
    ):
        assert gradient.is_meta
        assert (gradient.shape, gradient.dtype) == (leaf.shape, leaf.dtype)


@pytest.mark.parametrize(("implementation", "name"), [run for run in TABLE if run not in GIVES_NO_WEIGHTS])
def test_weights_on_meta(implementation: str, name: str) -> None:
    real, call = make(CASES[name]), make(CASES[name])
    call.leaves = {leaf: x.to("meta") for leaf, x in call.leaves.items()}
    call.options = _on_meta(call.options, "cpu")
    weights, expected = call.weights(implementation), real.weights("reference")
    of_images = isinstance(weights, regard.GridWeights)
    for part in ("values", "first_row", "first_column") if of_images else ("values", "first", "key_lengths"):
        actual, exact = getattr(weights, part), getattr(expected, part)
        assert actual.is_meta
        assert (actual.shape, actual.dtype) == (exact.shape, exact.dtype), part


def test_weights_say_what_they_need() -> None:
    x, offsets = torch.zeros(8, 2, 4, device="meta"), torch.tensor([0, 3, 8])
    with pytest.raises(UnsupportedError, match=r"must know where sequences begin.*give it offsets on the CPU"):
        regard.attention_weights(x, x, offsets=offsets.to("meta"))
    with pytest.raises(UnsupportedError, match=r"attention_weights2d must know where sequences begin"):
        regard.attention_weights2d(x, x, size=[(3, 1), (5, 1)], offsets=offsets.to("meta"))
    with FakeTensorMode(), pytest.raises(UnsupportedError, match="must know where sequences begin"):
        regard.attention_weights(torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 8, 4), window=2)
    with FakeTensorMode(), pytest.raises(UnsupportedError, match="must know where sequences begin"):
        regard.attention_weights2d(torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 8, 4), size=(2, 4))


def test_fake_images() -> None:
    """Nobody looks whether a table hides something, or where an image begins."""
    with FakeTensorMode():
        bias = regard.GridBias(torch.zeros(2, 3), torch.zeros(2, 3))
        ragged = {"size": [(2, 4), (2, 2)], "offsets": torch.tensor([0, 8, 12])}
        for shape, images in (((1, 2, 12, 4), {"size": (3, 4)}), ((12, 2, 4), ragged)):
            x = torch.randn(shape, requires_grad=True)
            for options in ({"window": 1}, {"bias": bias}):
                output = regard.attend2d(x, x, x, **images, **options)
                assert torch.autograd.grad(output.sum(), x)[0].shape == output.shape == x.shape


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "auto"])
def test_fake_tensors(implementation: str) -> None:
    """The kernels would read from address 0."""
    window = None if implementation == "sdpa" else 2
    with FakeTensorMode():
        x = torch.randn(1, 2, 300, 4, requires_grad=True)
        output = regard.attend(x, x, x, window=window, implementation=implementation)
        assert torch.autograd.grad(output.sum(), x)[0].shape == output.shape == x.shape
    x = torch.randn(1, 2, 300, 4)
    output = regard.attend(x, x, x, window=window, implementation=implementation)
    assert type(output) is Tensor  # nothing of the other is remembered


def test_autocast_takes_no_notice_of_meta() -> None:
    x = torch.zeros(1, 2, 8, 4, device="meta")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert regard.attend(x, x, x, window=2).dtype == torch.float32
