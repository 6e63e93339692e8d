from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard import data
from regard.data import Example, check_spans, span_scheme
from regard.errors import DataError

read = partial(data.read, goal="labels")


def split(*lines):
    return [line.split() for line in lines]


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["B-PER I-PER O B-LOC", "O O"], "BIO"),
        (["B-PER B-PER I-PER B-LOC"], "BIO"),
        (["I-PER I-PER O I-LOC", "I-PER B-PER"], "BIO"),
        (["B-PER I-PER E-PER O S-LOC"], "IOBES"),
        (["B-PER E-PER S-PER"], "IOBES"),
        (["S-PER O"], "IOBES"),
        (["B-NP I-NP B-VP"], "BIO"),
        (["DET NOUN VERB"], None),
        (["O O"], None),
        (["B I O"], None),
        (["S- I- Df"], None),
        (["I-x NOUN VERB"], None),
        ([], None),
        ([""], None),
    ],
    ids=[
        "BIO", "BIO neighbours", "IOB1", "IOBES", "IOBES neighbours", "IOBES of single items", "no item outside",
        "parts of speech", "nothing but O", "no types", "no types but dashes", "no O beside others", "nothing", "empty",
    ],
)  # fmt: skip
def test_the_scheme(lines, scheme):
    assert span_scheme(split(*lines)) == scheme


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["O B-PER I-PER O", "S-LOC O"], r"there is 'S-LOC', found 'I-PER' followed by 'O' \(item 3 of sequence 1\)"),
        (["S-LOC O", "O B-PER"], r"IOBES .* found 'B-PER' at the end of a sequence \(item 2 of sequence 2\)"),
        (["S-LOC", "I-PER E-PER"], r"found 'I-PER' at the beginning of a sequence \(item 1 of sequence 2\)"),
        (["B-PER E-LOC"], "found 'B-PER' followed by 'E-LOC'"),
        (["O E-LOC"], "found 'O' followed by 'E-LOC'"),
        (
            ["B-PER O B-LOC", "O I-PER I-PER"],
            r"all begin with B- \(BIO\) or all with I- \(IOB1\), "
            r"found 'I-PER' where a span begins \(2 spans begin with B-, 1 with I-\) \(item 2 of sequence 2\)",
        ),
        (["B-PER I-LOC"], r"found .* where a span begins"),
        (["B-PER O", "O B"], r"since there is 'B-PER', found 'B' \(item 2 of sequence 2\)"),
        (["B-PER B_LOC O"], r"found 'B_LOC'"),
        (["B-PER L-PER O"], r"found 'L-PER' \(BILOU\? write L- as E- and U- as S-\)"),
    ],
)  # fmt: skip
def test_mixed_labels_are_named(lines, message):
    with pytest.raises(DataError, match=message):
        span_scheme(split(*lines))


def test_a_file_with_mixed_labels_is_refused_with_the_line(save):
    path = save("train.conll", "Peter B-PER\nBlack I-PER\nbarks O\n\nRome S-LOC\n")
    with pytest.raises(DataError, match=r"train.conll:2: expected IOBES .* found 'I-PER' followed by 'O'"):
        read(path)


def test_examples_are_checked_like_their_labels():
    assert check_spans([Example(["Rome"], ["B-LOC"]), Example([], [])]) == "BIO"


SPANS = st.lists(st.tuples(st.sampled_from(["A", "B-c", ""]), st.integers(1, 4)), max_size=8)


@given(st.lists(SPANS, min_size=1, max_size=5))
def test_whatever_spans_there_are_each_scheme_is_recognized(sequences):
    schemes = {"BIO": bio, "IOBES": iobes}
    for name, write in schemes.items():
        labels = [[label for kind, length in spans for label in write(kind, length)] for spans in sequences]
        marked = any(kind for spans in sequences for kind, _ in spans)
        assert span_scheme(labels) == (name if marked else None)


def bio(kind, length):
    return [f"B-{kind}"] + [f"I-{kind}"] * (length - 1) if kind else ["O"] * length


def iobes(kind, length):
    if not kind:
        return ["O"] * length
    return [f"S-{kind}"] if length == 1 else [f"B-{kind}"] + [f"I-{kind}"] * (length - 2) + [f"E-{kind}"]
