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


def scramble(module):
    """Weights that are all away from where they start, in float64."""
    torch.manual_seed(7)
    module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module
