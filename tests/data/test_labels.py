import gzip
import subprocess
import sys
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard import data
from regard.data import formats_for
from regard.errors import ConfigError, DataError

read = partial(data.read, goal="labels")

iter_read = partial(data.iter_read, goal="labels")
find_format = partial(data.find_format, goal="labels")
output_format = partial(data.output_format, goal="labels")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.conllu", "conllu"),
        ("en.v2.CONLLU.GZ", "conllu"),
        ("a.conll", "columns"),
        ("a.iob", "columns"),
        ("a.bio.gz", "columns"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.tsv", "tsv"),
        ("a.npz", "npz"),
        ("a.csv.gz", "csv"),
        ("a.parquet", "parquet"),
    ],
)
def test_the_name_tells_the_format(name, format):
    assert find_format(name).name == find_format(name, labelled=False).name == format
    assert output_format(name).name == ("jsonl" if format in ("npz", "parquet") else format)
    assert find_format(name, "tsv").name == "tsv"


def test_text_is_a_format_of_unlabelled_sentences():
    for found in (find_format("a.txt", labelled=False), find_format("-", labelled=False), output_format("-")):
        assert found.name == "text"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", r"a.txt: .* \(conllu, columns, tsv, csv, jsonl, parquet, npz\), found .* '.txt', .* without labels"),
        ("a.xml", r"a.xml: expected a name whose ending tells the format, or the .* itself \(.*\), found .* '.xml'"),
        ("train", r"train: expected a name whose ending tells the format, or the format itself .* found no ending"),
    ],
)  # fmt: skip
def test_a_name_that_tells_nothing_lists_the_formats(save, name, message):
    with pytest.raises(DataError, match=message):
        read(save(name, "dog NOUN\n"))


def test_labels_from_standard_input_need_a_format():
    with pytest.raises(DataError, match=r"<stdin>: expected .* the format itself \(conllu"):
        find_format("-")


def test_a_misspelt_format_gets_the_nearest_name(save):
    with pytest.raises(ConfigError, match=r"format must be auto, conllu, .*, got 'conlu'; did you mean 'conllu'\?"):
        read(save("a.tsv", "dog\tNOUN\n"), format="conlu")


def test_text(save):
    path = save("a.txt", "The dog\u3000barks \r\n\n  \nRun\u00a0!")
    examples = read(path, labelled=False)
    assert [example.items for example in examples] == [["The", "dog", "barks"], [], [], ["Run", "!"]]
    assert [example.place.line for example in examples] == [1, 2, 3, 4]
    for line, words in [
        ("[1]", ["[1]"]),
        ("[1, 2]", ["[1,", "2]"]),
        ("[]", ["[]"]),
        ('["New York", "a"]', ["New York", "a"]),
    ]:
        assert read(save("b.txt", line), labelled=False)[0].items == words
    with pytest.raises(DataError, match=r"expected a format with labels .*, found text, which has none"):
        read(path, format="text")


def test_examples_come_one_by_one_and_errors_when_they_are_met(save):
    examples = iter_read(save("a.tsv", "dog\tNOUN\n\nbarks\n"))
    assert next(examples).items == ["dog"]
    with pytest.raises(DataError, match=r"a.tsv:3"):
        next(examples)


def test_an_endless_source_is_read_with_bounded_memory():
    def sentences():
        while True:
            yield ["a", "b"]

    assert len(list(islice(iter_read(sentences(), labelled=False), 1000))) == 1000


# fmt: off
PIECES = [
    b"1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", b"2", b"-", b".", b"\t", b"\n", b"\n\n", b"\r", b"#", b" ", b"_",
    b"O", b"B-X", b'{"words": ["a"], "labels": ["X"]}', b'{"vectors": ', b"[", b"]", b"[1, 2]", b"null",
    b"\"", b"PK\x03\x04", b"\x1f\x8b",
]
# fmt: on


@pytest.mark.parametrize("format", sorted({*formats_for("labels", labelled=False)} - {"audio"}))
@given(
    pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12),
    pack=st.sampled_from([bytes, gzip.compress]),
    labelled=st.booleans(),
)
def test_whatever_the_bytes_there_are_examples_or_one_clear_error(format, pieces, pack, labelled):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(pack(b"".join(pieces)))
        try:
            examples = read(path, format=format, labelled=labelled)
        except DataError:
            return
    assert all((example.goal is None) == (not labelled) for example in examples)


def test_reading_loads_no_optional_library():
    code = (
        "import sys, regard.data\n"
        "list(regard.data.iter_read([['a']], goal='labels', labelled=False))\n"
        "print(sorted({'datasets', 'pyarrow', 'pandas', 'torch', 'conllu'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
