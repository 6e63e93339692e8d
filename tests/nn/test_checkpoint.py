import pytest
import torch
from torch.utils.checkpoint import checkpoint

from regard import Ragged
from regard.nn import build_encoder


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("positions", ["relative", "rotary", "sinusoidal"])
def test_an_encoder_under_a_checkpoint_learns_the_same(positions, use_reentrant):
    torch.manual_seed(0)
    encoder = build_encoder("attention", dim=16, depth=2, heads=2, window=2, positions=positions, dropout=0.25)
    batch = Ragged.from_list([torch.randn(9, 16), torch.randn(4, 16)])

    def run(through):
        torch.manual_seed(1)
        values = batch.values.clone().requires_grad_()
        output = through(lambda x: encoder(batch.with_values(x)).values, values)
        output.square().sum().backward()
        gradients = [values.grad, *(parameter.grad for parameter in encoder.parameters())]
        encoder.zero_grad()
        return [output.detach(), *gradients]

    plain = run(lambda part, x: part(x))
    again = run(lambda part, x: checkpoint(part, x, use_reentrant=use_reentrant))
    for actual, expected in zip(again, plain, strict=True):
        torch.testing.assert_close(actual, expected)
