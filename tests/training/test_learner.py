"""What one step needs before it, and what it takes back."""

from types import SimpleNamespace

import pytest
import torch
from small_training import SmallNetwork, sum_loss

from regard.errors import RegardError, UnsupportedError
from regard.tasks.label.options import LabelConfig
from regard.training.learner import Learner, start_processes
from regard.training.optimizer import make_optimizer


def make_learner():
    return Learner(SmallNetwork(0.0), collate=list, loss=sum_loss, config=LabelConfig(device="cpu"))


@pytest.mark.parametrize("name", ["network.head.weight", "average.table.weight"])
@pytest.mark.parametrize("found", [None, torch.zeros(1)], ids=["missing", "another shape"])
def test_a_tensor_that_does_not_fit_is_named(name, found):
    learner = make_learner()
    tensors = learner.tensors()
    tensors.pop(name)
    if found is not None:
        tensors[name] = found
    with pytest.raises(RegardError, match=rf"the checkpoint has no '{name}' of shape \[\d+, 16\]"):
        learner.restore(tensors)


def test_what_needs_no_gradient_is_not_moved():
    network = SmallNetwork(0.0)
    network.table.requires_grad_(False)
    moved = [parameter for group in make_optimizer(network, 0.1).param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in moved} == {id(x) for x in network.parameters()} - {id(network.table.weight)}


def test_a_launcher_that_shards_is_refused(monkeypatch):
    sharded = SimpleNamespace(distributed_type=SimpleNamespace(value="FSDP"))
    monkeypatch.setattr("accelerate.Accelerator", lambda **_: sharded)
    with pytest.raises(UnsupportedError, match="by itself, not under FSDP; start it with torchrun, and give shard"):
        start_processes("cpu")
