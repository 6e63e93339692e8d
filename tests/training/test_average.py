import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from regard.training.average import Average


def test_the_mean_is_that_of_pytorchs_averaged_model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    average = Average(network, 0.9)

    def ramp(mean, weight, taken):
        decay = min(0.9, float(taken) / (9 + float(taken)))  # PyTorch's first copy counts as one taken
        return decay * mean + (1 - decay) * weight

    twin = AveragedModel(network, avg_fn=ramp)
    twin.update_parameters(network)  # copies
    for step in range(100):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        twin.update_parameters(network)
    with average.in_place():
        for parameter, expected in zip(network.parameters(), twin.module.parameters(), strict=True):
            torch.testing.assert_close(parameter, expected)


def test_the_weights_come_back_after_use():
    network = nn.Linear(2, 2)
    average = Average(network, 0.9)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(0)
    try:
        with average.in_place():
            torch.testing.assert_close(network.weight, before + 0.9)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        torch.testing.assert_close(network.weight, before + 1.0)
    network(torch.ones(1, 2)).sum().backward()
    assert network.weight.grad is not None
