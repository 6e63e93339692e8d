from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import DataError
from regard.planning import plan_epoch, split_step

LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=80).filter(any)


@given(lengths=LENGTHS, budget=st.integers(1, 100), epoch=st.integers(0, 3))
def test_every_sequence_comes_exactly_once_and_within_the_budget(lengths, budget, epoch):
    plan = plan_epoch(lengths, budget=budget, seed=5, epoch=epoch)
    taken = sorted(chain.from_iterable(step.tolist() for step in plan))
    assert taken == [index for index, length in enumerate(lengths) if length]
    for step in plan:
        assert len(step) == 1 or sum(lengths[index] for index in step) <= budget


@given(lengths=LENGTHS, parts=st.integers(1, 6))
def test_a_step_is_split_about_evenly(lengths, parts):
    step = [index for index, length in enumerate(lengths) if length]
    shares = split_step(step, lengths, parts)
    assert sorted(chain.from_iterable(shares)) == step
    items = [sum(lengths[index] for index in share) for share in shares]
    assert max(items) - min(items) <= max(lengths)
    assert all(shares[part] or not shares[part + 1] for part in range(parts - 1)), "empty ones come last"


def test_processes_and_accumulation_do_not_change_the_steps():
    lengths = np.random.default_rng(0).integers(1, 50, 500).tolist()
    whole = plan_epoch(lengths, budget=1000, seed=1, epoch=3)
    halves = plan_epoch(lengths, budget=500 * 2, seed=1, epoch=3)
    assert [step.tolist() for step in whole] == [step.tolist() for step in halves]
    for step in halves:
        assert sorted(chain.from_iterable(split_step(step, lengths, 2))) == sorted(step.tolist())


def test_epochs_and_seeds_differ_and_repeat():
    lengths = np.random.default_rng(0).integers(1, 50, 300).tolist()

    def plan(seed, epoch):
        return [step.tolist() for step in plan_epoch(lengths, budget=200, seed=seed, epoch=epoch)]

    assert plan(1, 0) == plan(1, 0)
    assert plan(1, 0) != plan(1, 1)
    assert plan(1, 0) != plan(2, 0)
    assert {frozenset(step) for step in plan(1, 0)} != {frozenset(step) for step in plan(1, 1)}


def test_steps_hold_like_lengths_in_random_order():
    lengths = np.random.default_rng(0).geometric(0.05, 5000)
    plan = plan_epoch(lengths.tolist(), budget=1000, seed=1, epoch=0)
    spread = np.mean([lengths[step].max() - lengths[step].min() for step in plan])
    assert spread < 0.1 * (lengths.max() - lengths.min())
    firsts = [lengths[step].mean() for step in plan]
    assert abs(np.corrcoef(firsts, range(len(firsts)))[0, 1]) < 0.3
    full = [lengths[step].sum() for step in plan]
    assert np.median(full) > 950


def test_nothing_to_train_on_is_refused():
    with pytest.raises(DataError, match="at least one sequence that is not empty to train on, found 2 empty ones"):
        plan_epoch([0, 0], budget=10, seed=1, epoch=0)
