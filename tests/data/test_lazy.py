"""Records that are read when they are asked for: the same as those that are held in memory."""

import gzip
import os
import random
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import placed, written

from regard import data
from regard.data.lazy import LazyExamples
from regard.errors import DataError

WORD = "{}\tdog\t_\tNOUN\t_\t_\t0\troot\t_\t_"
SENTENCE = "# c\n" + WORD.format("1-2") + "\n" + WORD.format(1) + "\n" + WORD.format(2) + "\n"
ITEMS = ["a\tX", "b\tY", "a\tX\n"], ["", " \t", "-DOCSTART-\tX", "b c\tX", "a", "\tX", "a\tX\tZ", "a\tB-P", "b\tO"]
TABLE = ["a,X", '"b\n\n,""c""",Y', "a,X\n"], ["", '"a', ",", " ,Z", "a,X,Z", "label,text", "a,target", "a,label"]
ROWS = (
    ["a\tX", "b c\tY", "a\tX\n"],
    ["", " \t ", "a", "\t", " \tZ", "a\tX\tZ", "label\ttext", "a\ttarget", "\ufeffa\tX"],
)
JSON = (
    ['{"text": "a", "label": "X"}', '{"text": "é", "class": 1}', '{"sentence": "a b", "label": "Y"}\n'],
    [" ", "{", "{}"],
)
FILES = {  # the goal, the format, what may stand above, what sound files are made of, and others
    "conllu": ("labels", "conllu", [""], [SENTENCE, SENTENCE + "\n# d", WORD.format(1) + "\n"], [WORD.format(2), "x"]),
    "columns": ("labels", "columns", [""], *ITEMS),
    "tsv of items": ("labels", "tsv", [""], *ITEMS),
    "csv of items": ("labels", "csv", ["words,labels\n"], ["a b,X Y", '"[""a"",\n""b""]",X Y', "a,X\n"], ["a,", ","]),
    "csv": ("label", "csv", ["text,label\n", '\n"text",label\n', 'text,"label\n"\n'], *TABLE),
    "csv of pairs": ("target", "csv", ["source,target\n"], *TABLE),
    "csv alone": ("nothing", "csv", ["text,id\n"], *TABLE),
    "tsv": ("label", "tsv", ["", "\n \n", "text\tlabel\n"], *ROWS),
    "tsv of pairs": ("target", "tsv", ["", "\n", "source\ttarget\n"], *ROWS),
    "tsv alone": ("nothing", "tsv", ["", "\n", "text\tid\n", "id\ttext\n"], *ROWS),
    "jsonl": ("label", "jsonl", ["", "\n"], *JSON),
    "ts": ("label", "ts", ["# c\n@classLabel true X Y\n@data\n"], ["1,2:X", "3:Y\n", "#"], ["1:Z", "1:2:X", "X"]),
    "text": ("nothing", "text", [""], ["a b", "é", "c\rd\n"], ["", " "]),
    "text of words": ("labels", "text", [""], ["a b", "é", '["a", "b c"]'], ["", "[1]", "[[1]]"]),
    "lines": ("target", "lines", [""], ["a b", "é", ""], [" "]),
}


def files(goal, format, heads, sound, others):
    """Whole files, with what editors and other systems do to them; one of three has something odd in it."""
    pieces = st.lists(st.sampled_from(sound), min_size=1, max_size=6)
    odd = st.lists(st.sampled_from(sound) | st.sampled_from(others), min_size=1, max_size=6)
    made = st.tuples(st.sampled_from(heads), st.one_of(pieces, pieces, odd))
    return st.builds(
        lambda parts, mark, end, ended: (
            "\ufeff" * mark + (parts[0] + "\n".join(parts[1]) + "\n" * ended).replace("\n", end)
        ).encode(),
        made,
        st.booleans(),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
    )


def outcome(read):
    """What is read, or why not."""
    try:
        examples = read()
    except DataError as error:
        return str(error), None
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    found = {place: placed([examples[place]])[0] for place in order}
    assert placed(examples[::-1]) == placed(examples)[::-1] == [found[place] for place in sorted(found)][::-1]
    kept = [(example.original, example.record and example.record.text) for example in examples]
    return placed(examples), kept


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=60, deadline=None)
@given(drawn=st.data(), labelled=st.booleans(), items=st.sampled_from([None, None, "words", "text"]))
def test_a_lazy_file_is_the_file(kind, drawn, labelled, items):
    goal, format = FILES[kind][:2]
    content = drawn.draw(files(*FILES[kind]), "content")
    options = {"goal": goal, "format": format, "labelled": labelled, "items": None if format == "ts" else items}
    if format in ("text", "lines"):
        options["labelled"] = goal == "nothing" and labelled
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(content)
        assert outcome(lambda: data.read(path, lazily=True, **options)) == outcome(lambda: data.read(path, **options))


