"""Records that cannot be used: an error by default, or left out, counted and told."""

import numpy as np
import pictures
import pytest
import sounds
from reading import plain

from regard import data
from regard.data.bad import BadRecords
from regard.data.chosen import Chosen, undamaged
from regard.errors import DataError

CONLLU = "1\t{}\t_\t{}\t_\t_\t0\troot\t_\t_\n\n"
FILES = {  # the goal, the name, sound records and bad ones among them
    "csv": ("label", "a.csv", ["text,label\n", "a,X\n", ",Y\n", "b\n", '"c"d,X\n', "e,Y\n", "f,\n"], "ae"),
    "tsv": ("label", "a.tsv", ["text\tlabel\n", "a\tX\n", "b\n", "c\tY\tZ\n", "d\tY\n"], "ad"),
    "jsonl": ("label", "a.jsonl", ['{"text": "a", "label": "X"}\n', "{\n", "1\n", '{"text": "b"}\n'], "a"),
    "conllu": ("labels", "a.conllu", [CONLLU.format("a", "X"), CONLLU.format("b", "_"), "x\n\n"], ["a"]),
    "columns": ("labels", "a.iob", ["a X\n\n", "b\n\n", "c X Y\n\n", "d X\n\n"], ["a", "d"]),
    "tsv of items": ("labels", "a.tsv", ["a\tX\n\n", "\tX\n\n", "c\tX\n\n"], ["a", "c"]),
    "head of bad": ("label", "a.csv", ["text,label\n", "b\n", "a,X\n", "c,Y\n"], "ac"),
    "text": ("target", "a.csv", ["source,target\n", "a,A\n", "b, \n", "c,C\n"], "ac"),
}


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize(("goal", "name", "lines", "sound"), FILES.values(), ids=FILES)
def test_what_is_left_is_as_if_the_bad_ones_were_not_there(save, goal, name, lines, sound, lazily):
    path = save(name, "".join(lines))
    with pytest.raises(DataError, match=r"a\.\w+:\d"):
        data.read(path, goal=goal, lazily=lazily)
    bad = BadRecords(skip=True)
    found = data.read(path, goal=goal, lazily=lazily, bad=bad)
    wanted = [[item] if goal == "labels" else item for item in sound]
    assert [example.items for example in found] == wanted == [found[n].items for n in range(len(found))]
    records = [line for line in lines if not line.startswith(("text", "source"))]
    assert bad.count == len(records) - len(sound)
    assert all(error.line is not None for error in bad.first)


@pytest.mark.parametrize("lazily", [False, True])
def test_nothing_but_bad_records_is_an_error(save, lazily):
    with pytest.raises(DataError, match=r"a.csv:2: expected a text of at least one character"):
        data.read(save("a.csv", "text,label\n,X\n,Y\n"), goal="label", lazily=lazily, bad=BadRecords(skip=True))


def test_ten_are_told_and_all_are_counted(save, caplog):
    bad = BadRecords(skip=True)
    data.read(save("a.csv", "text,label\na,X\n" + ",X\n" * 12), goal="label", bad=bad)
    bad.warn("a.csv")
    told = [record.message for record in caplog.records]
    assert len(told) == 11
    assert "a.csv:3: expected a text of at least one character, found an empty one" in told[0]
    assert told[-1] == "a.csv: 12 bad records left out, of which the first 10 are told"


def test_python_values_are_left_out_too():
    bad = BadRecords(skip=True)
    entries = [("a", "X"), ("", "X"), "b", ("c", None), ("d", 1.5), {"text": "e", "label": "Y"}, (["f"], "Y")]
    assert plain(data.read(entries, goal="label", bad=bad)) == [("a", "X"), ("e", "Y")]
    assert [str(error).split(":")[0] for error in bad.first] == [f"example {n}" for n in (2, 3, 4, 5, 7)]


