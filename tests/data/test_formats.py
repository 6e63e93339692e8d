"""The table of formats."""

from importlib import import_module

import pytest

from regard.data import FORMATS, formats_for, writable_formats
from regard.data.goals import GOALS


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: f"{row.name} {row.reader}")
def test_readers_and_writers_exist(row):
    for name in (row.reader, row.writer):
        if name is not None:
            module, function = name.split(":")
            assert callable(getattr(import_module(f"regard.data.formats.{module}"), function))
    assert set(row.holds) <= set(GOALS) - {"nothing"}
    assert all(ending == ending.lower() and ending.startswith(".") for ending in row.endings)
    assert row.by_lines or not row.has_head


def test_a_name_is_one_format_of_a_goal():
    held = [(row.name, goal) for row in FORMATS for goal in row.holds]
    assert len(held) == len(set(held))


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
def test_an_ending_is_one_format_of_a_goal(goal, labelled):
    known = formats_for(goal, labelled=labelled)
    endings = [ending for row in known.values() for ending in row.endings]
    if {"text", "audacity"} <= known.keys():  # a label track by itself tells nothing that a list of paths does not
        endings.remove(".txt")
    assert len(endings) == len(set(endings))
    assert all(name == row.name for name, row in known.items())


@pytest.mark.parametrize(
    ("goal", "labelled", "names"),
    [
        ("labels", True, "conllu columns tsv csv jsonl parquet npz"),
        ("labels", False, "conllu columns tsv csv jsonl parquet npz text audio image"),
        ("segments", True, "csv tsv jsonl parquet rttm stm ctm audacity"),
        ("segments", False, "csv tsv jsonl parquet rttm stm ctm audacity text audio image"),
        ("mask", True, "csv tsv jsonl parquet npz masks"),
        ("mask", False, "csv tsv jsonl parquet npz masks text audio image"),
        ("label", True, "csv tsv jsonl parquet ts npz idx folder stm"),
        ("label", False, "csv tsv jsonl parquet ts npz idx folder stm text audio image"),
        ("target", True, "lines csv tsv jsonl parquet stm ctm"),
        ("target", False, "lines csv tsv jsonl parquet stm ctm audio image"),
        ("nothing", True, "conllu columns tsv csv jsonl parquet ts npz idx folder masks rttm stm ctm audacity text"),
    ],
)
def test_which_there_are(goal, labelled, names):
    assert list(formats_for(goal, labelled=labelled)) == names.split()


def test_all_but_nists_texts_and_idx_are_written():
    for goal in ("labels", "segments", "mask", "label", "target"):
        plain = set() if goal in ("segments", "mask") else {"text"}
        assert set(writable_formats(goal)) == {*formats_for(goal), *plain} - {"stm", "ctm", "idx"}
