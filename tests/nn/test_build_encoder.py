import inspect
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard import ConfigError, Ragged
from regard.nn import MultiHeadAttention, build_decoder, build_encoder

SMALL = {"dim": 12, "depth": 2, "heads": 3}


def count(kind, **options):
    return sum(parameter.numel() for parameter in build_encoder(kind, **(SMALL | options)).parameters())


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("lstm", {}, "encoder must be one of attention, pointwise, sliding, convolution; got 'lstm'"),
        ("attention", {"positions": "absolute"}, "positions must be one of relative, .*none; got 'absolute'"),
        ("pointwise", {"positions": "absolute"}, "positions must be one of"),
        ("attention", {"norm": "both"}, "norm must be one of pre, post; got 'both'"),
        ("convolution", {"norm": "both"}, "norm must be one of pre, post; got 'both'"),
        ("attention", {"score": "cosine"}, "score must be one of dot, additive; got 'cosine'"),
        ("attention", {"normalizer": "max"}, "normalizer must be one of softmax, relu, sigmoid; got 'max'"),
        ("attention", {"activation": "swish"}, "activation must be one of relu, gelu, gelu_tanh; got 'swish'"),
        ("attention", {"heads": 5}, "dim must be a multiple of heads .*got dim 12 and 5 heads"),
        ("attention", {"heads": 4, "positions": "rotary"}, "must be even, got 3"),
        ("attention", {"window": -2}, "window must be None, a whole number .*got -2"),
        ("sliding", {"window": (1, 2, 3)}, r"window must be None, a whole number .*got \(1, 2, 3\)"),
        ("sliding", {"window": (2, None)}, r"a sliding encoder .* all sides must end; got \(2, None\)"),
        ("convolution", {"window": (None, 1)}, r"a convolution encoder .* all sides must end; got \(None, 1\)"),
        ("convolution", {"windows": [1, (None, 1)]}, r"a convolution encoder .* all sides must end; got \(None, 1\)"),
        ("attention", {"windows": [1, -2]}, "window must be None, a whole number .*got -2"),
        ("attention", {"windows": [1]}, r"windows must have one for each of the 2 layers, got 1: \[1\]"),
        ("attention", {"windows": [1, 2], "window": 3}, "window must then be None; got 3; leave one out"),
        ("sliding", {"windows": [1, 2]}, "only the first layer of a sliding encoder has a window; give it as window"),
    ],
)
def test_options_that_do_not_exist_are_refused_by_name(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder(kind, **(SMALL | options))


@pytest.mark.parametrize("kind", ["attention", "pointwise", "sliding", "convolution"])
def test_parameters_grow_linearly_with_the_inner_width(kind):
    one, two, three = (count(kind, feed_forward_dim=dim) for dim in (10, 20, 30))
    assert two - one == three - two > 0
    assert count(kind) == count(kind, feed_forward_dim=48)


@pytest.mark.parametrize("kind", ["attention", "pointwise", "sliding", "convolution"])
def test_no_layers_is_no_more_than_the_last_norm(kind):
    x = Ragged.from_list([torch.randn(3, 12)])
    torch.testing.assert_close(build_encoder(kind, **(SMALL | {"depth": 0}))(x).values, F.layer_norm(x.values, [12]))


def test_a_relative_table_is_no_wider_than_the_window():
    def width(**options):
        return build_encoder("attention", **SMALL, **options).order.tables.shape[-1]

    assert width() == 33
    assert width(position_reach=5) == 11
    assert width(window=3) == 7
    assert width(window=(2, None)) == 2 + 1 + 16
    assert width(causal=True) == 16 + 1
    assert width(windows=[3, (1, 5)]) == 3 + 1 + 5
    assert width(windows=[3, (None, 0)]) == 16 + 1 + 3


@pytest.mark.parametrize("build", [partial(build_encoder, "attention"), build_decoder])
def test_each_layer_has_its_window(build):
    windows = [(4, 0), None]
    for given in (windows, tuple(windows)):
        assert [layer.attention.window for layer in build(**SMALL, windows=given).layers] == windows
    one = build(**SMALL, window=2, positions="alibi")
    assert [layer.attention.window for layer in one.layers] == [2, 2]
    assert one.order.left == 2
    assert build(**SMALL, windows=windows, positions="alibi").order.left is None
    assert build(**SMALL | {"depth": 0}, windows=[], positions="alibi").order is None


def test_weights_are_not_dropped_unless_a_layer_is_asked_to():
    encoder = build_encoder("attention", **SMALL, dropout=0.3)
    chances = [part.dropout for part in encoder.modules() if isinstance(part, MultiHeadAttention)]
    assert chances == [0] * SMALL["depth"]


def test_the_activation_is_any_function():
    x = Ragged.from_list([torch.randn(3, 12)])
    torch.manual_seed(0)
    smooth = build_encoder("attention", **SMALL, activation=F.gelu)(x).values
    torch.manual_seed(0)
    torch.manual_seed(0)
    named = build_encoder("attention", **SMALL, activation="gelu")(x).values
    assert torch.equal(smooth, named)
    torch.manual_seed(0)
    assert not torch.equal(smooth, build_encoder("attention", **SMALL, activation=F.relu)(x).values)


@pytest.mark.parametrize("kind", ["attention", "pointwise"])
def test_vectors_with_their_positions_can_be_normed_before_the_first_layer(kind):
    x = Ragged.from_list([torch.randn(3, 12)])
    plain, normed = (
        build_encoder(kind, **(SMALL | {"depth": 0}), norm="post", positions="sinusoidal", embedding_norm=wanted)
        for wanted in (False, True)
    )
    torch.testing.assert_close(normed(x).values, F.layer_norm(plain(x).values, [12]))


@pytest.mark.parametrize("kind", ["attention", "sliding"])
def test_every_norm_has_the_same_epsilon(kind):
    encoder = build_encoder(kind, **SMALL, embedding_norm=True, norm_eps=0.25)
    norms = [part.eps for part in encoder.modules() if isinstance(part, nn.LayerNorm)]
    assert norms == [0.25] * (6 if kind == "attention" else 4)


def test_options_have_the_names_and_defaults_of_the_config():
    from regard.tasks.label.options import LabelConfig

    for name, parameter in inspect.signature(build_encoder).parameters.items():
        if name in LabelConfig.model_fields and name not in ("dim", "depth", "dropout"):
            assert parameter.default == LabelConfig.model_fields[name].default, name


def test_a_matrix_brings_narrow_vectors_to_the_width_of_the_layers():
    torch.manual_seed(0)
    options = {"positions": "none", "window": (2, 0)}
    narrow = build_encoder("attention", **SMALL, **options, embedding_dim=5, embedding_norm=True)
    plain = build_encoder("attention", **SMALL, **options)
    norm, matrix = narrow.embedding_norm
    plain.load_state_dict({name: x for name, x in narrow.state_dict().items() if not name.startswith("embedding_norm")})
    x = Ragged.from_list([torch.randn(3, 5), torch.randn(4, 5)])
    wanted = plain(x.with_values(F.linear(F.layer_norm(x.values, [5]), matrix.weight, matrix.bias)))
    assert norm.normalized_shape == (5,)
    torch.testing.assert_close(narrow(x).values, wanted.values)
    torch.testing.assert_close(narrow.extend(x, narrow.start(2)).values, wanted.values)
    learned = build_encoder("convolution", **SMALL, embedding_dim=5, positions="learned")
    assert (learned.positions.table.shape, learned(x).values.shape) == ((16, 5), (7, 12))
    same = build_encoder("attention", **SMALL, embedding_dim=12, embedding_norm=True)
    assert isinstance(same.embedding_norm, nn.LayerNorm)