def test_images_that_are_missing_or_damaged(save, tmp_path):
    whole = pictures.save(tmp_path / "whole.png", pictures.shape("bar", 40, 40))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-200])
    (tmp_path / "text.png").write_text("no image")
    names = ["whole", "gone", "cut", "text", "whole"]
    path = save("a.csv", "image,label\n" + "".join(f"{name}.png,X\n" for name in names))
    bad = BadRecords(skip=True)
    found = undamaged(data.read(path, goal="label", items="images", bad=bad), bad)
    assert [example.place.line for example in found] == [2, 6]
    assert sorted(error.line for error in bad.first) == [3, 4, 5]
    assert all("a.csv" in str(error) for error in bad.first)


def test_recordings_that_end_too_early(save, tmp_path):
    whole = sounds.save_tone(tmp_path / "whole.flac", "low")
    (tmp_path / "cut.flac").write_bytes(whole.read_bytes()[:-1000])
    path = save("a.jsonl", "".join(f'{{"audio": "{name}.flac", "label": "X"}}\n' for name in ("cut", "whole", "gone")))
    bad = BadRecords(skip=True)
    found = undamaged(data.read(path, goal="label", items="recordings", bad=bad), bad)
    assert [example.place.line for example in found] == [2]
    assert bad.count == 2


def test_files_of_a_folder_that_are_something_else(tmp_path):
    sounds.save_classes(tmp_path, count=1)
    (tmp_path / "low" / "notes.doc").write_text("no sound")
    (tmp_path / "low" / "broken.wav").write_text("no sound")
    (tmp_path / "empty").mkdir()
    bad = BadRecords(skip=True)
    assert len(data.read(tmp_path, goal="label", items="recordings", bad=bad)) == len(sounds.HZ)
    assert bad.count == 3


def test_rows_of_pixels_and_a_column_of_vectors(save):
    rows = (
        "label," + ",".join(f"pixel{n}" for n in range(4)) + "\nX,1,2,3,4\nX,1,2,3\nX,1,2,3,300\nY,1,2,3,x\nY,4,3,2,1\n"
    )
    bad = BadRecords(skip=True)
    assert len(data.read(save("a.csv", rows), goal="label", items="images", bad=bad)) == 2
    assert bad.count == 3
    vectors = [(np.ones((2, 3)), "X"), (np.ones((2, 4)), "X"), (np.full((1, 3), np.nan), "X")]
    assert len(data.read(vectors, goal="label", items="vectors", bad=bad)) == 1


def test_images_and_masks_of_a_folder_that_are_damaged_or_without_the_other(tmp_path):
    for name in ("cut", "cut mask", "whole"):
        pictures.save(tmp_path / "images" / f"{name}.png", pictures.shape("bar", 40, 40))
        pictures.save(tmp_path / "masks" / f"{name}.png", pictures.colours(40, 40, 1))
    for path in (tmp_path / "images" / "cut.png", tmp_path / "masks" / "cut mask.png"):
        path.write_bytes(path.read_bytes()[:-200])
    pictures.save(tmp_path / "masks" / "alone.png", pictures.colours(40, 40, 1))
    bad = BadRecords(skip=True)
    found = undamaged(data.read(tmp_path, goal="mask", items="images", bad=bad), bad)
    assert [example.place.source for example in found] == [str(tmp_path / "images" / "whole.png")]
    told = sorted(str(error).split(":")[0] for error in bad.first)
    assert told == [str(tmp_path / path) for path in ("images/cut.png", "masks/alone.png", "masks/cut mask.png")]


def test_what_holds_no_files_is_as_it_was(save):
    examples = data.read(save("a.csv", "text,label\na,X\nb,Y\n"), goal="label")
    assert undamaged(examples, BadRecords(skip=True)) is examples


def test_some_of_the_examples_are_a_sequence():
    chosen = Chosen(["a", "b", "c", "d"], [0, 2, 3])
    assert (list(chosen), len(chosen), chosen[-1]) == (["a", "c", "d"], 3, "d")
    assert (list(chosen[1:]), len(chosen[1:])) == (["c", "d"], 2)
