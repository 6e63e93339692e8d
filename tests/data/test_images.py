"""Images from every kind of source: folders, lists, arrays, IDX, tables of pixels, datasets."""

import gzip
import io

import numpy as np
import pytest
from pictures import SHAPES, colours, save, save_classes, save_list, shape
from PIL import Image as pillow
from reading import written

from regard import DataError, Image
from regard.data import Example, iter_read, read

GRAYS = np.stack([colours(4, 4, 1, seed) for seed in range(5)])  # [5, 4, 4]
LABELS = np.array([7, 2, 1, 0, 4], np.uint8)


def images(source, **options):
    return read(source, **{"goal": "label", "items": "images"} | options)


def check(examples, pixels=GRAYS, labels=LABELS):
    assert [example.goal for example in examples] == list(map(str, labels))
    for example, own in zip(examples, pixels, strict=True):
        np.testing.assert_allclose(example.items.pixels().squeeze(2) * 255, own, atol=1e-4)


def test_a_folder_of_classes(tmp_path):
    examples = images(save_classes(tmp_path / "a", 2))
    assert [example.goal for example in examples] == ["bar", "bar", "cross", "cross", "dot", "dot"]
    np.testing.assert_array_equal(examples[2].items.pixels()[:, :, 0] * 255, shape("cross"))
    assert examples[2].place.source.endswith("cross/0.png")
    alone = images(tmp_path / "a" / "bar", labelled=False)
    assert [example.items.size for example in alone] == [(8, 8), (8, 9)]
    assert images(tmp_path / "a" / "bar" / "1.png", labelled=False)[0].items.size == (8, 9)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected sub-folders, one for each label, .*, found an empty folder"),
        (["a.png"], "found files alone"),
        (["cat/"], r"cat: expected .*images \(.png, .jpg, .jpeg, ...\), found an empty folder"),
        (["cat/a.png", "cat/notes.pdf"], "cat: expected .*, found the file 'notes.pdf'"),
        (["cat/a.png", "cat/more/b.png"], "found the folder 'more'"),
    ],
)
def test_a_folder_that_is_none(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            save(tmp_path / name, GRAYS[0]) if name.endswith("png") else (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=message):
        images(tmp_path)


def test_a_damaged_image_in_a_list_is_named_and_so_is_the_line(tmp_path):
    save(tmp_path / "a.png", GRAYS[0])
    (tmp_path / "b.png").write_bytes(b"no image")
    path = save_list(tmp_path / "list.csv", [{"image": f"{name}.png", "label": "x"} for name in "ab"])
    with pytest.raises(DataError, match=r"list.csv:3: expected an image .*, found something else, .*, in '.*b.png'"):
        images(path)


def test_a_damaged_image_in_a_folder_is_named(tmp_path):
    save_classes(tmp_path, 1)
    (tmp_path / "dot" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"dot/0.png: expected an image .*, found something else, or a damaged one"):
        images(tmp_path)


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("key", ["image", "file", "img", "Path"])
def test_a_list_names_files_from_its_own_folder(tmp_path, format, key):
    rows = [{key: f"pictures/{number}.png", "label": str(label)} for number, label in enumerate(LABELS)]
    for number, own in enumerate(GRAYS):
        save(tmp_path / "pictures" / f"{number}.png", own)
    path = save_list(tmp_path / f"list.{format}", rows)
    check(images(path))
    check(images(path, lazily=True) if format != "parquet" else list(iter_read(path, goal="label", items="images")))


@pytest.mark.parametrize("key", ["text", "target", "caption"])
def test_a_list_of_pictures_with_their_texts(tmp_path, key):
    save(tmp_path / "a.png", GRAYS[0])
    path = save_list(tmp_path / "list.jsonl", [{"image": "a.png", key: "a cat sleeps"}])
    assert images(path, goal="target")[0].goal == "a cat sleeps"


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_what_is_predicted_can_be_read_again(tmp_path, format):
    paths = [save(tmp_path / f"{number}.png", own) for number, own in enumerate(GRAYS)]
    rows = [(Example(Image.from_file(path)), {"label": str(label)}) for path, label in zip(paths, LABELS, strict=True)]
    (tmp_path / f"out.{format}").write_bytes(written(rows, goal="label", format=format, items="images"))
    check(images(tmp_path / f"out.{format}"))
    in_memory = [(Example(Image.from_pixels(GRAYS[0])), {"label": "7"})]
    if format in ("csv", "tsv"):
        with pytest.raises(DataError, match=f"images in files, whose paths {format} holds, found one in memory"):
            written(in_memory, goal="label", format=format, items="images")
    with pytest.raises(DataError, match="an array, which npz is made of, found an image; format=jsonl takes it"):
        written(in_memory, goal="label", format="npz", items="images")


def test_files_that_are_missing_are_told_at_once(tmp_path):
    rows = [{"image": f"gone-{number}.png", "label": "cat"} for number in range(12)]
    with pytest.raises(DataError, match=r"list.csv: expected image files, of which 12 are missing, found .*and 2 more"):
        images(save_list(tmp_path / "list.csv", rows))
    with pytest.raises(DataError, match=r"list.csv:2: expected an image file, found nothing at '.*gone-0.png'"):
        images(save_list(tmp_path / "list.csv", rows[:1]))


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("data", "label"), ("image", "class")])
@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 16), (5, 4, 4, 1)])
def test_arrays_in_an_archive(tmp_path, names, shape):
    np.savez(tmp_path / "a.npz", **{names[0]: GRAYS.reshape(shape), names[1]: LABELS})
    check(images(tmp_path / "a.npz"))
    assert len(images(tmp_path / "a.npz", labelled=False)) == 5
    np.savez_compressed(tmp_path / "b.npz", **{names[0]: GRAYS.reshape(shape), names[1]: LABELS.astype(str)})
    check(images(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GRAYS}, "an array 'label', found the arrays images"),
        ({"labels": LABELS}, "an array 'image', found the arrays labels"),
        ({"images": np.uint8(3), "labels": LABELS}, "an array 'images' with a row for each, found a single value"),
        ({"images": GRAYS, "labels": LABELS[:3]}, r"as many labels as sequences \(5\), found 3 labels"),
        (
            {"images": GRAYS[:, :2, :1].repeat(5, 2).reshape(5, 10), "labels": LABELS},
            "a row of pixels that make a square, .*found 10 ",
        ),
        ({"images": GRAYS * np.nan, "labels": LABELS}, "finite numbers, found nan .*in sequence 1"),
    ],
)
def test_an_archive_that_is_none(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"a.npz: expected {message}"):
        images(tmp_path / "a.npz")


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


