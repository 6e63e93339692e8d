from functools import partial

import pytest

from regard import data
from regard.errors import DataError

CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
  \t
German JJ B-NP B-MISC
call NN I-NP O
-DOCSTART- -X- -X- O
Peter NNP B-NP B-PER
"""

read = partial(data.read, goal="labels")


def pairs(path, **options):
    return [list(zip(example.items, example.goal, strict=True)) for example in read(path, **options)]


def test_columns_of_conll_2003(save):
    examples = read(save("train.conll", CONLL_2003))
    assert [example.items for example in examples] == [["EU", "rejects"], ["German", "call"], ["Peter"]]
    assert [example.goal for example in examples] == [["B-ORG", "O"], ["B-MISC", "O"], ["B-PER"]]
    assert [example.place.line for example in examples] == [3, 6, 9]
    assert examples[1].place.item_lines[1] == 7


def test_a_column_by_number(save):
    path = save("train.conll", CONLL_2003)
    assert read(path, column="2")[0].goal == ["NNP", "VBZ"]
    assert read(path, column="4")[0].goal == read(path)[0].goal


def test_columns_split_at_runs_of_spaces_and_tabs_only(save):
    assert pairs(save("a.bio", "a \t  X\nb\u00a0c\tY\n")) == [[("a", "X"), ("b\u00a0c", "Y")]]


def test_tsv_splits_at_tabs_only(save):
    path = save("a.tsv", "New York\tPROPN\r\n-DOCSTART-\tX\r\n\r\n\t\r\nsaw\tVBD\tVERB\n".replace("saw\tVBD", "saw"))
    assert pairs(path) == [[("New York", "PROPN"), ("-DOCSTART-", "X")], [("saw", "VERB")]]


@pytest.mark.parametrize("name", ["a.tsv", "a.conll"])
def test_words_alone_do_where_no_labels_are_wanted(save, name):
    examples = read(save(name, "the\ndog\tNOUN\textra\n\nbarks"), labelled=False)
    assert [(example.items, example.goal, example.place.line) for example in examples] == [
        (["the", "dog"], None, 1),
        (["barks"], None, 4),
    ]


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.tsv", "dog\tNOUN\nbarks\n", "upos", "a.tsv:2: expected a word and a label, .*, found 1: 'barks'"),
        (
            "a.tsv",
            "dog NOUN\n",
            "upos",
            "a.tsv:1: expected a word and a label, in two columns or more, found 1: 'dog NOUN'",
        ),
        ("a.conll", "dog NN B-NP O\nbarks VBZ\n", "upos", "a.conll:2: expected 4 columns as in line 1, found 2"),
        ("a.conll", "dog NN O\nbarks VBZ\n", "3", "a.conll:2: expected at least 3 columns, found 2"),
        ("a.conll", "dog NN\n", "ner", r"a.conll: expected the number of a column, from 1 \(.*no names\), found 'ner'"),
        ("a.conll", "dog NN\n", "0", "a.conll: expected the number of a column, from 1 .*, found '0'"),
        ("a.tsv", "dog\t\n", "upos", "a.tsv:1: expected a label in column 2, found 2"),
        ("a.tsv", "\tNOUN\n", "upos", "a.tsv:1: expected a word before the tab, found nothing"),
    ],
    ids=[
        "no label",
        "a space for a tab",
        "fewer columns",
        "no such column",
        "a name",
        "zero",
        "empty label",
        "empty word",
    ],
)
def test_a_wrong_line_or_column_is_named(save, name, content, column, message):
    with pytest.raises(DataError, match=message):
        read(save(name, content), column=column)


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("name", ["a.tsv", "a.conll"])
def test_conllu_under_another_name_is_noticed(save, name, labelled):
    with pytest.raises(
        DataError, match="expected a word in column 1, found a word id as in CoNLL-U; give format=conllu"
    ):
        read(save(name, "1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\n"), labelled=labelled)
