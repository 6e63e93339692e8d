"""An encoder within other windows than it was made with: the same as one that was made with them."""

import pytest
import torch

from regard import ConfigError, Ragged
from regard.nn import build_encoder, set_window

SMALL = {"dim": 12, "depth": 2, "heads": 3, "position_reach": 3}
WINDOWS = [{"window": None}, {"window": (9, 4)}, {"windows": [(3, 5), (7, 3)]}]


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", ["relative", "sinusoidal", "rotary", "alibi", "none"])
def test_the_window_alone_is_another(positions, causal, windows):
    torch.manual_seed(1)
    encoder, other = (
        build_encoder("attention", **SMALL, positions=positions, causal=causal, **given)
        for given in ({"window": (5, 3)}, windows)
    )
    other.load_state_dict(encoder.state_dict())
    batch = Ragged.from_list([torch.randn(30, 12), torch.randn(2, 12)])
    before = encoder(batch).values
    set_window(encoder, **windows)
    assert encoder.reach == other.reach
    torch.testing.assert_close(encoder(batch).values, other(batch).values, atol=1e-5, rtol=1e-5)
    set_window(encoder, (5, 3))
    torch.testing.assert_close(encoder(batch).values, before, atol=1e-6, rtol=1e-6)


def test_what_cannot_be_given_another_window():
    for kind in ("pointwise", "sliding", "convolution"):
        with pytest.raises(ConfigError, match="only an encoder that attends can be given another, got one that reads"):
            set_window(build_encoder(kind, **SMALL), 2)
    encoder = build_encoder("attention", **SMALL)
    with pytest.raises(ConfigError, match="windows must have one for each of the 2 layers, got 1"):
        set_window(encoder, windows=[2])
    with pytest.raises(ConfigError, match="window must be None, a whole number"):
        set_window(encoder, (2, -1))
    assert encoder.reach == (None, None)
    set_window(build_encoder("attention", **SMALL | {"depth": 0}, positions="alibi"), 2)