@pytest.mark.parametrize("packed", [(False, False), (True, True), (True, False), (False, True)])
@pytest.mark.parametrize("names", ["train-{}-idx{}-ubyte", "t10k-{}.idx{}-ubyte"])
def test_idx(tmp_path, names, packed):
    paths = []
    for name, array, pack in (("images", GRAYS, packed[0]), ("labels", LABELS, packed[1])):
        path = tmp_path / (names.format(name, array.ndim) + ".gz" * pack)
        path.write_bytes(gzip.compress(idx(array)) if pack else idx(array))
        paths.append(path)
    check(images(paths[0]))
    assert images(paths[0])[2].place.number == 3
    assert len(images(paths[0], labelled=False)) == 5
    with pytest.raises(DataError, match=r"expected images: .* 3 axes, .*found 1, of \[5\]; name the file of images"):
        images(paths[1], labelled=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file of bytes, .*, found an empty file"),
        (b"\x00\x00\x0d\x03", "expected .*found the first bytes 00 00 0d 03"),
        (b"\x89PNG\r\n", "expected .*found the first bytes 89 50 4e 47"),
        (idx(GRAYS)[:-1], r"expected 80 bytes, as its head says \(5 × 4 × 4\), found 79; fetch it again"),
        (idx(GRAYS) + b"\0", r"expected 80 bytes, .*, found more"),
        (idx(GRAYS)[:9], "expected the sizes of 3 axes, found a head that is cut off; fetch it again"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "expected [0-9,]+ bytes, as its head says .*, found 0; fetch it again"),
        (gzip.compress(idx(GRAYS))[:-9], "expected a whole gzip file, found one that is cut off"),
        (b"\x1f\x8b" + bytes(30), "expected a sound gzip file"),
    ],
)
def test_idx_that_is_none(tmp_path, content, message):
    (tmp_path / "images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=rf"images-idx3-ubyte: {message}"):
        images(tmp_path / "images-idx3-ubyte", labelled=False)


def test_labels_of_idx_that_do_not_fit(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx(GRAYS))
    with pytest.raises(DataError, match=r"labels beside it, in a file 'train-labels-idx1-ubyte', plain or gzip, found"):
        images(path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:4]))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte: expected a label for each of the 5 .*shape \[4\]"):
        images(path)
    (tmp_path / "other-ubyte").write_bytes(idx(GRAYS))
    with pytest.raises(DataError, match=r"other-ubyte: expected 'images' or 'idx3' in its name"):
        images(tmp_path / "other-ubyte")


