"""A convolution and the self-attention made of it, side by side; and the way back."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import regard
from regard import ConfigError, ShapeError, UnsupportedError
from regard.nn import OffsetAttention, as_convolution, attention_from_convolution, with_attention

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
KINDS = {1: nn.Conv1d, 2: nn.Conv2d}


pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # which is as PyTorch has it


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@st.composite
def cases(draw, dtypes=tuple(TOLERANCE), most=5):
    """A convolution, and an image of at least one output."""
    axes = draw(st.sampled_from([1, 2]))
    sizes = st.lists(st.integers(1, most), min_size=axes, max_size=axes)
    kernel, dilation, size = draw(sizes), draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)), draw(sizes)
    wide = st.lists(st.integers(0, 4), min_size=axes, max_size=axes).map(tuple)
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), wide))
    if padding != "same":
        sides = (0,) * axes if padding == "valid" else padding
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        size = [max(n, width - 2 * side) for n, width, side in zip(size, reach, sides, strict=True)]
    groups = draw(st.sampled_from([1, 2]))
    into, out = (groups * draw(st.integers(1, 2)) for _ in range(2))
    torch.manual_seed(draw(st.integers(0, 1000)))
    conv = KINDS[axes](
        *(into, out, kernel),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        dtype=draw(st.sampled_from(dtypes)),
    )
    return conv, torch.randn(2, into, *size, dtype=conv.weight.dtype)


@given(cases())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_it_is_the_convolution_values_and_gradients(case):
    conv, image = case
    attention, close = attention_from_convolution(conv), dict.fromkeys(("atol", "rtol"), TOLERANCE[image.dtype])
    image.requires_grad_()
    ours, theirs = attention(image), conv(image)
    torch.testing.assert_close(ours, theirs, **close)
    weights = torch.randn_like(theirs)
    ours_by = torch.autograd.grad((ours * weights).sum(), [image, *attention.parameters()])
    theirs_by = torch.autograd.grad((theirs * weights).sum(), [image, *conv.parameters()])
    expected = (theirs_by[0], theirs_by[1].flatten(2).permute(2, 1, 0), *theirs_by[2:])
    for got, want in zip(ours_by, expected, strict=True):
        torch.testing.assert_close(got, want, **close)
    torch.testing.assert_close(attention(image[0]), theirs[0], **close)  # without B


@given(cases())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_there_and_back_is_the_same_convolution(case):
    conv, image = case
    again, error = as_convolution(attention_from_convolution(conv))
    assert error == 0
    assert type(again) is type(conv)
    assert again.kernel_size == conv.kernel_size
    assert again.groups == conv.groups
    for ours, theirs, width in zip(again.dilation, conv.dilation, conv.kernel_size, strict=True):
        assert ours == theirs or width == 1
    assert torch.equal(again.weight, conv.weight)
    assert (again.bias is None) == (conv.bias is None)
    torch.testing.assert_close(again(image), conv(image))


@given(cases(dtypes=[torch.float64], most=4), st.floats(0.3, 12), st.sampled_from([0.0, 0.2, 0.45]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_how_far_it_is_from_the_convolution_at_a_finite_sharpness(case, sharpness, moved):
    conv, image = case
    attention = attention_from_convolution(conv, sharpness=sharpness)
    with torch.no_grad():
        attention.centers += moved * (2 * torch.rand_like(attention.centers) - 1)
    longest = image.norm(dim=1).max()
    far, bound = (attention(image) - conv(image)).norm(dim=1).max(), attention.error_bound()
    assert far <= bound * longest + 1e-12
    made, measured = as_convolution(attention, image, least=0.0)
    torch.testing.assert_close(made.weight, conv.weight)
    assert measured == pytest.approx(far.item(), abs=1e-10)
    assert as_convolution(attention, least=0.0)[1] == bound


def test_the_error_falls_as_the_exponential_of_the_sharpness():
    conv, image = nn.Conv2d(3, 4, 3, padding=1).double(), torch.randn(1, 3, 6, 5, dtype=torch.float64)
    norms = torch.linalg.matrix_norm(conv.weight.flatten(2).permute(2, 0, 1), ord=2).sum()
    before = None
    for sharpness in (2.0, 4.0, 8.0, 16.0, 24.0):
        attention = attention_from_convolution(conv, sharpness=sharpness)
        far, bound = (attention(image) - conv(image)).norm(dim=1).max(), attention.error_bound()
        if before is not None:
            assert far < before / 4
        before = far
        if sharpness > 7:
            first_order = 8 * torch.exp(torch.tensor(-sharpness, dtype=torch.float64)) * norms
            assert bound == pytest.approx(first_order.item(), rel=0.01)
    torch.testing.assert_close(attention(image), conv(image), atol=1e-9, rtol=1e-9)


@given(cases(dtypes=[torch.float64], most=4), st.floats(0.05, 5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_it_is_attention_over_the_padded_image_whose_scores_are_the_quadratic_encoding(case, sharpness):
    """By `regard.attend`, every pair of a query and a key."""
    conv, image = case
    attention = attention_from_convolution(conv, sharpness=sharpness)
    with torch.no_grad():
        attention.centers += torch.randn_like(attention.centers)
        attention.log_sharpness += torch.randn_like(attention.log_sharpness)
    sizes, axes = image.shape[2:], attention.axes
    queries, keys = (
        torch.cartesian_prod(*(torch.arange(-b, n + a) for (b, a), n in zip(ends, sizes, strict=True)))
        .view(-1, len(axes))
        .double()
        for ends in ([axis.queries for axis in axes], [axis.keys for axis in axes])
    )
    away = keys - queries[:, None] - attention.centers[:, None, None]  # [H, Q, K, axes]
    bias = -attention.sharpness[:, None, None] * away.square().sum(-1)
    around = F.pad(image, [end for axis in reversed(axes) for end in axis.keys]).flatten(2).mT  # [B, K, C]
    blocks = [attention.values.chunk(conv.groups, 2), around.chunk(conv.groups, 2)]
    value = torch.cat([torch.einsum("bkc,hco->bhko", x, w) for w, x in zip(*blocks, strict=True)], -1)  # [B, H, K, out]
    blind = torch.zeros(len(image), len(attention.offsets), len(queries), 1, dtype=torch.float64)
    seen = regard.attend(blind, blind.new_zeros(*value.shape[:3], 1), value, bias=bias, implementation="reference")
    expected = seen.sum(1).mT + (0 if conv.bias is None else conv.bias[:, None])  # [B, out, Q]
    torch.testing.assert_close(attention(image).flatten(2), expected)

    inside = ((keys >= 0) & (keys < torch.tensor(sizes))).all(-1)
    weights = attention.attention_weights(*sizes)
    torch.testing.assert_close(weights, bias.softmax(-1)[..., inside])
    last = [axis.outputs(n) - 1 for axis, n in zip(axes, sizes, strict=True)]
    assert torch.equal(attention.attention_weights(*sizes, query=last).flatten(1), weights[:, -1])


def test_the_weights_of_an_exact_one_are_ones_where_each_head_looks():
    attention = attention_from_convolution(nn.Conv2d(1, 1, (1, 3), padding=(0, 1)))
    left, middle, right = attention.attention_weights(1, 3)
    assert left.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert torch.equal(middle, torch.eye(3))
    assert torch.equal(right, left.T)
    assert attention.attention_weights(1, 3, query=(0, 2))[0].tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("axes", [1, 2])
def test_all_of_it_is_trained(axes):
    conv = KINDS[axes](2, 2, 2, padding=1, groups=2).double()
    attention = attention_from_convolution(conv, sharpness=1.5)
    names, parameters = zip(*attention.named_parameters(), strict=True)
    assert sorted(names) == ["bias", "centers", "log_sharpness", "values"]
    image = torch.randn(1, 2, *[2] * axes, dtype=torch.float64, requires_grad=True)

    def output(image, *parameters):
        return torch.func.functional_call(attention, dict(zip(names, parameters, strict=True)), (image,))

    assert torch.autograd.gradcheck(output, (image, *parameters))
    frozen = attention_from_convolution(conv.requires_grad_(False), sharpness=1.5)
    assert [name for name, x in frozen.named_parameters() if x.requires_grad] == ["centers", "log_sharpness"]
    assert not any(x.requires_grad for x in as_convolution(frozen, least=0.0)[0].parameters())


def test_nothing_but_finite_numbers_at_any_sharpness():
    conv, image = nn.Conv2d(1, 1, 3, padding=1), torch.randn(1, 1, 3, 3)
    for sharpness in (1e-30, 1e30):
        attention = attention_from_convolution(conv, sharpness=sharpness)
        attention(image).sum().backward()
        assert all(x.grad.isfinite().all() for x in attention.parameters())
        assert 0 <= attention.error_bound() < 100


def test_training_moves_a_head_to_where_what_is_asked_for_stands():
    images = torch.randn(64, 1, 9)
    conv = nn.Conv1d(1, 1, 1, padding=1, bias=False)
    nn.init.ones_(conv.weight)
    attention = attention_from_convolution(conv, sharpness=1.0)
    target = F.pad(images, (2, 0))  # of position q, what stands one to the left
    optimizer = torch.optim.Adam(attention.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        F.mse_loss(attention(images), target).backward()
        optimizer.step()
    made, error = as_convolution(attention, images)
    assert made.kernel_size == made.dilation == (2,)
    assert made.weight.flatten().tolist() == pytest.approx([1, 0], abs=0.02)
    assert 0 < error < 0.1


def test_heads_at_one_offset_add_up_and_a_kernel_grows_evenly():
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    attention, image = attention_from_convolution(conv, sharpness=30.0), torch.randn(1, 2, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        attention.centers[0] = torch.tensor([0.0, 0.1])  # onto the middle
        attention.centers[8] = torch.tensor([1.0, 2.0])  # out of the kernel, to the right
    made, error = as_convolution(attention, image)
    assert made.kernel_size == (3, 5)
    assert made.padding == (1, 2)
    torch.testing.assert_close(made.weight[..., 1, 2], conv.weight[..., 0, 0] + conv.weight[..., 1, 1])
    torch.testing.assert_close(made.weight[..., 2, 4], conv.weight[..., 2, 2])
    assert not made.weight[..., 0, :2].any()
    assert error <= attention.error_bound() * image.norm(dim=1).max() < 1e-8


def test_a_head_that_looks_beyond_an_image_without_padding_sees_its_border():
    conv = nn.Conv1d(1, 1, 3, bias=False)
    attention, image = attention_from_convolution(conv, sharpness=30.0), torch.ones(1, 1, 6)
    with torch.no_grad():
        attention.centers[2] += 1
    made, error = as_convolution(attention, image)
    assert made.weight.flatten().tolist() == [0, *conv.weight[0, 0, :2].tolist(), 0, *conv.weight[0, 0, 2:].tolist()]
    assert attention.error_bound() == pytest.approx(conv.weight[0, 0, 2].abs().item()) == error


def test_a_head_at_no_offset_is_refused_with_how_far_it_is():
    attention = attention_from_convolution(nn.Conv2d(1, 1, 3, padding=1), sharpness=2.0)
    with torch.no_grad():
        attention.centers[3] = torch.tensor([0.4, -1.3])
    far = r"its center \(0.40, -1.30\) is 0.50 from the nearest offset, \(0, -1\), at sharpness 2.00"
    with pytest.raises(UnsupportedError, match="got 0.39 for head 3: " + far):
        as_convolution(attention)
    assert as_convolution(attention, least=0.3)[1] > 0


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.Conv2d(1, 1, 3, stride=(1, 2)), r"stride must be 1, got \(1, 2\); .* take \[..., ::1, ::2\] of the output"),
        (nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), r"padding_mode must be 'zeros', got 'circular'; pad"),
        (nn.ConvTranspose2d(1, 1, 3), "must be nn.Conv1d or nn.Conv2d, got ConvTranspose2d"),
        (nn.Conv3d(1, 1, 3), "must be nn.Conv1d or nn.Conv2d, got Conv3d; keep it"),
        (nn.Sequential(nn.Conv1d(1, 1, 3)), "got Sequential; of a whole network, with_attention makes one"),
        (type("Doubled", (nn.Conv1d,), {"forward": lambda self, x: 2 * x})(1, 1, 3), "got Doubled with its own"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_converted_says_what_to_do(module, told):
    with pytest.raises(UnsupportedError, match=told):
        attention_from_convolution(module)


def test_a_lazy_convolution_is_converted_once_it_has_its_weight():
    conv, image = nn.LazyConv2d(2, 3), torch.randn(1, 3, 4, 4)
    with pytest.raises(UnsupportedError, match="got LazyConv2d without one; call it once on an input"):
        attention_from_convolution(conv)
    expected = conv(image)
    torch.testing.assert_close(attention_from_convolution(conv)(image), expected)


def test_the_advice_on_strides_is_right():
    conv, image = nn.Conv2d(2, 3, 4, stride=(2, 3), padding=1), torch.randn(1, 2, 9, 10)
    expected, conv.stride = conv(image), (1, 1)
    torch.testing.assert_close(attention_from_convolution(conv)(image)[..., ::2, ::3], expected)


@pytest.mark.parametrize("sharpness", [0, -1.0, float("inf"), float("nan")])
def test_a_sharpness_that_is_none_is_refused(sharpness):
    with pytest.raises(ConfigError, match="sharpness must be a number above 0, or None for one offset exactly; got"):
        attention_from_convolution(nn.Conv1d(1, 1, 3), sharpness=sharpness)


def test_inputs_that_do_not_fit_are_refused():
    attention = attention_from_convolution(nn.Conv2d(4, 2, 3, groups=2))
    for shape in ((1, 3, 5, 5), (5, 5), (1, 1, 4, 5, 5)):
        with pytest.raises(ShapeError, match=r"the input must be \[B, 4, rows, columns\], or without B; got shape \("):
            attention(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"the size must be at least 3 × 3 positions, .* got 5 × 2"):
        attention(torch.zeros(1, 4, 5, 2))
    with pytest.raises(ShapeError, match="got 5"):
        attention.attention_weights(5)
    for query in ((3, 0), (0, -4), (1,)):
        with pytest.raises(ShapeError, match=r"query must be one of the 3 × 3 outputs, .* got \("):
            attention.attention_weights(5, 5, query=query)


@pytest.mark.parametrize("sharpness", [None, 3.0], ids=["exact", "around"])
def test_it_is_a_module_like_others(sharpness):
    image = torch.randn(2, 2, 5, 4)
    attention, other = (
        attention_from_convolution(nn.Conv2d(2, 3, 3, padding=1), sharpness=sharpness) for _ in range(2)
    )
    other.load_state_dict(attention.state_dict())
    expected = attention(image)
    assert torch.equal(other(image), expected)
    torch.testing.assert_close(copy.deepcopy(attention).double()(image.double()).float(), expected)
    for dtype in (torch.bfloat16, torch.float16):
        half = copy.deepcopy(attention).to(dtype)(image.to(dtype))
        assert half.dtype == dtype
        torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(attention(image).float(), expected, atol=0.05, rtol=0.05)
    assert attention(image[:0]).shape == (0, 3, 5, 4)
    assert attention(torch.zeros(2, 300, 300)).shape == (3, 300, 300)  # of which every pair would be 29 GiB a head


@pytest.mark.parametrize(
    ("sharpness", "sizes"), [(None, [(5, 4), (3, 6)]), (3.0, [(5, 4)])], ids=["exact, of any size", "around"]
)
def test_it_is_compiled_without_a_break(sharpness, sizes):
    torch.compiler.reset()
    attention = attention_from_convolution(nn.Conv2d(2, 4, 3, padding=1, groups=2), sharpness=sharpness)
    compiled = torch.compile(attention, fullgraph=True, dynamic=len(sizes) > 1, backend="aot_eager")
    for size in sizes:
        image = torch.randn(2, 2, *size)
        with torch._dynamo.config.patch(error_on_recompile=size != sizes[0]):
            outputs = [module(image) for module in (attention, compiled)]
        torch.testing.assert_close(*outputs)
        gradients = [torch.autograd.grad(output.square().sum(), list(attention.parameters())) for output in outputs]
        torch.testing.assert_close(*gradients)


class Branched(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.twice = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same"), nn.ReLU())
        self.again = self.twice[0]
        self.down = nn.Conv2d(4, 4, 2, stride=2)

    def forward(self, x):
        return self.down(self.again(self.twice(self.first(x))))


def test_a_network_gets_attention_wherever_it_convolves(caplog):
    network, image = Branched().eval(), torch.randn(2, 1, 6, 6)
    changed = with_attention(network)
    (told,) = caplog.messages
    assert told.startswith("left as they are: down: stride must be 1, got (2, 2); convert it with stride 1, and")
    assert [type(x) for x in (changed.first, changed.again, changed.down)] == [OffsetAttention] * 2 + [nn.Conv2d]
    assert changed.again is changed.twice[0]
    assert not changed.first.training
    assert isinstance(network.first, nn.Conv2d)
    torch.testing.assert_close(changed(image), network(image))
    assert with_attention(network.first, sharpness=2.0).sharpness.tolist() == pytest.approx([2.0] * 9)
    for none in (nn.Sequential(nn.Linear(1, 1)), nn.Sequential(nn.ConvTranspose1d(1, 1, 2))):
        with pytest.raises(UnsupportedError, match=r"must have an nn.Conv1d or nn.Conv2d that can be replaced"):
            with_attention(none)


def test_offsets_run_as_the_kernel_does():
    attention = attention_from_convolution(nn.Conv2d(1, 1, (3, 2), dilation=(2, 1)))
    assert attention.offsets == list(itertools.product((-2, 0, 2), (0, 1)))
