"""Folders of images and masks: what is refused, and masks of many labels. See tests/tasks/test_label_masks.py too."""

import numpy as np
import pytest
from pictures import colours, save

from regard import DataError, Image
from regard.data import Example, read, write


def masks(source, **options):
    return read(source, **{"goal": "mask", "items": "images", "format": "masks"} | options)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DataError, match="gone: expected a folder, found nothing of that name"):
        masks(tmp_path / "gone")
    with pytest.raises(DataError, match=r"a.png: expected a folder, found a file"):
        masks(save(tmp_path / "a.png", colours(4, 4, 1)))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: expected images \(.png, .*\), found none"):
        masks(tmp_path / "none", labelled=False)


def test_more_labels_than_a_palette_has_come_back(tmp_path):
    numbers = np.arange(16).reshape(4, 4) * 100
    path = save(tmp_path / "in" / "images" / "a.png", colours(4, 4, 1))
    (example,) = read([path], goal="nothing", items="images", labelled=False)
    (tmp_path / "in" / "masks").mkdir()
    write([example], [{"mask": numbers}], tmp_path / "in" / "masks", format="masks", goal="mask", items="images")
    (again,) = masks(tmp_path / "in")
    np.testing.assert_array_equal(again.goal.numbers(), numbers)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (Image.from_pixels(colours(4, 4, 1)), "expected images in files, .*, found one in memory"),
        ("a text", "expected files, which masks is about, found text"),
    ],
    ids=["in memory", "text"],
)
def test_what_has_no_file_has_no_name(tmp_path, items, message):
    with pytest.raises(DataError, match=f"{message}; format=jsonl takes it"):
        write([Example(items)], [{"mask": [[0]]}], tmp_path, format="masks", goal="mask", items="images")


def test_a_mask_belongs_to_an_image():
    with pytest.raises(DataError, match="an image, to which the mask belongs, found a list; front_end=pixels"):
        read([(["a", "word"], [[0]])], goal="mask", items="words")
