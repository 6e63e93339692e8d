import pytest
import torch

from regard.nn import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_a_share_p_is_zero_and_the_mean_stays(p):
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.ones(200, 1001))
    share, p = (dropped == 0).double().mean().item(), round(256 * p) / 256
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / dropped.numel()) ** 0.5)
    torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([1 / (1 - p)]))


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    zero = (Dropout(0.5)(torch.ones(400_000)) == 0).double() - 0.5
    for lag in (1, 2, 3, 4, 8, 64):
        assert abs((zero[lag:] * zero[:-lag]).mean().item()) < 0.25 * 5 / 400_000**0.5


def test_the_gradient_is_dropped_where_the_value_is():
    torch.manual_seed(0)
    x = torch.full((7, 5), 2.0, requires_grad=True)
    output = Dropout(0.5)(x)
    output.sum().backward()
    torch.testing.assert_close(x.grad * 2, output)


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (3, 5, 7)])
def test_any_shape_layout_and_dtype(shape):
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = torch.ones(shape, dtype=dtype).T if len(shape) == 2 else torch.ones(shape, dtype=dtype)
        output = Dropout(0.5)(x)
        assert output.shape == x.shape
        assert output.dtype == dtype
        assert set(output.flatten().tolist()) <= {0.0, 2.0}


def test_the_same_seed_drops_the_same():
    dropout, x = Dropout(0.4), torch.ones(50)
    torch.manual_seed(3)
    first = dropout(x)
    assert not torch.equal(first, dropout(x))
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x))


def test_nothing_is_dropped_outside_training_or_with_p_0():
    x = torch.randn(9)
    assert Dropout(0.9).eval()(x) is x
    assert Dropout(0.0)(x) is x
