"""Positions in rows and columns: beside their formulas, and what the attention of a grid makes of them."""

import pytest
import torch

from regard import ConfigError, GridBias, Ragged, ShapeError, attend2d
from regard.nn import MultiHeadAttention, build_encoder, neighbours2d
from regard.nn.positions2d import Alibi2d, Learned2d, Relative2d, Rotary2d, Sinusoidal2d, places

SIZES, DIM, HEADS = ((3, 4), (1, 1), (5, 2)), 16, 2
POSITIONS = ("relative", "sinusoidal", "learned", "rotary", "alibi", "none")


def images(*sizes, dim=DIM, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Ragged.from_grids(
        [torch.randn(*size, dim, generator=generator, dtype=torch.float64) for size in sizes or SIZES]
    )


def make(**options):
    torch.manual_seed(0)
    options = {"dim": DIM, "depth": 2, "heads": HEADS, "grid": True, "position_reach": 8} | options
    return build_encoder(options.pop("kind", "attention"), **options).double().eval()


def test_each_vector_knows_its_row_and_column():
    rows, columns = places(images())
    expected = [(row, column) for height, width in SIZES for row in range(height) for column in range(width)]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_waves_of_the_row_stand_before_those_of_the_column():
    batch = Ragged.from_grids([torch.zeros(4, 3, 8, dtype=torch.float64)])
    waves = Sinusoidal2d()(batch).values.view(4, 3, 8)
    angle = torch.tensor(3 * 10000 ** (-2 / 4), dtype=torch.float64)
    torch.testing.assert_close(waves[3, 2, 2:4], torch.stack([angle.sin(), angle.cos()]).float().double())
    assert torch.equal(waves[3, :, :4], waves[3, :1, :4].expand(3, 4))
    assert torch.equal(waves[:, 2, 4:], waves[:1, 2, 4:].expand(4, 4))


def test_one_element_knows_the_column():
    batch = Ragged.from_grids([torch.zeros(2, 2, 1)])
    waves = Sinusoidal2d()(batch).values.flatten()
    torch.testing.assert_close(waves, torch.tensor([0.0, 1.0, 0.0, 1.0]).sin())


def test_learned_positions_are_a_row_and_a_column_and_end():
    learned = Learned2d(DIM, length=5).double()
    batch = images()
    rows, columns = places(batch)
    expected = batch.values + learned.rows[rows] + learned.columns[columns]
    torch.testing.assert_close(learned(batch).values, expected)
    with pytest.raises(ConfigError, match="learned positions end at 5 rows and columns, got an image of 6"):
        learned(images((1, 6)))


def test_relative_tables_are_those_of_the_bias():
    relative = Relative2d(2, HEADS, reach=(1, 2, 3, 4))
    _, second = relative(images())
    assert isinstance(second.bias, GridBias)
    assert (second.bias.up, second.bias.left) == (1, 3)
    assert second.bias.rows.shape == (HEADS, 4)
    assert second.bias.columns.shape == (HEADS, 8)
    assert torch.equal(second.bias.rows, relative.rows[1] * 10)


def test_alibi_falls_with_rows_and_columns():
    order = Alibi2d(HEADS).of_layer(0, images())
    query = key = torch.zeros(1, HEADS, 12, 4, dtype=torch.float64)
    value = torch.eye(12, dtype=torch.float64).expand(1, HEADS, -1, -1)
    weights = attend2d(query, key, value, size=(3, 4), bias=order.bias)[0, 0, 0].view(3, 4)
    assert weights.flatten().argmax() == 0
    assert weights[1, 2] == pytest.approx(weights[2, 1].item())  # as many steps away
    assert weights[0, 1] > weights[1, 1] > weights[2, 3]


@pytest.mark.parametrize("shift", [(0, 1), (2, 0), (1, 3)])
def test_turned_pairs_know_the_distance_alone(shift):
    rotary, (down, across) = Rotary2d(8), shift
    large = images((6, 6), dim=8)
    cosine, sine = rotary.of_layer(0, large).rotation
    vector, other = torch.randn(2, 8, dtype=torch.float64)

    def turned(x, at):
        half = x.unflatten(0, (2, 4))
        cos, sin = (angles[at, 0].double() for angles in (cosine, sine))
        return torch.cat([half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin])

    scores = {
        (row, column): turned(vector, row * 6 + column) @ turned(other, (row + down) * 6 + column + across)
        for row in range(3)
        for column in range(3)
    }
    assert max(scores.values()) - min(scores.values()) < 1e-5
    with pytest.raises(ConfigError, match="multiple of 4, got 6"):
        Rotary2d(6)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("window", [None, 1, (0, 2, 1, None)], ids=str)
@pytest.mark.parametrize("score", ["dot", "additive"])
def test_a_batch_is_its_images_one_by_one(positions, window, score):
    encoder, batch = make(positions=positions, window=window, score=score), images()
    whole = encoder(batch)
    assert torch.equal(whole.grid, batch.grid)
    for image, size, found in zip(batch.unbind(), SIZES, whole.unbind(), strict=True):
        alone = encoder(Ragged.from_grids([image.view(*size, DIM)])).values
        torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_gradient_reaches_every_parameter(positions):
    encoder = make(positions=positions, score="additive", position_reach=5)
    output = encoder(images()).values
    (output * torch.randn(DIM, dtype=torch.float64)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["convolution", "sliding"])
def test_neighbours_are_a_convolution(kind):
    encoder, batch = make(kind=kind, window=(1, 0, 2, 1), depth=1), images((4, 5), (4, 5))
    layer = encoder.layers[0]
    near = neighbours2d(batch, 1, 0, left=2, right=1)
    first = layer.feed_forward.input
    kernel = first.weight.view(-1, 2, 4, DIM).permute(0, 3, 1, 2)  # [inner, E, rows, columns]
    padded = torch.nn.functional.pad(batch.values.view(2, 4, 5, DIM).permute(0, 3, 1, 2), (2, 1, 1, 0))
    expected = torch.nn.functional.conv2d(padded, kernel, first.bias).permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(first(near), expected)


def test_what_stands_in_a_line_is_refused():
    line = Ragged.from_list([torch.zeros(3, DIM, dtype=torch.float64)])
    for positions in POSITIONS:
        with pytest.raises(ShapeError, match=r"Ragged\.from_grids"):
            make(positions=positions)(line)
    with pytest.raises(ShapeError, match=r"takes whole images .* and no key, got a key of its own"):
        MultiHeadAttention(DIM, heads=HEADS, grid=True).double()(images(), images())
    with pytest.raises(ConfigError, match="an image has no past"):
        make(causal=True)
    with pytest.raises(ConfigError, match="which the pixels of an image do not"):
        make().start(1)
    with pytest.raises(ConfigError, match="which the pixels of an image do not"):
        make(kind="convolution").start(1)
