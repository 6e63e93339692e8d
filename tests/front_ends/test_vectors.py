import numpy as np
import pytest
import torch

from regard import DataError
from regard.front_ends.vectors import Vectors


def test_channels_come_to_one_scale_and_constant_ones_stay_finite():
    rng = np.random.default_rng(0)
    arrays = [rng.normal([5.0, -3.0, 7.0], [2.0, 0.1, 0.0], (n, 3)) for n in (4, 1, 50)]
    vectors = Vectors.from_arrays(arrays, dim=3)
    torch.nn.init.eye_(vectors.project.weight)
    torch.nn.init.zeros_(vectors.project.bias)
    values = vectors(vectors.encode(arrays)).values
    torch.testing.assert_close(values.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-4, rtol=0)


def test_another_number_of_channels_is_refused():
    vectors = Vectors.from_arrays([np.ones((2, 3))], dim=4)
    with pytest.raises(DataError, match=r"\[N, 3\] as in training, found shape \[2, 5\]"):
        vectors.encode([np.ones((2, 5))])
