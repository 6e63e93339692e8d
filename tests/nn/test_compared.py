import pytest
import torch
from torch.nn import functional as F

from regard import Ragged
from regard.nn import FeedForward, NeighbourLayer, neighbours

LENGTHS, DIM = (4, 0, 1, 9, 2), 3


def batch():
    rows = torch.randn(sum(LENGTHS), DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Ragged.from_lengths(rows.requires_grad_(), LENGTHS)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (0, 2), (3, 0), (2, 5)])
def test_a_matrix_over_neighbours_is_a_convolution_of_each_sequence(left, right):
    width, x = left + right + 1, batch()
    matrix = torch.randn(5, width * DIM, dtype=torch.float64, requires_grad=True)
    kernel = matrix.view(5, width, DIM).transpose(1, 2)  # [out, E, width]
    ours = F.linear(neighbours(x, left=left, right=right), matrix)
    theirs = torch.cat(
        [F.conv1d(F.pad(sequence.T, (left, right)), kernel).T for sequence in x.unbind() if len(sequence)]
    )
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    for got, want in zip(
        torch.autograd.grad((ours * weights).sum(), [x.values, matrix]),
        torch.autograd.grad((theirs * weights).sum(), [x.values, matrix]),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


def test_a_layer_is_its_formula():
    layer = NeighbourLayer(FeedForward(DIM, 7, input_dim=3 * DIM), dim=DIM, left=1, right=1, norm="post").double()
    x = batch()
    near = neighbours(x, left=1, right=1)
    first, second = layer.feed_forward.input, layer.feed_forward.output
    expected = F.layer_norm(x.values + second(F.relu(first(near))), [DIM])
    torch.testing.assert_close(layer(x).values, expected)


def test_without_neighbours_the_vectors_stay_as_they_are():
    x = batch()
    assert neighbours(x, left=0, right=0) is x.values
