"""What is refused before it takes all memory: long lines and records, what unpacks to too much."""

import gzip
import subprocess
import sys
import zipfile
from functools import partial

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from regard import data
from regard.data import lines
from regard.errors import DataError

MIB = 1 << 20
LINE = r"expected a line of at most 1 MiB \(split it, or set a larger `largest_record`\), found a longer one"
FILE = r"expected a packed file that holds at most 1 MiB \(unpack it first, or set a larger `largest_unpacked`\), found"

read = partial(data.read, largest_record=1)


def row(label, size):
    return f"{label}\t{'x' * (size - len(label) - 2)}\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("lazily", [False, True])
def test_a_line_that_is_too_long_is_named(save, pack, lazily):
    """Its end does not count; a last line without one is held to the same."""
    fits, long = row("X", MIB + 1), row("X", MIB + 2)
    path = save("a.tsv", pack((row("X", 9) + fits + fits.rstrip("\n")).encode()))
    assert len(read(path, goal="label", lazily=lazily)) == 3
    for last in (long, long.rstrip("\n")):
        path = save("b.tsv", pack((row("X", 9) + last).encode()))
        with pytest.raises(DataError, match=rf"b\.tsv:2: {LINE}$"):
            read(path, goal="label", lazily=lazily)
        assert len(data.read(path, goal="label", lazily=lazily, largest_record=2)) == 2


LONG = "x" * MIB
FILES = {
    "conllu": ("labels", f"1\t{LONG}\tx\tX\t_\t_\t0\troot\t_\t_\n\n"),
    "conll": ("labels", f"{LONG} X\n"),
    "csv": ("label", f"text,label\n{LONG},X\n"),
    "jsonl": ("label", f'{{"text": "{LONG}", "label": "X"}}\n'),
    "ts": ("label", f"@classLabel true X\n@data\n{'1,' * (MIB // 2)}1:X\n"),
    "txt": ("nothing", f"{LONG} x\n"),
}


@pytest.mark.parametrize("ending", FILES)
def test_every_format_of_lines_has_the_limit(save, ending):
    goal, content = FILES[ending]
    with pytest.raises(DataError, match=rf"a\.{ending}:\d: {LINE}$"):
        read(save(f"a.{ending}", content), goal=goal)


def test_files_side_by_side_have_it_too(save):
    source, target = save("a.txt", "a\nb\n"), save("b.txt", f"a\n{LONG}x\n")
    with pytest.raises(DataError, match=rf"b\.txt:2: {LINE}$"):
        read(source, goal="target", target=target)


RECORDS = {
    "conllu": ("labels", "sentence", "".join(f"{n}\tab\tx\tX\t_\t_\t0\troot\t_\t_\n" for n in range(1, 50_000))),
    "conll": ("labels", "sequence", "ab X\n" * 220_000),
    "tsv": ("labels", "sequence", "ab\tX\n" * 220_000),
    "csv": ("label", "record", 'text,label\n"' + "ab\n" * 360_000),
}


@pytest.mark.parametrize("ending", RECORDS)
def test_a_record_of_many_lines_is_named_by_its_first(save, ending):
    goal, what, content = RECORDS[ending]
    line = 2 if ending == "csv" else 1
    with pytest.raises(DataError, match=rf"a\.{ending}:{line}: expected a {what} of at most 1 MiB"):
        read(save(f"a.{ending}", content), goal=goal)


def test_many_short_records_are_no_long_one(save):
    path = save("a.conllu", "# a\n1\tab\tx\tX\t_\t_\t0\troot\t_\t_\n\n" * 40_000)
    assert len(read(path, goal="labels")) == 40_000


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_text_of_a_folder(tmp_path, pack):
    (tmp_path / "X").mkdir()
    (tmp_path / "X" / "a.txt").write_bytes(pack(b"ab\n" * 360_000))
    with pytest.raises(DataError, match=r"a\.txt: expected a text of at most 1 MiB"):
        read(tmp_path, goal="label")


def test_standard_input(tmp_path):
    code = "from regard import data; list(data.iter_read('-', goal='nothing', largest_record=1))"
    done = subprocess.run([sys.executable, "-c", code], input=b"a\n" + b"x" * 2 * MIB, capture_output=True, check=False)
    assert "<stdin>:2: expected a line of at most 1 MiB" in done.stderr.decode()


def test_a_packed_file_may_be_streamed_and_not_held(save):
    """Each line counts for the memory that is needed for it."""
    path = save("a.tsv", gzip.compress(b"X\tab\n" * 10_000))
    assert len(data.read(path, goal="label", largest_unpacked=2)) == 10_000
    with pytest.raises(DataError, match=rf"a\.tsv: {FILE} more$"):
        data.read(path, goal="label", largest_unpacked=1)
    path = save("c.tsv", gzip.compress(b"no label\n" + b"X\tab\n" * 10_000))
    with pytest.raises(DataError, match=FILE):  # before the first record is looked at
        data.read(path, goal="label", largest_unpacked=1)
    path = save("a.tsv", gzip.compress(b"X\tab\n" * 10_000))
    assert sum(1 for _ in data.iter_read(path, goal="label", largest_unpacked=1)) == 10_000
    assert len(data.read(save("b.tsv", b"X\tab\n" * 10_000), goal="label", largest_unpacked=1)) == 10_000


