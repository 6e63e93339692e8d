"""What every text format shares: finding the file, gzip, UTF-8."""

import errno
import gzip
import os
import subprocess
import sys
from functools import partial

import pytest

from regard import data
from regard.errors import DataError

SENTENCES = "the\tDET\ndog\tNOUN\n\nbarks\tVERB\n\n" * 500

read = partial(data.read, goal="labels")


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_gzip_is_told_by_content_whatever_the_name(save, name, pack):
    examples = read(save(name, pack(SENTENCES.encode())))
    assert len(examples) == 1000
    assert examples[1].items == ["barks"]


def test_a_byte_order_mark_is_no_part_of_the_first_word(save):
    assert read(save("a.tsv", b"\xef\xbb\xbf" + SENTENCES.encode()))[0].items == ["the", "dog"]


def test_only_line_feeds_end_lines(save):
    words = ["a\x0bb", "c\u2028d", "e\x85f"]
    assert read(save("a.tsv", "".join(f"{word}\tX\n" for word in words)))[0].items == words


def test_a_missing_file_gets_the_nearest_name(save, tmp_path):
    save("train.tsv", SENTENCES)
    with pytest.raises(
        DataError, match=r"trian.tsv: expected a file, found nothing of that name; did you mean 'train.tsv'"
    ):
        read(tmp_path / "trian.tsv")
    with pytest.raises(DataError, match=r"x.conllu: expected a file, found nothing of that name$"):
        read(tmp_path / "x.conllu")
    with pytest.raises(DataError, match=r"a file, found no folder '.*nowhere'"):
        read(tmp_path / "nowhere" / "train.tsv")


def test_a_missing_file_is_said_to_be_missing_before_its_format_is_unknown(tmp_path):
    with pytest.raises(DataError, match=r"train: expected a file, found nothing of that name"):
        read(tmp_path / "train")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a file, found a folder; name one file in it"):
        read(tmp_path, format="tsv")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who can be refused")
def test_a_file_that_may_not_be_read(save):
    path = save("a.tsv", SENTENCES)
    path.chmod(0)
    with pytest.raises(DataError, match="a file that can be read, found permission denied"):
        read(path)


@pytest.mark.parametrize(
    "content", ["", "\n\n", " \n", "\ufeff", gzip.compress(b"")], ids=["nothing", "lines", "space", "mark", "gzip"]
)
@pytest.mark.parametrize("name", ["a.tsv", "a.conll", "a.conllu", "a.jsonl"])
@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
def test_an_empty_file(save, name, content, labelled):
    with pytest.raises(DataError, match=rf"{name}: expected at least one sequence, found an empty file"):
        read(save(name, content), labelled=labelled)


def test_undecodable_bytes_have_a_line_and_a_place(save):
    with pytest.raises(DataError, match=r"a.tsv:2: expected UTF-8 text, found byte 0xe9 at byte 4 of the line"):
        read(save("a.tsv", b"the\tDET\ncaf\xe9\tNOUN\n"))


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("kept", [20, 0.5, 0.99], ids=str)
def test_a_gzip_file_that_is_cut_off(save, kept, labelled):
    packed = gzip.compress(os.urandom(1000).hex().encode() + b"\tX\n" + SENTENCES.encode())
    cut = packed[: kept if isinstance(kept, int) else int(len(packed) * kept)]
    with pytest.raises(DataError, match=r"a.tsv.gz: expected a whole gzip file, found one that is cut off"):
        read(save("a.tsv.gz", cut), labelled=labelled)


def test_a_damaged_gzip_file(save):
    packed = bytearray(gzip.compress(SENTENCES.encode()))
    packed[-8] ^= 0xFF  # in the checksum
    with pytest.raises(DataError, match=r"a.tsv.gz: expected a sound gzip file, found damage"):
        read(save("a.tsv.gz", bytes(packed)))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x89PNG\x00\x00", "binary data"),
        ("the\tDET\n".encode("utf-16"), "UTF-16; give encoding=utf-16"),
        (gzip.compress(b"\0\0\0\0"), "binary data"),
    ],
    ids=["zip", "png", "utf-16", "gzip of binary"],
)
def test_a_binary_file_given_as_text(save, content, kind):
    with pytest.raises(DataError, match=f"a.tsv: expected a text file, found {kind}"):
        read(save("a.tsv", content))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input_is_read_and_left_open(pack):
    code = (
        "import sys; from regard.data import iter_read\n"
        "print([e.items for e in iter_read('-', goal='labels', labelled=False)], sys.stdin.closed)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pack(b"a b\n\nc"), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[['a', 'b'], [], ['c']] False"


def test_sentences_of_a_pipe_come_as_they_are_written():
    code = (
        "from regard.data import iter_read\n"
        "for example in iter_read('-', goal='labels', labelled=False): print(example.items, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        for word in ("one", "two"):
            child.stdin.write(f"{word}\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"['{word}']\n"  # although the pipe is still open
        child.stdin.close()
        assert child.wait() == 0


def test_messages_name_standard_input():
    code = "from regard.data import read; read('-', goal='labels', format='tsv')"
    done = subprocess.run([sys.executable, "-c", code], input=b"dog\n", capture_output=True)
    assert b"<stdin>:1: expected a word and a label" in done.stderr


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "a.tsv").symlink_to("gone.tsv")
    with pytest.raises(DataError, match=r"a.tsv: expected a file, found a link to 'gone.tsv', where there is nothing"):
        read(tmp_path / "a.tsv")


def test_a_disk_that_fails(save, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("regard.data.lines.refuse_binary", fail)
    with pytest.raises(DataError, match=r"a.tsv: expected a file that can be read, found input/output error"):
        read(save("a.tsv", SENTENCES))
