import pytest
import torch

from regard.training.optimizer import one_cycle


@pytest.mark.parametrize(("steps", "warm"), [(100, 10), (37, 5), (10, 1)])
def test_the_cycle_is_that_of_pytorchs_schedulers(steps, warm):
    """LinearLR up to the peak, then CosineAnnealingLR down to 0."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-9, total_iters=warm)
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warm)
    both = torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], [warm])
    for step in range(steps + 1):
        rate = one_cycle(step / steps, peak=0.3, warmup=warm / steps)
        assert rate == pytest.approx(both.get_last_lr()[0], abs=1e-8)
        optimizer.step()
        both.step()


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_ends_of_the_range(warmup):
    rates = [one_cycle(done / 10, peak=1.0, warmup=warmup) for done in range(11)]
    assert rates == sorted(rates, reverse=warmup == 0.0)
    assert max(rates) == 1.0
