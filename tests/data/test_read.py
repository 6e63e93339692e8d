import gzip
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data import FORMATS, find_format, iter_examples, output_format, read_examples
from regard.errors import ConfigError, DataError


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
    ],
)
def test_the_name_tells_the_format(name, format):
    assert find_format(name) == find_format(name, labelled=False) == format
    assert output_format(name) == ("jsonl" if format == "npz" else format)
    assert find_format(name, "tsv") == "tsv"


def test_text_is_a_format_of_unlabelled_sentences():
    assert find_format("a.txt", labelled=False) == find_format("-", labelled=False) == output_format("-") == "text"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", r"a.txt: .* \(conllu, columns, jsonl, tsv, npz\), found .* '.txt', .* without labels"),
        ("a.csv", r"a.csv: expected a name whose ending tells the format, or the .* itself \(.*\), found .* '.csv'"),
        ("train", r"train: expected a name whose ending tells the format, or the format itself .* found no ending"),
    ],
)  # fmt: skip
def test_a_name_that_tells_nothing_lists_the_formats(save, name, message):
    with pytest.raises(DataError, match=message):
        read_examples(save(name, "dog NOUN\n"))


def test_labels_from_standard_input_need_a_format():
    with pytest.raises(DataError, match=r"<stdin>: expected .* the format itself \(conllu"):
        find_format("-")


def test_a_misspelt_format_gets_the_nearest_name(save):
    with pytest.raises(ConfigError, match=r"format must be auto, conllu, .*, got 'conlu'; did you mean 'conllu'\?"):
        read_examples(save("a.tsv", "dog\tNOUN\n"), format="conlu")


def test_text(save):
    path = save("a.txt", "The dog\u3000barks \r\n\n  \nRun\u00a0!")
    examples = read_examples(path, labelled=False)
    assert [example.items for example in examples] == [["The", "dog", "barks"], [], [], ["Run", "!"]]
    assert [example.line for example in examples] == [1, 2, 3, 4]
    with pytest.raises(DataError, match=r"expected a format with labels .*, found text, which has none"):
        read_examples(path, format="text")


def test_examples_come_one_by_one_and_errors_when_they_are_met(save):
    examples = iter_examples(save("a.tsv", "dog\tNOUN\n\nbarks\n"))
    assert next(examples).items == ["dog"]
    with pytest.raises(DataError, match=r"a.tsv:3"):
        next(examples)


def test_an_endless_source_is_read_with_bounded_memory():
    def sentences():
        while True:
            yield ["a", "b"]

    assert len(list(islice(iter_examples(sentences(), labelled=False), 1000))) == 1000


# fmt: off
PIECES = [
    b"1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", b"2", b"-", b".", b"\t", b"\n", b"\n\n", b"\r", b"#", b" ", b"_",
    b"O", b"B-X", b'{"words": ["a"], "labels": ["X"]}', b'{"vectors": ', b"[", b"]", b"[1, 2]", b"null",
    b"\"", b"PK\x03\x04", b"\x1f\x8b",
]
# fmt: on


@pytest.mark.parametrize("format", FORMATS)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12),
    pack=st.sampled_from([bytes, gzip.compress]),
    labelled=st.booleans(),
)
def test_whatever_the_bytes_there_are_examples_or_one_clear_error(format, pieces, pack, labelled):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(pack(b"".join(pieces)))
        try:
            examples = read_examples(path, format=format, labelled=labelled)
        except DataError:
            return
    assert all((example.labels is None) == (not labelled) for example in examples)


def test_reading_loads_no_optional_library():
    code = (
        "import sys, regard.data\n"
        "list(regard.data.iter_examples([['a']], labelled=False))\n"
        "print(sorted({'datasets', 'pyarrow', 'pandas', 'torch', 'conllu'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
