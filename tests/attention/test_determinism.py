"""The same input gives the same bits, with as many threads as there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attention.both import Case, GridCase, make

LONG = Case(dtype=torch.float32, lengths=((201, 201), (201, 201)), window=(30, 20), group=2, dim=16, value_dim=16)
CASES: dict[str, list[Case | GridCase]] = {
    "blocked": [
        LONG,
        replace(LONG, window=None, bias=(False, True, True, True)),
        replace(LONG, table=(8, 8), normalizer="relu"),
        replace(LONG, ragged=True, lengths=((301, 301), (5, 5), (17, 17), (0, 0), (9, 9)), table=(3, 3)),
        replace(LONG, score="additive", normalizer="sigmoid", window=5, dim=4),
        replace(LONG, dropout_p=0.2, dtype=torch.bfloat16),
    ],
    "sdpa": [replace(LONG, window=None), replace(LONG, window=None, causal=True)],
}
IMAGE = GridCase(dtype=torch.float32, sizes=((9, 13), (9, 13)), window=(1, 2), tables=(2, 1, 1, 1), key_heads=2)
IMAGES = replace(IMAGE, ragged=True, sizes=((9, 13), (1, 1), (5, 20)), dilation=2)
CASES["native"] = [case for case in CASES["blocked"] if case.bias is None]
CASES["auto"] = [CASES["blocked"][0], CASES["sdpa"][0], replace(IMAGE, window=None)]
CASES["native"] += [IMAGE, IMAGES]
CASES["blocked"] += [replace(IMAGE, border="shift", dropout_p=0.2), replace(IMAGES, score="additive")]


@pytest.mark.parametrize(
    ("implementation", "number"),
    [(implementation, number) for implementation, cases in CASES.items() for number in range(len(cases))],
)
def test_the_same_bits_twice(implementation: str, number: int) -> None:
    torch.set_num_threads(2)
    call = make(CASES[implementation][number])
    first, again = call.run(implementation), call.run(implementation)
    for name in first:
        assert torch.equal(first[name], again[name]), name
