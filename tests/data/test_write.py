import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regard.data import OUTPUT_FORMATS, Example, read_examples, write_predictions
from regard.errors import ConfigError, DataError

# every character that UTF-8 can write, and more often than not those that formats are made of
CHARACTERS = st.one_of(st.sampled_from(' \t\r\n#_-/\\"1\u00a0\u2028\ufeff\0'), st.characters(exclude_categories=["Cs"]))
WORDS = st.text(CHARACTERS, min_size=1, max_size=6)
SEQUENCES = st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=5), min_size=1, max_size=4)


def written(sequences, format, **options):
    out = io.StringIO(newline="")
    examples = [Example([word for word, _ in pairs]) for pairs in sequences]
    write_predictions(examples, [[label for _, label in pairs] for pairs in sequences], out, format=format, **options)
    return out.getvalue()


def read_back(text, name, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode())
        return read_examples(path, **options)


@given(SEQUENCES)
def test_jsonl_brings_everything_back(sequences):
    assume(any(sequences))
    examples = read_back(written(sequences, "jsonl"), "a.jsonl")
    assert [list(zip(example.items, example.labels, strict=True)) for example in examples] == sequences


@pytest.mark.parametrize(("format", "name"), [("tsv", "a.tsv"), ("columns", "a.conll"), ("conllu", "a.conllu")])
@given(sequences=SEQUENCES)
def test_the_formats_of_lines_bring_everything_back_or_refuse_to_write(format, name, sequences):
    try:
        text = written(sequences, format, column="xpos")
    except DataError:  # what it cannot hold: see below
        return
    assume("\0" not in text and text[:1] != "\ufeff")  # the marks of binary files, and of UTF-8
    kept = [pairs for pairs in sequences if pairs]  # an empty sequence is one more blank line
    column = "xpos" if format == "conllu" else "upos"
    assume(any(label != "_" for pairs in kept for _, label in pairs))  # CoNLL-U's way to say that there is none
    examples = read_back(text, name, column=column)
    assert [list(zip(example.items, example.labels, strict=True)) for example in examples] == kept


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), max_size=5), min_size=1))
def test_text_keeps_the_sentences_and_their_order(sentences):
    examples = read_back("".join(" ".join(words) + "\n" for words in sentences), "a.txt", labelled=False)
    out = io.StringIO(newline="")
    write_predictions(examples, [["X"] * len(words) for words in sentences], out, format="text")
    lines = out.getvalue().split("\n")[:-1]
    assert [[word.removesuffix("/X") for word in line.split()] for line in lines] == sentences


def test_each_format_as_a_user_sees_it():
    sequences = [[("The", "DET"), ("dog", "NOUN")], [], [("é", "X")]]
    assert written(sequences, "text") == "The/DET dog/NOUN\n\né/X\n"
    assert written(sequences, "tsv") == written(sequences, "columns") == "The\tDET\ndog\tNOUN\n\n\né\tX\n\n"
    assert written(sequences, "jsonl").splitlines() == [
        '{"words": ["The", "dog"], "labels": ["DET", "NOUN"]}',
        '{"words": [], "labels": []}',
        '{"words": ["é"], "labels": ["X"]}',
    ]
    row = "1\té\t_\t{}\t_\t{}\t_\t_\t_\t_\n\n"
    assert written([[("é", "X")]], "conllu") == row.format("X", "_")
    assert written([[("é", "Sing")]], "conllu", column="feats.Number") == row.format("_", "Number=Sing")


def test_writing_goes_on_in_the_same_file():
    out = io.StringIO()
    for word in ("a", "b"):
        write_predictions([Example([word])], [["X"]], out, format="text")
    assert out.getvalue() == "a/X\nb/X\n"


def test_arrays_come_out_as_labels_in_jsonl_only():
    example, out = Example(np.zeros((2, 3), np.float32)), io.StringIO()
    write_predictions([example], [["up", "down"]], out, format="jsonl")
    assert json.loads(out.getvalue()) == {"labels": ["up", "down"]}
    for format in set(OUTPUT_FORMATS) - {"jsonl"}:
        with pytest.raises(DataError, match=f"words, which {format} is made of, found an array; format=jsonl takes it"):
            write_predictions([example], [["up", "down"]], out, format=format)


def test_words_that_a_format_cannot_hold():
    example = Example(["New York"], source="a.jsonl", line=3)
    for format in ("text", "columns"):
        with pytest.raises(
            DataError, match=rf"a.jsonl:3: expected no white space in what {format} holds, found 'New York'"
        ):
            write_predictions([example], [["X"]], io.StringIO(), format=format)


@pytest.mark.parametrize(
    ("format", "word"),
    [("tsv", "a\tb"), ("tsv", " "), ("tsv", "a\nb"), ("columns", "a b"), ("conllu", "a\nb"), ("text", "a\u00a0b")],
)
@pytest.mark.parametrize("as_label", [True, False], ids=["label", "word"])
def test_what_would_read_back_as_something_else_is_refused(format, word, as_label):
    pair = ("dog", word) if as_label else (word, "NOUN")
    with pytest.raises(DataError, match="format=jsonl takes it"):
        written([[pair]], format)


def test_wrong_calls():
    with pytest.raises(ConfigError, match="format must be conllu, columns, jsonl, tsv, text, got 'npz'"):
        written([], "npz")
    with pytest.raises(DataError, match="a label for each of 2 items, found 1 labels"):
        write_predictions([Example(["a", "b"])], [["X"]], io.StringIO(), format="tsv")
    with pytest.raises(DataError, match=r"a column of CoNLL-U: .* found 'upso'; did you mean 'upos'"):
        written([], "conllu", column="upso")
