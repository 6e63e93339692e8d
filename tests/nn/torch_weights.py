"""PyTorch's own layers with the weights of ours."""

import torch
from torch import nn


@torch.no_grad()
def torch_attention(ours, dim):
    """A ``torch.nn.MultiheadAttention`` that does what ``ours`` does."""
    theirs = nn.MultiheadAttention(dim, ours.heads, batch_first=True, dtype=ours.input.weight.dtype)
    theirs.in_proj_weight.copy_(ours.input.weight)
    theirs.in_proj_bias.copy_(ours.input.bias)
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    return theirs


@torch.no_grad()
def torch_layer(ours, dim, activation):
    """A ``torch.nn.TransformerEncoderLayer`` that does what ``ours`` does."""
    theirs = nn.TransformerEncoderLayer(
        dim,
        ours.attention.heads,
        ours.feed_forward.input.out_features,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=ours.around_attention.pre,
        dtype=ours.attention.input.weight.dtype,
    )
    theirs.self_attn = torch_attention(ours.attention, dim)
    theirs.linear1.load_state_dict(ours.feed_forward.input.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.output.state_dict())
    theirs.norm1.load_state_dict(ours.around_attention.norm.state_dict())
    theirs.norm2.load_state_dict(ours.around_feed_forward.norm.state_dict())
    return theirs


# Names of parameters: PyTorch's beside ours.
OF_ENCODER = {
    "self_attn.in_proj_": "attention.input.",
    "self_attn.out_proj.": "attention.output.",
    "linear1.": "feed_forward.input.",
    "linear2.": "feed_forward.output.",
    "norm1.": "around_attention.norm.",
    "norm2.": "around_feed_forward.norm.",
}
OF_DECODER = OF_ENCODER | {
    "multihead_attn.in_proj_": "cross_attention.input.",
    "multihead_attn.out_proj.": "cross_attention.output.",
    "norm2.": "around_cross_attention.norm.",
    "norm3.": "around_feed_forward.norm.",
}


def assert_same_gradients(ours, theirs, names):
    """Those that backward left in each parameter, by its name."""
    wanted = {}
    for name, parameter in theirs.named_parameters():
        for from_torch, own in names.items():
            name = name.replace(from_torch, own)
        wanted[name] = parameter.grad
    assert wanted.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], msg=lambda text, name=name: f"{name}: {text}")


def scramble(module):
    """Weights that are all away from where they start, in float64."""
    torch.manual_seed(7)
    module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module
