"""What a network in shards is told of batches; what it learns stands in tests/parallel/test_training.py."""

import torch
from torch.utils._pytree import tree_map

from regard.ragged import Ragged
from regard.training.shards import _tell_of_ragged, own, part_of


def test_the_values_of_a_batch_are_found_and_replaced():
    _tell_of_ragged()
    _tell_of_ragged()
    batch = Ragged.from_list([torch.ones(3, 2), torch.ones(1, 2)])
    doubled = tree_map(lambda x: 2 * x if isinstance(x, torch.Tensor) else x, {"batch": batch})["batch"]
    assert torch.equal(doubled.values, 2 * batch.values)
    assert doubled.offsets is batch.offsets


def test_what_is_not_spread_is_whole():
    x = torch.ones(2)
    assert own(x) is x
    assert torch.equal(part_of(x, torch.zeros(3)), x)