def test_idx_that_unpacks_to_more_than_it_may(tmp_path):
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((2, 1024, 1024), np.uint8))))
    with pytest.raises(DataError, match="a packed file that holds at most 1 MiB"):
        images(path, labelled=False, largest_unpacked=1)


def test_a_row_of_three_squares_has_no_label_in_it(tmp_path):
    (tmp_path / "a.csv").write_text(",".join(map(str, range(12))) + "\n")
    for column in ("1", "13"):
        (example,) = images(tmp_path / "a.csv", labelled=False, column=column)
        assert (example.items.size, example.items.channels) == ((2, 2), 3)


def test_idx_that_is_not_packed_may_be_of_any_size(tmp_path):
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(np.zeros((2, 1024, 1024), np.uint8)))
    assert len(images(tmp_path / "images-idx3-ubyte", labelled=False, largest_unpacked=1)) == 2


def pixel_table(*, header, last=False, separator=",", kind=str):
    rows = []
    if header:
        rows.append(["label", *(f"pixel{number}" for number in range(16))])
    for own, label in zip(GRAYS, LABELS, strict=True):
        rows.append([kind(label), *(kind(value) for value in own.ravel().tolist())])
    rows = [[*row[1:], row[0]] if last else row for row in rows]
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("kind", [str, lambda value: f"{value}.0"])
def test_a_table_of_pixels(tmp_path, format, last, kind):
    path = tmp_path / f"a.{format}"
    separator = "," if format == "csv" else "\t"
    path.write_text(pixel_table(header=True, last=last, separator=separator, kind=kind))
    check(images(path))
    check(images(path, lazily=True))
    assert len(images(path, labelled=False)) == 5
    path.write_text(pixel_table(header=False, last=last, separator=separator, kind=kind))
    column = "17" if last else "1"
    check(images(path, column=column))
    check(images(path, column=column, lazily=True))
    with pytest.raises(DataError, match=r"a.\wsv:1: expected the number of the column with the labels, .*column=17 "):
        images(path)
    bare = "".join(separator.join(map(str, own.ravel())) + "\n" for own in GRAYS)
    path.write_text(bare)
    for number in ("1", "17", None):
        assert [len(example.items) for example in images(path, labelled=False, column=number)] == [16] * 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "label,pixel0,pixel1,pixel2,pixel3,pixel4\n1,2,3,4,5,6\n",
            "a.csv:2: expected a row of pixels that make a square",
        ),
        ("label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4\n", "a.csv:2: expected 5 columns as in the first row, found 4"),
        ("label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,x\n", "a.csv:2: expected pixels, which are numbers, found 'x'"),
        (
            "label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,500\n",
            "a.csv:2: expected pixels from 0 to 255, .* found 2 to 500",
        ),
        ("label,pixel0,pixel1,pixel2,pixel3\n1,0.5,3,4,-2\n", "a.csv:2: expected pixels from 0 .* found -2 to 4"),
        ("label,pixel0,pixel1,pixel2,pixel3\n1,0.5,,4,2\n", "a.csv:2: expected pixels, which are numbers, found ''"),
        ("label,pixel0,pixel1,pixel2,pixel3\nNaN,1,2,3,4\n", "a.csv:2: expected a label, found 'NaN', which is none"),
        ("label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,nan\n", "a.csv:2: expected finite numbers"),
        ("7\n", "a.csv:1: expected the number of the column with the labels"),
        ("id,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,5\n", r"a.csv:1: expected a column 'label' \(or .*without one"),
    ],
)
def test_a_table_of_pixels_that_is_none(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        images(tmp_path / "a.csv")


def test_rows_of_pixels_are_on_one_scale(tmp_path):
    (tmp_path / "a.csv").write_text("label,p1,p2,p3,p4\n1,51,102,153,255\n1,51.0,102,153,255.0\n1,51,102,153,254.9\n")
    for example in images(tmp_path / "a.csv"):
        np.testing.assert_allclose(example.items.pixels().ravel(), [0.2, 0.4, 0.6, 1], atol=1e-3)
    (tmp_path / "b.csv").write_text("label,p1,p2,p3,p4\n1,0.2,0.4,0.6,1\n")
    np.testing.assert_allclose(images(tmp_path / "b.csv")[0].items.pixels().ravel(), [0.2, 0.4, 0.6, 1])


def test_a_table_of_texts_whose_columns_have_numbers_stays_one(tmp_path):
    (tmp_path / "a.csv").write_text("label,text1,text2,text3\nA,1,2,3\n")
    with pytest.raises(DataError, match="expected a column 'text'"):
        read(tmp_path / "a.csv", goal="label")


def png(pixels):
    out = io.BytesIO()
    pillow.fromarray(pixels).save(out, "png")
    return out.getvalue()


@pytest.mark.parametrize("key", ["image", "img"])
@pytest.mark.parametrize("decode", [True, False])
def test_a_dataset_of_the_datasets_library(key, decode):
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as Feature

    features = Features({key: Feature(decode=decode), "label": ClassLabel(names=list("abcdefgh"))})
    rows = {key: [{"bytes": png(own), "path": None} for own in GRAYS], "label": LABELS.tolist()}
    dataset = Dataset.from_dict(rows, features=features)
    check(images(dataset), labels=["abcdefgh"[label] for label in LABELS])
    assert len(images(dataset, labelled=False)) == 5


def test_a_dataset_that_holds_pictures_of_pillow_or_arrays():
    check(images([{"image": pillow.fromarray(own), "label": int(n)} for own, n in zip(GRAYS, LABELS, strict=True)]))
    check(images(list(zip(GRAYS, LABELS, strict=True))))
    check(images({"x": GRAYS, "y": LABELS}))
    assert len(images(GRAYS, labelled=False)) == 5
    tensor = pytest.importorskip("torch").from_numpy(GRAYS)
    assert len(images(tensor, labelled=False)) == 5


def test_a_torch_dataset_of_pairs():
    class Pairs:
        def __len__(self):
            return len(GRAYS)

        def __iter__(self):
            return iter((pillow.fromarray(own), int(label)) for own, label in zip(GRAYS, LABELS, strict=True))

    check(images(Pairs()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"example 1: expected an image: the path of a file, .*, found 3 \(int\)"),
        ("nowhere.png", "expected an image file, found nothing at 'nowhere.png'"),
        (" ", "example 1: expected the path of an image file, found an empty one"),
        ([[1, 2], [3]], "example 1: expected an image: "),
        ({"size": 3}, "example 1: expected a key 'image'"),
        ({"image": {"size": 3}}, "example 1: expected an image with the key path or bytes, found the keys size"),
        (np.zeros((3, 20, 20)), "example 1: expected .*channels first"),
    ],
)
def test_what_is_no_image(given, message):
    with pytest.raises(DataError, match=message):
        images([given], labelled=False)


def test_images_are_refused_by_the_other_front_ends():
    with pytest.raises(DataError, match="an image; front_end=patches and front_end=pixels take it"):
        read([(Image.from_pixels(GRAYS[0]), "A")], goal="label", items="text")


def test_an_image_beside_a_text_is_refused(tmp_path):
    assert [example.goal for example in images(save_classes(tmp_path, 1))] == list(SHAPES)
    (tmp_path / "dot" / "a.txt").write_text("not an image")
    with pytest.raises(DataError, match=r"a\.txt"):
        images(tmp_path)


def test_a_table_of_labels_without_pixels(tmp_path):
    (tmp_path / "a.csv").write_text("7\n8\n")
    with pytest.raises(DataError, match=r"a.csv:1: expected columns of pixels, found the columns 1"):
        images(tmp_path / "a.csv", column="1")
