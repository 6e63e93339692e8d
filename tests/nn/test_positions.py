import math

import pytest
import torch

from regard import ConfigError, Ragged
from regard.nn import Alibi, Learned, MultiHeadAttention, Relative, Rotary, Sinusoidal
from regard.nn.positions import alibi_slopes, rotate


def zeros(lengths, dim):
    return Ragged.from_lengths(torch.zeros(sum(lengths), dim), lengths)


@pytest.mark.parametrize("dim", [6, 7])
def test_sinusoidal_is_the_formula_of_vaswani(dim):
    for rows in Sinusoidal()(zeros([3, 0, 40], dim)).unbind():
        for position, row in enumerate(rows.tolist()):
            waves = (math.sin, math.cos)
            expected = [waves[i % 2](position / 10000 ** (i // 2 * 2 / (dim + dim % 2))) for i in range(dim)]
            assert row == pytest.approx(expected, abs=1e-5)


def test_learned_gives_each_position_its_row_and_ends_at_the_last():
    learned = Learned(4, length=5)
    first, second = learned(zeros([5, 2], 4)).unbind()
    torch.testing.assert_close(first, learned.table)
    torch.testing.assert_close(second, learned.table[:2])
    with pytest.raises(ConfigError, match=r"learned positions end at 5 items, got a sequence of 6;.*position_reach"):
        learned(zeros([1, 6], 4))


def test_a_relative_bias_of_one_distance_makes_the_layer_copy_from_there():
    relative = Relative(1, 2, left=3, right=2)
    with torch.no_grad():
        relative.tables.zero_()[0, :, 3 - 1] = 5.0  # one to the left
    batch = Ragged.from_list([torch.randn(4, 6), torch.randn(2, 6)])
    (order,) = relative(batch)
    attention = MultiHeadAttention(6, heads=2)
    for weights in attention.attention_weights(batch, order=order).dense():
        rows = weights.shape[1]
        torch.testing.assert_close(weights[:, range(1, rows), range(rows - 1)], torch.ones(2, rows - 1))


def test_rotary_is_the_matrix_of_roformer():
    """Equation 15 of Su et al. 2021, with its pairs (2i, 2i+1) standing at (i, D/2+i)."""
    dim, length = 8, 11
    batch, x = zeros([2, length], dim), torch.randn(2 + length, 3, dim)
    rotated = rotate(x, next(iter(Rotary(dim)(batch))).rotation)
    for row, position in enumerate(batch.positions.tolist()):
        matrix = torch.eye(dim)
        for i in range(dim // 2):
            angle, pair = position * 10000 ** (-2 * i / dim), [i, dim // 2 + i]
            turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            matrix[torch.tensor(pair)[:, None], torch.tensor(pair)] = turn
        torch.testing.assert_close(rotated[row], x[row] @ matrix.T)


def test_rotary_scores_depend_on_the_distance_alone():
    length, shift = 6, 9
    query, key = torch.randn(2, length, 1, 8)
    near, far = next(iter(Rotary(8)(zeros([length + shift], 8)))).rotation, []
    for start in (0, shift):
        rotation = tuple(x[start : start + length] for x in near)
        far.append(rotate(query, rotation).squeeze(1) @ rotate(key, rotation).squeeze(1).T)
    torch.testing.assert_close(far[0], far[1], atol=1e-5, rtol=1e-4)


def test_rotary_needs_pairs():
    with pytest.raises(ConfigError, match=r"rotary .* even, got 7"):
        Rotary(7)


def test_alibi_slopes_are_the_published_ones():
    """Press et al. 2022, section 3, for 8 heads; their program gives these for 12."""
    eight = [1 / 2**n for n in range(1, 9)]
    assert alibi_slopes(8).tolist() == eight
    assert alibi_slopes(12).tolist() == pytest.approx([*eight, 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
    assert len(alibi_slopes(1)) == 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((None, None), (6, 6)), ((2, 0), (2, 0)), ((None, 0), (6, 0)), ((9, 1), (6, 1))],
)
def test_the_alibi_table_reaches_as_far_as_the_batch_or_the_window(limits, expected):
    order = next(iter(Alibi(2, left=limits[0], right=limits[1])(zeros([7, 0, 3], 4))))
    assert order.bias.reach == expected
    distance = torch.arange(-expected[0], expected[1] + 1).abs()
    torch.testing.assert_close(order.bias.table, -distance * alibi_slopes(2)[:, None])


@pytest.mark.parametrize("kind", [Sinusoidal(), Learned(8, length=20), Alibi(2, left=3), Rotary(8)], ids=repr)
def test_a_start_moves_each_sequence_on(kind):
    def told(batch, start=None):
        found = kind(batch, start)
        if isinstance(found, Ragged):
            return found.unbind()
        order = next(iter(found))
        return order.bias.table if order.rotation is None else batch.with_values(torch.cat(order.rotation, 2)).unbind()

    start, lengths = torch.tensor([5, 0, 9]), [2, 4, 0]
    whole, part = told(zeros((start + torch.tensor(lengths)).tolist(), 8)), told(zeros(lengths, 8), start)
    if isinstance(kind, Alibi):
        return torch.testing.assert_close(part, whole)
    for first, rows, expected in zip(start.tolist(), part, whole, strict=True):
        torch.testing.assert_close(rows, expected[first:])


@pytest.mark.parametrize("kind", [Relative(3, 2, left=1, right=4), Alibi(2), Rotary(8)], ids=repr)
def test_what_one_layer_is_told_is_what_it_is_told_among_all(kind):
    batch, start = zeros([3, 2], 8), torch.tensor([1, 7])
    for number, among in zip(range(3), kind(batch, start), strict=False):
        alone = kind.of_layer(number, batch, start)
        if among.bias is not None:
            assert torch.equal(among.bias.table, alone.bias.table)
            assert among.bias.left == alone.bias.left
        else:
            assert all(map(torch.equal, among.rotation, alone.rotation))
