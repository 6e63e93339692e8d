import gzip
from functools import partial

import pytest

from regard import data
from regard.data import Example, Place, write
from regard.errors import DataError

read = partial(data.read, goal="label")


@pytest.fixture
def folder(tmp_path):
    """Makes files of a new folder and gives its path."""

    def folder(**files: bytes | str):
        for name, content in files.items():
            path = tmp_path / "reviews" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "reviews"

    return folder


def test_the_sub_folder_is_the_label(folder):
    files = {
        "pos__b.txt": "One\ntwo.\r\n",
        "pos__a.TXT": "é",
        "neg__c.txt.gz": gzip.compress(b"Bad.\n"),
        "pos__.DS_Store": "x",
        ".git__x.txt": "x",
        "README.md": "not a review",
    }
    path = folder(**files)
    examples = read(path)
    assert [(e.items, e.goal) for e in examples] == [("Bad.", "neg"), ("é", "pos"), ("One\ntwo.", "pos")]
    assert examples[0].place.source == str(path / "neg" / "c.txt.gz")
    assert [e.items for e in read(path, labelled=False)] == ["Bad.", "é", "One\ntwo."]
    assert [e.goal for e in read(path, format="folder", labelled=False)] == [None] * 3


def test_without_labels_the_files_may_lie_flat(folder):
    path = folder(**{"b.txt": "two", "a.txt": "", "c.txt.gz": gzip.compress(b"three")})
    assert [e.items for e in read(path, labelled=False)] == ["", "two", "three"]
    with pytest.raises(DataError, match=r"reviews: expected sub-folders, one for each label, .* found files alone"):
        read(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {".keep": ""},
            r"reviews: expected sub-folders, one for each label, with text files .*, found an empty folder",
        ),
        ({"pos__a.txt": "a", "neg__.keep": ""}, r"neg: expected text files .*, found an empty folder"),
        ({"pos__a.txt": "a", "pos__b.pdf": ""}, r"pos: expected text files \(.*\), found the file 'b.pdf'"),
        ({"pos__2020__a.txt": "a"}, r"pos: expected text files \(.*\), found the folder '2020'"),
        ({"pos__a.txt": "\n"}, r"pos/a.txt: expected a text of at least one character, found an empty one"),
        ({"pos__a.txt": "x\n caf\xe9".encode("latin-1")}, r"pos/a.txt:2: expected UTF-8 text, found byte 0xe9"),
    ],
    ids=["empty", "empty label", "other file", "deeper", "empty text", "latin-1"],
)
def test_a_wrong_folder(folder, files, message):
    with pytest.raises(DataError, match=message):
        read(folder(**files))


def test_a_file_or_nothing_in_place_of_a_folder(save, tmp_path):
    with pytest.raises(DataError, match=r"a.txt: expected a folder, found a file"):
        read(save("a.txt", "a"), format="folder")
    with pytest.raises(DataError, match=r"b: expected a folder, found nothing of that name"):
        read(tmp_path / "b", format="folder")
    with pytest.raises(DataError, match=r"expected a file, found a folder; name one file in it"):
        read(tmp_path, format="csv")


def test_an_empty_folder_without_labels(folder):
    with pytest.raises(DataError, match=r"reviews: expected text files .*, found an empty folder"):
        read(folder(**{".keep": ""}), labelled=False)


def test_what_is_written_is_read_again(folder, tmp_path):
    texts = read(
        folder(**{"pos__a.txt": "one\ntwo", "neg__a.txt": "", "neg__b.txt.gz": gzip.compress(b"three\n")}),
        labelled=False,
    )
    (tmp_path / "out").mkdir()
    write(
        texts,
        [{"label": label} for label in ("good", "good", "bad one")],
        tmp_path / "out",
        format="folder",
        goal="label",
    )
    files = {str(path.relative_to(tmp_path / "out")): path.read_text() for path in (tmp_path / "out").rglob("*.txt")}
    assert files == {"good/a.txt": "\n", "good/b.txt": "three\n", "bad one/a.txt": "one\ntwo\n"}
    (tmp_path / "again").mkdir()
    write([Example("x"), Example("y")], [{"label": "A"}] * 2, tmp_path / "again", format="folder", goal="label")
    assert [(e.items, e.goal) for e in read(tmp_path / "again")] == [("x", "A"), ("y", "A")]


@pytest.mark.parametrize("label", ["a/b", "..", ".hidden", "x" * 300, "a\0b", "語" * 100, "a\n" + "b" * 300])
def test_a_label_that_names_no_folder_is_refused(tmp_path, label):
    with pytest.raises(DataError, match=r"a label that can name a folder, found .*; format=jsonl takes it"):
        write([Example("x")], [{"label": label}], tmp_path, format="folder", goal="label")
    assert not list(tmp_path.iterdir())


def test_two_texts_of_one_name_keep_both(tmp_path):
    examples = [Example(text, place=Place(str(tmp_path / text / "a.txt"))) for text in ("one", "two")]
    write(examples, [{"label": "X"}] * 2, tmp_path, format="folder", goal="label")
    written = {path.name: path.read_text() for path in (tmp_path / "X").iterdir()}
    assert written == {"a.txt": "one\n", "a-000002.txt": "two\n"}