def test_it_is_lazy_indeed(save):
    examples = data.read(save("a.csv", "text,label\na,X\nb,Y\n"), goal="label", lazily=True)
    assert isinstance(examples, LazyExamples)
    assert (examples[np.int64(1)].items, examples[-2].items, len(examples)) == ("b", "a", 2)
    for place in (2, -3):
        with pytest.raises(IndexError):
            examples[place]


def test_conllu_comes_out_as_it_went_in(save):
    content = "# one\n" + WORD.format(1) + "\n\n\n# two\n" + WORD.format(1) + "\r\n\n# end"
    examples = data.read(save("a.conllu", content), goal="labels", labelled=False, lazily=True)
    rows = [(examples[place], ["NOUN"]) for place in range(2)]
    assert written(rows, goal="labels", format="conllu").decode() == content


def test_spans_are_checked_too(save):
    path = save("train.conll", "Peter B-PER\nBlack I-PER\nbarks O\n\nRome S-LOC\n")
    with pytest.raises(DataError, match=r"train.conll:2: expected IOBES .* found 'I-PER' followed by 'O'"):
        data.read(path, goal="labels", lazily=True)


def test_a_large_file_is_lazy_by_itself(save, monkeypatch):
    from regard.data import reading as module

    assert module.LARGE > 2**20
    plain, packed = save("a.txt", "one\ntwo\n"), save("b.txt.gz", gzip.compress(b"one\ntwo\n" * 9))
    assert isinstance(data.read(plain, goal="nothing"), list)
    monkeypatch.setattr(module, "LARGE", 7)
    assert isinstance(data.read(plain, goal="nothing"), LazyExamples)
    assert isinstance(data.read(plain, goal="nothing", lazily=False), list)
    assert isinstance(data.read(packed, goal="nothing"), list)


@pytest.mark.parametrize("format", ["gzip", "npz", "parquet", "beside"])
def test_what_cannot_be_read_from_anywhere_is_held(save, format):
    goal, options = "label", {}
    if format == "gzip":
        path = save("a.csv", gzip.compress(b"text,label\na,X\n"))
    elif format == "beside":
        goal, path, options = "target", save("a.de", "a\n"), {"target": save("a.en", "b\n")}
    else:
        pytest.importorskip("pyarrow")
        items = np.ones((2, 3), np.float32)
        path = save(f"a.{format}", written([(items, "X")], goal="label", format=format))
    examples = data.read(path, goal=goal, lazily=True, **options)
    assert isinstance(examples, list)
    assert len(examples) == 1


def test_standard_input_is_held():
    code = "from regard.data import read; print(type(read('-', goal='nothing', lazily=True)))"
    done = subprocess.run([sys.executable, "-c", code], input=b"a\nb\n", capture_output=True, check=True)
    assert done.stdout.decode().strip() == "<class 'list'>"


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"a,b\0c\n", "text,label\n".encode("utf-16"), b"", b"\n \n"])
def test_what_is_no_text_is_refused_in_the_same_words(save, content):
    path = save("a.csv", content)
    assert outcome(lambda: data.read(path, goal="label", lazily=True)) == outcome(lambda: data.read(path, goal="label"))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="found nothing of that name"):
        data.read(tmp_path / "a.csv", goal="label", lazily=True)


@pytest.mark.parametrize("format", ["text", "csv", "jsonl"])
def test_the_memory_stays_bounded(tmp_path, format):
    path, text = tmp_path / "a", "word " * 400
    row = {"text": f"{text}\n", "csv": f'"{text}\n",X\n', "jsonl": f'{{"text": "{text}"}}\n'}[format]
    path.write_text("text,label\n" * (format == "csv") + row * 10_000)

    def held(**options):
        tracemalloc.start()
        examples = data.read(path, goal="nothing", format=format, **options)
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(examples) == 10_000
        return now, peak

    assert path.stat().st_size > 20_000_000
    assert held()[0] > 20_000_000
    assert max(held(lazily=True)) < 2_000_000


CHANGES = {
    "cut short": lambda path: os.truncate(path, 10),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more\n"),
    "as long": lambda path: path.write_bytes(path.read_bytes()[::-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_while_it_is_read(save, change):
    path = save("a.txt", "one two three\n" * 5000)
    os.utime(path, (0, 0))
    examples = data.read(path, goal="nothing", lazily=True)
    assert examples[4999].items == "one two three"
    CHANGES[change](path)
    with pytest.raises(DataError, match=r"a.txt: expected the file that it was .* changed since .70,000 bytes then"):
        examples[4998]


def test_a_file_that_another_replaces_is_read_on(save):
    path = save("a.txt", "one\ntwo\n")
    examples = data.read(path, goal="nothing", lazily=True)
    save("b.txt", "").replace(path)
    assert [example.items for example in examples] == ["one", "two"]
