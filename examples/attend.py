"""The mechanism alone: sequences of unequal length without padding, a window, a learned bias by distance."""

import torch

from regard import Ragged, RelativeBias, attend, attention_weights

torch.manual_seed(1)
heads, dim = 4, 16
batch = Ragged.from_list([torch.randn(length, heads, dim) for length in (700, 3, 41)])
x, offsets = batch.values, batch.offsets  # [744, H, D], [0, 700, 703, 744]

table = torch.zeros(heads, 17, requires_grad=True)  # distances −8 … 8, and one entry for all beyond on either side
output = attend(x, x, x, offsets=offsets, window=(64, 0), normalizer="sigmoid", bias=RelativeBias(table))
output.square().sum().backward()
print("output", list(output.shape), "gradient of the table", list(table.grad.shape))

weights = attention_weights(x, x, offsets=offsets, window=(64, 0), normalizer="sigmoid", bias=RelativeBias(table))
print("held as a band", list(weights.values.shape))
print("mean distance looked at, by head:", [round(d, 1) for d in weights.distance().mean(0).tolist()])
heaviest, places = weights.top(3)
print("the last query of the third sequence looked most at its keys", places[-1, 0].tolist())