VECTORS, LABELS = np.zeros((5, 2)), np.array(["a", "b", "a", "b", "c"])
LARGE = np.zeros(3 * MIB // 8)


class TestNpz:
    def test_an_array_that_nobody_asked_for_is_not_read(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", vectors=VECTORS, labels=LABELS, other=LARGE, more=np.array([None]))
        assert len(data.read(tmp_path / "a.npz", goal="labels", largest_unpacked=1)[0]) == 5

    def test_labels_that_are_not_wanted_are_not_read(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", vectors=VECTORS, labels=LARGE)
        assert len(data.read(tmp_path / "a.npz", goal="labels", labelled=False, largest_unpacked=1)) == 1

    @pytest.mark.parametrize("streamed", [True, False])
    def test_packed_arrays_are_measured_before_they_are_unpacked(self, tmp_path, streamed):
        np.savez_compressed(tmp_path / "a.npz", vectors=LARGE.reshape(-1, 2))
        call = (lambda *a, **k: list(data.iter_read(*a, **k))) if streamed else data.read
        with pytest.raises(
            DataError, match=rf"a\.npz: {FILE} 'vectors' of shape \[196608, 2\], with which there are 3$"
        ):
            call(tmp_path / "a.npz", goal="labels", labelled=False, largest_unpacked=1)
        assert len(call(tmp_path / "a.npz", goal="labels", labelled=False, largest_unpacked=3)) == 1

    def test_arrays_that_are_not_packed_are_as_large_as_their_file(self, tmp_path):
        np.savez(tmp_path / "a.npz", vectors=LARGE.reshape(-1, 2))
        assert len(data.read(tmp_path / "a.npz", goal="labels", labelled=False, largest_unpacked=1)) == 1

    def test_a_head_that_promises_more_than_the_file_has(self, tmp_path):
        np.save(tmp_path / "a.npy", VECTORS)
        content = (tmp_path / "a.npy").read_bytes()
        short, long = b"(5, 2), }" + b" " * 9, b"(5000000000, 2), }"
        assert short in content
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("vectors.npy", content.replace(short, long))
        with pytest.raises(
            DataError, match=r"a\.npz: .* found 'vectors' cut off: 80000000000 bytes by its head, in a file of"
        ):
            data.read(tmp_path / "a.npz", goal="labels", labelled=False)


def peak(code, *arguments):
    """The most memory, in MiB, that a process took for a piece of Python; and what it said of a DataError."""
    program = (
        "import re, sys\nfrom regard import data\nfrom regard.errors import DataError\n"
        f"try:\n    {code}\nexcept DataError as error:\n    print(error)\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    *said, most = done.stdout.splitlines()
    return int(most), said


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_a_small_file_with_one_long_line_takes_little_memory(save):
    """Half a megabyte, unpacked half a gigabyte."""
    block = gzip.compress(b"x" * (64 * MIB))
    path = save("a.csv.gz", gzip.compress(b"text,label\n") + block * 8)
    assert path.stat().st_size < MIB
    most, said = peak("data.read(sys.argv[1], goal='label')", path)
    assert "a.csv.gz:2: expected a line of at most 16 MiB" in said[0]
    assert most < 250


class TestParquet:
    def test_a_column_that_nobody_asked_for_is_not_read(self, tmp_path):
        broken = pyarrow.Array.from_buffers(pyarrow.string(), 1, pyarrow.array([b"\xff"]).buffers())
        parquet.write_table(pyarrow.table({"a": broken, "text": ["a"], "label": ["X"]}), tmp_path / "a.parquet")
        assert data.read(tmp_path / "a.parquet", goal="label")[0].items == "a"

    def test_a_row_that_is_too_long(self, tmp_path):
        parquet.write_table(pyarrow.table({"text": ["x" * (MIB + 1)] * 2, "label": ["X", "Y"]}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=r"a\.parquet: expected a row of at most 1 MiB .*`largest_record`"):
            read(tmp_path / "a.parquet", goal="label")
        assert len(data.read(tmp_path / "a.parquet", goal="label", largest_record=2)) == 2

    @pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
    @pytest.mark.parametrize("nested", [False, True], ids=["text", "struct"])
    def test_one_long_text_in_many_rows_is_read_a_few_at_a_time(self, tmp_path, nested):
        """1 MiB, which stands in the file once, in 2,000 rows."""
        text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2000, pyarrow.int32()), ["x y " * (MIB // 4)])
        pairs = pyarrow.StructArray.from_arrays([pyarrow.array(["X"] * 2000), text], ["de", "en"])
        columns = {"translation": pairs} if nested else {"text": text, "label": ["X"] * 2000}
        parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", store_schema=False)
        assert (tmp_path / "a.parquet").stat().st_size < 2 * MIB
        names = {"goal": "target", "item_column": "de", "column": "en"} if nested else {"goal": "label"}
        most, said = peak(f"print(sum(1 for _ in data.iter_read(sys.argv[1], **{names})))", tmp_path / "a.parquet")
        assert said == ["2000"]
        assert most < 400
        with pytest.raises(DataError, match=r"a\.parquet: expected a packed file that holds at most 100 MiB"):
            data.read(tmp_path / "a.parquet", largest_unpacked=100, **names)


def test_the_defaults_are_those_of_the_options():
    from regard.tasks.classify.options import ClassifyConfig

    assert (ClassifyConfig().largest_record, ClassifyConfig().largest_unpacked) == (16, 1024)
    assert (lines.DEFAULT.record, lines.DEFAULT.unpacked) == (16, 1024)
