"""What is chosen and hidden, counted."""

import numpy as np
import torch

from regard.tasks.pretrain.masking import choose, corrupt, corrupt_vectors


def test_units_are_chosen_whole_and_some_never():
    torch.manual_seed(0)
    units = np.arange(30_000) // 3
    units[::50] = -1
    rows = choose(units, 0.15).numpy()
    assert (units[rows] >= 0).all()
    for unit in (7, 500, 9_000):
        assert np.isin(np.flatnonzero(units == unit), rows).all() == np.isin(unit, units[rows])
    assert abs(len(rows) / 30_000 - 0.15 * (units >= 0).mean()) < 0.01
    assert choose(np.full(4, -1), 0.5).tolist() == []
    assert choose(np.arange(0), 0.5).tolist() == []


def test_eight_of_ten_are_hidden_and_one_is_replaced():
    torch.manual_seed(0)
    tokens = torch.randint(5, 1000, (50_000,))
    chosen = torch.rand(50_000) < 0.3
    hidden = corrupt(tokens, chosen, mask=4, first=5, size=1000)
    assert torch.equal(hidden[~chosen], tokens[~chosen])
    shares = [(hidden[chosen] == 4).float().mean(), (hidden[chosen] == tokens[chosen]).float().mean()]
    assert abs(shares[0] - 0.8) < 0.01
    assert abs(shares[1] - 0.1) < 0.01
    vectors = torch.arange(50_000.0)[:, None].expand(-1, 2)
    changed = corrupt_vectors(vectors, chosen, mask=torch.full((2,), -1.0))
    assert torch.equal(changed[~chosen], vectors[~chosen])
    assert abs((changed[chosen] == -1).float().mean() - 0.8) < 0.01


def test_a_generator_draws_the_same_again():
    units = np.arange(100)
    first, second = (choose(units, 0.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
