"""What every encoder promises, whatever its kind and its positions."""

import pytest
import torch

from regard import Ragged
from regard.nn import build_encoder

DIM, LENGTHS = 8, (4, 0, 1, 13, 0, 2)
KINDS = ("attention", "pointwise", "sliding", "convolution")
POSITIONS = ("relative", "sinusoidal", "learned", "rotary", "alibi", "none")
CHOICES = {
    "additive": {"score": "additive"},
    "relu": {"normalizer": "relu"},
    "sigmoid": {"normalizer": "sigmoid"},
    "post-norm": {"norm": "post"},
    "window": {"window": (2, 1)},
    "causal": {"causal": True},
}
ALL = [pytest.param(kind, {"positions": name}, id=f"{kind}-{name}") for kind in KINDS for name in POSITIONS]
ALL += [pytest.param("attention", options, id=f"attention-{name}") for name, options in CHOICES.items()]


def make(kind, **options):
    torch.manual_seed(0)
    encoder = build_encoder(kind, **({"dim": DIM, "depth": 2, "heads": 2, "position_reach": 13} | options)).double()
    for name, parameter in encoder.named_parameters():
        if parameter.dim() > 1:  # away from where they start
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(len(name)))
    return encoder


def batch(lengths=LENGTHS):
    rows = torch.randn(sum(lengths), DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Ragged.from_lengths(rows, lengths)


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_a_sequence_is_the_same_alone_and_among_others(kind, options):
    encoder, together = make(kind, **options), batch()
    for sequence, output in zip(together.unbind(), encoder(together).unbind(), strict=True):
        torch.testing.assert_close(encoder(Ragged.from_list([sequence])).values, output)


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_what_is_broken_in_one_sequence_stays_there(kind, options):
    encoder, together = make(kind, **options), batch()
    broken = together.values.clone()
    broken[4] = torch.nan  # the third sequence
    together.values.requires_grad_()
    whole, output = encoder(together), encoder(together.with_values(broken.requires_grad_()))
    for number, (expected, got) in enumerate(zip(whole.unbind(), output.unbind(), strict=True)):
        if number == 2:
            assert got.isnan().all()
        else:
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_a_gradient_reaches_every_parameter(kind, options):
    encoder, x = make(kind, **options), batch()
    (encoder(x).values * torch.randn(DIM, dtype=torch.float64)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("kind", "options"), ALL)
@pytest.mark.parametrize("lengths", [(), (0,), (0, 0), (1,)], ids=str)
def test_nothing_and_next_to_nothing(kind, options, lengths):
    x = batch(lengths)
    x.values.requires_grad_()
    output = make(kind, **options)(x)
    output.values.sum().backward()
    assert output.values.shape == x.values.shape
    assert output.values.isfinite().all()
    assert x.values.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "options", "before", "after"),
    [
        ("attention", {"window": 2}, 4, 4),
        ("attention", {"window": (1, 2)}, 2, 4),
        ("attention", {"window": (3, None), "causal": True}, 6, 0),
        ("attention", {"windows": [(1, 0), (2, 3)]}, 3, 3),
        ("attention", {}, 20, 20),
        ("attention", {"causal": True}, 20, 0),
        ("pointwise", {}, 0, 0),
        ("pointwise", {"window": 3}, 0, 0),
        ("sliding", {}, 2, 2),
        ("sliding", {"window": (3, 1)}, 3, 1),
        ("sliding", {"causal": True}, 2, 0),
        ("convolution", {}, 2, 2),
        ("convolution", {"window": (1, 3)}, 2, 6),
        ("convolution", {"window": 2, "causal": True}, 4, 0),
        ("convolution", {"windows": [(1, 0), (2, 3)]}, 3, 3),
    ],
)
def test_two_layers_see_so_far_and_no_further(kind, options, before, after):
    encoder, x = make(kind, positions="none", **options), batch([15])
    assert encoder.reach == tuple(None if side == 20 else side for side in (before, after))
    x.values.requires_grad_()
    output = encoder(x).values
    for place in (0, 7, 14):
        weights = torch.linspace(-1, 1, DIM, dtype=torch.float64) ** 3
        (by_input,) = torch.autograd.grad((output[place] * weights).sum(), x.values, retain_graph=True)
        seen = [row for row, gradient in enumerate(by_input) if gradient.abs().max() > 0]
        assert seen == list(range(max(0, place - before), min(15, place + after + 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_for_training_only(kind):
    encoder, x = make(kind, dropout=0.5), batch()
    torch.manual_seed(1)
    first = encoder(x).values
    assert not torch.equal(first, encoder(x).values)
    torch.manual_seed(1)
    assert torch.equal(first, encoder(x).values)
    encoder.eval()
    torch.testing.assert_close(encoder(x).values, make(kind)(x).values)


def test_order_matters_to_attention_only_with_positions():
    x = batch([6])
    turned = x.with_values(x.values.flip(0))
    for positions in POSITIONS:
        encoder = make("attention", positions=positions)
        same = torch.allclose(encoder(turned).values.flip(0), encoder(x).values)
        # A bias by |distance| looks the same in a mirror.
        assert same == (positions in ("none", "alibi")), positions


def test_attention_without_positions_sees_a_set():
    encoder, x = make("attention", positions="none"), batch([6])
    shuffled = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(encoder(x.with_values(x.values[shuffled])).values, encoder(x).values[shuffled])
    encoder = make("attention", positions="alibi")
    assert not torch.allclose(encoder(x.with_values(x.values[shuffled])).values, encoder(x).values[shuffled])
