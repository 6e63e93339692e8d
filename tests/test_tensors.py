"""Safetensors that are read without a map: the same as those of the library, and no other."""

import io
import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from regard.tensors import KINDS, BadTensors, open_tensors, write_tensors

TENSORS = {
    **{kind: torch.arange(24).reshape(2, 3, 4).to(dtype) for kind, dtype in KINDS.items()},
    "one number": torch.tensor(7.0),
    "none": torch.zeros(0, 5),
}


def read_tensors(path):
    with open_tensors(path) as file:
        return file.metadata, file.read_all()


def test_what_the_library_writes(tmp_path):
    save_file(TENSORS, tmp_path / "a", metadata={"ç": "x"})
    metadata, tensors = read_tensors(tmp_path / "a")
    assert metadata == {"ç": "x"}
    theirs = load_file(tmp_path / "a")
    assert tensors.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


@pytest.mark.parametrize("tensors", [TENSORS, {}])
def test_what_is_written_is_the_librarys(tmp_path, tensors):
    metadata = {"ç": "x", "b": "\n", "a": "1"}
    with (tmp_path / "a").open("wb") as file:
        write_tensors(file, tensors, lambda _: metadata)
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == metadata
    for name, tensor in load_file(tmp_path / "a").items():
        assert torch.equal(tensor, tensors[name])
    assert read_tensors(tmp_path / "a")[1].keys() == tensors.keys()


def test_the_same_tensors_are_the_same_bytes():
    """The library writes ten metadata in 3,628,800 orders."""
    metadata = {str(number): "x" for number in range(10)}
    first, second = io.BytesIO(), io.BytesIO()
    write_tensors(first, TENSORS, lambda _: metadata)
    write_tensors(second, dict(reversed(TENSORS.items())), lambda _: dict(reversed(metadata.items())))
    assert first.getvalue() == second.getvalue()


def test_a_file_that_is_cut_short_while_it_is_read(tmp_path):
    """In a map that is a bus error, which ends the process."""
    save_file({"a": torch.zeros(100_000), "b": torch.zeros(100_000)}, tmp_path / "a")
    with open_tensors(tmp_path / "a") as file:
        assert file.read("a").shape == (100_000,)
        os.truncate(tmp_path / "a", 500_000)
        with pytest.raises(BadTensors, match="the file became shorter while 'b' was read"):
            file.read("b")


def test_tensors_do_not_change_with_their_file(tmp_path):
    save_file({"a": torch.ones(10_000)}, tmp_path / "a")
    _, tensors = read_tensors(tmp_path / "a")
    (tmp_path / "a").write_bytes(bytes((tmp_path / "a").stat().st_size))
    assert tensors["a"].sum() == 10_000


def entry(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


BAD = {
    "a shape of another size": entry(shape=[3]),
    "a side below 0": entry(shape=[-1, -2]),
    "sides that no machine counts": entry(shape=[0, 2**62, 2**62], data_offsets=[0, 0]),
    "half a number": entry(shape=[2.0]),
    "offsets in the wrong order": entry(data_offsets=[8, 0]),
    "offsets behind the end": entry(shape=[4], data_offsets=[0, 16]),
    "a hole": entry(shape=[1], data_offsets=[4, 8]),
    "no offsets": {"a": {"dtype": "F32", "shape": [2]}},
    "no entry": {"a": 1},
    "no object": [],
    "metadata that are no texts": {"__metadata__": {"a": 1}} | entry(),
}


@pytest.mark.parametrize("case", BAD)
def test_a_header_that_lies(tmp_path, case):
    header = json.dumps(BAD[case]).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(BadTensors):
        read_tensors(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 8, b"\x02" + bytes(7), bytes(100), b"[" * 200_000])
def test_what_is_no_such_file(tmp_path, content):
    if content.startswith(b"["):
        content = len(content).to_bytes(8, "little") + content
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadTensors):
        read_tensors(tmp_path / "a")
