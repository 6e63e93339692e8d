"""`Ragged`: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard import Ragged, ShapeError

lengths = st.lists(st.integers(0, 6), min_size=1, max_size=7)
checked = settings(derandomize=True, deadline=None, max_examples=50)


def _sequences(lengths: list[int]) -> list[Tensor]:
    numbers = torch.arange(1.0, 2 * sum(lengths) + 1).view(-1, 2)
    return list(torch.split(numbers, lengths))


@checked
@given(lengths=lengths)
def test_a_list_comes_back(lengths: list[int]) -> None:
    sequences = _sequences(lengths)
    batch = Ragged.from_list(sequences)
    assert len(batch) == len(lengths)
    assert batch.lengths.tolist() == lengths
    assert batch.values.shape == (sum(lengths), 2)
    assert all(torch.equal(x, y) for x, y in zip(batch.unbind(), sequences, strict=True))
    same = Ragged.from_lengths(batch.values, lengths)
    assert torch.equal(same.offsets, batch.offsets)
    assert batch.offsets.dtype == torch.int64


@checked
@given(lengths=lengths)
def test_padded_as_pytorch_pads_and_back(lengths: list[int]) -> None:
    sequences = _sequences(lengths)
    batch = Ragged.from_list(sequences)
    padded, mask = batch.to_padded(fill=-1)
    assert torch.equal(padded, pad_sequence(sequences, batch_first=True, padding_value=-1))
    assert mask.sum(1).tolist() == lengths
    assert torch.equal(mask, padded[..., 0] != -1)
    back = Ragged.from_padded(padded, mask)
    assert torch.equal(back.values, batch.values)
    assert torch.equal(back.offsets, batch.offsets)


@checked
@given(lengths=lengths)
def test_where_each_row_stands(lengths: list[int]) -> None:
    batch = Ragged.from_list(_sequences(lengths))
    assert batch.sequence_ids.tolist() == [b for b, n in enumerate(lengths) for _ in range(n)]
    assert batch.positions.tolist() == [i for n in lengths for i in range(n)]


def test_a_mask_may_have_holes() -> None:
    padded = torch.arange(6.0).view(2, 3)
    batch = Ragged.from_padded(padded, torch.tensor([[True, False, True], [False, True, False]]))
    assert [x.tolist() for x in batch.unbind()] == [[0, 2], [4]]


def test_no_sequences() -> None:
    batch = Ragged(torch.zeros(0, 3), torch.zeros(1, dtype=torch.int64))
    assert len(batch) == 0
    assert batch.unbind() == []
    assert batch.positions.shape == batch.sequence_ids.shape == (0,)
    padded, mask = batch.to_padded()
    assert (padded.shape, mask.shape) == ((0, 0, 3), (0, 0))


def test_gradients_pass() -> None:
    leaves = [torch.ones(2, 3, requires_grad=True), torch.ones(1, 3, requires_grad=True)]
    padded, _ = Ragged.from_list(leaves).to_padded()
    (padded * torch.tensor([1.0, 2.0])[:, None, None]).sum().backward()
    assert [x.grad.unique().tolist() for x in leaves if x.grad is not None] == [[1], [2]]


def test_other_values_for_the_same_sequences() -> None:
    batch = Ragged.from_list(_sequences([2, 1]))
    wider = batch.with_values(torch.zeros(3, 9))
    assert [x.shape for x in wider.unbind()] == [(2, 9), (1, 9)]
    assert wider.offsets is batch.offsets
    moved = batch.to("meta")
    assert moved.values.device.type == moved.offsets.device.type == "meta"
    with pytest.raises(FrozenInstanceError):
        batch.values = torch.zeros(1)  # type: ignore[misc]


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="at least one sequence, got none"):
        Ragged.from_list([])
    with pytest.raises(ShapeError, match="sum to the 4 rows of values, got a sum of 3"):
        Ragged.from_lengths(torch.zeros(4, 1), [2, 1])
    with pytest.raises(ShapeError, match=r"mask must be bool of shape \(2, 3\), got torch.int64 of shape \(2, 3\)"):
        Ragged.from_padded(torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"mask must be bool of shape \(2, 3\), got torch.bool of shape \(3, 2\)"):
        Ragged.from_padded(torch.zeros(2, 3, 1), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="lengths must not be negative, got -1"):
        Ragged.from_lengths(torch.zeros(2, 1), [3, -1])
