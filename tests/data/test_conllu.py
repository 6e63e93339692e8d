import gzip
import io
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path

import conllu
import pytest

from regard import data
from regard.errors import DataError

read = partial(data.read, goal="labels")
EWT = Path(__file__).parents[3] / "shared" / "data" / "ewt"
SENTENCES = """\
# newdoc
# text = Vámonos al mar.

# sent_id = 1
# text = Vámonos al mar.
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\tV\tMood=Imp|Number=Plur\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\tCase=Acc|Number=Plur\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\tS\t_\t5\tcase\t_\t_
4\tel\tel\tDET\tD\tNumber=Sing\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\tN\tNumber=Sing\t1\tobl\t_\tSpaceAfter=No
5.1\tes\tser\tAUX\t_\t_\t_\t_\t1:dep\t_
6\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_


# text = 20 000
1\t20 000\t20 000\tNUM\tM\tNumType=Card\t0\troot\t_\t_
# the end
"""
WORD = "1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\n"


def treebanks():
    """Every real treebank at hand, as (name, path)."""
    package = resources.files("turkish_treebanks")
    yield from ((f"turkish {name}", Path(str(package)).parent / "data" / f"{name}.conllu") for name in ("web", "wiki"))
    yield "ewt dev", EWT / "dev.conllu.gz"


@pytest.fixture(params=treebanks(), ids=lambda treebank: treebank[0])
def treebank(request):
    name, path = request.param
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    return path


def text_of(path):
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def write(examples, labels, out, **options):
    answers = [{"labels": names} for names in labels]
    data.write(examples, answers, out, format="conllu", goal="labels", **options)


def rewritten(path, column="upos", labels=None):
    examples = read(path, labelled=False)
    if labels is None:
        labels = [example.goal for example in read(path, column=column)]
    out = io.StringIO(newline="")
    write(examples, labels, out, column=column)
    return out.getvalue()


def test_words_and_labels_are_those_of_the_conllu_package(treebank):
    examples = read(treebank)
    assert len(examples) == text_of(treebank).count("# sent_id = ")
    expected = [
        [(token["form"], token["upos"]) for token in sentence if isinstance(token["id"], int)]
        for sentence in islice(conllu.parse_incr(io.StringIO(text_of(treebank))), 1000)
    ]
    assert [list(zip(example.items, example.goal, strict=True)) for example in examples[:1000]] == expected


@pytest.mark.skipif(not EWT.exists(), reason="needs ../shared/data/ewt")
@pytest.mark.parametrize(("column", "field", "key"), [("feats.Number", "feats", "Number"), ("xpos", "xpos", None)])
def test_other_columns_are_those_of_the_conllu_package(column, field, key):
    path = EWT / "dev.conllu.gz"
    expected = [
        [
            (token[field] or "_") if key is None else (token[field] or {}).get(key, "_")
            for token in sentence
            if isinstance(token["id"], int)
        ]
        for sentence in islice(conllu.parse_incr(io.StringIO(text_of(path))), 1000)
    ]
    assert [example.goal for example in read(path, column=column)[:1000]] == expected


def test_a_treebank_written_with_its_own_labels_is_the_same_bytes(treebank):
    assert rewritten(treebank) == text_of(treebank)


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n\n# a comment\n", "\n\n\n"], ids=repr)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=repr)
@pytest.mark.parametrize("column", ["upos", "misc", "feats.Number", "misc.SpaceAfter"])
def test_every_other_byte_stays(save, ending, line_end, column):
    text = (SENTENCES.rstrip("\n") + ending).replace("\n", line_end)
    assert rewritten(save("a.conllu", text), column) == text


def test_multiword_tokens_empty_nodes_and_comments_are_passed_over(save):
    first, second = read(save("a.conllu", SENTENCES))
    assert first.items == ["Vamos", "nos", "a", "el", "mar", "."]
    assert first.goal == ["VERB", "PRON", "ADP", "DET", "NOUN", "PUNCT"]
    assert second.items == ["20 000"]
    assert [first.place.item_lines[place] for place in range(6)] == [7, 8, 10, 11, 12, 14]
    assert second.place.item_lines[0] == 18


def test_only_the_predicted_column_changes(save):
    path = save("a.conllu", SENTENCES)
    out = rewritten(path, labels=[["X"] * 6, ["Y"]])
    changed = [
        (before.split("\t"), after.split("\t"))
        for before, after in zip(SENTENCES.split("\n"), out.split("\n"), strict=True)
        if before != after
    ]
    assert len(changed) == 7
    assert all(before[:3] + before[4:] == after[:3] + after[4:] for before, after in changed)
    assert [after[3] for _, after in changed] == ["X"] * 6 + ["Y"]


def test_a_key_is_set_sorted_and_taken_away(save):
    out = rewritten(save("a.conllu", SENTENCES), "feats.Number", [["_", "Sing", "_", "Dual", "_", "Plur"], ["Sing"]])
    feats = [token["feats"] for sentence in conllu.parse(out) for token in sentence if isinstance(token["id"], int)]
    assert feats == [
        {"Mood": "Imp"},
        {"Case": "Acc", "Number": "Sing"},
        None,
        {"Number": "Dual"},
        None,
        {"Number": "Plur"},
        {"Number": "Sing", "NumType": "Card"},
    ]
    assert "Number=Sing|NumType=Card" in out  # by letters, whatever their case


def test_a_column_goes_by_number_too(save):
    path = save("a.conllu", SENTENCES)
    assert [e.goal for e in read(path, column="4")] == [e.goal for e in read(path)]


def test_nothing_is_a_label_of_xpos_but_not_of_upos(save):
    assert read(save("a.conllu", SENTENCES), column="xpos")[0].goal[-1] == "_"
    unlabelled = save("b.conllu", WORD.replace("NOUN", "_"))
    with pytest.raises(DataError, match=r"b.conllu:1: expected a label in column upos, found '_' \(none given\)"):
        read(unlabelled)
    assert read(unlabelled, labelled=False)[0].items == ["dog"]


@pytest.mark.parametrize("column", ["feats", "feats.Number", "misc.Entity"])
def test_a_column_with_nothing_in_it_has_no_labels(save, column):
    with pytest.raises(DataError, match=rf"a.conllu: expected labels in column {column}, found nothing but '_'"):
        read(save("a.conllu", WORD), column=column)


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("2\tbarks\tbark\tVERB\n", r"a.conllu:2: expected 10 tab-separated fields, found 4: '2\\tbarks"),
        ("2 barks bark VERB VB _ 1 dep _ _\n", "a.conllu:2: expected 10 tab-separated fields, found 1: '2 barks"),
        (WORD.replace("1", "2") + "x" + WORD[1:], "a.conllu:3: expected the word id 3, found 'x'"),
        (WORD, "a.conllu:2: expected the word id 2, found '1'; is a blank line missing above it?"),
        (
            WORD.replace("1\tdog", "2\t"),
            "a.conllu:2: expected '_' where there is nothing, found an empty field .* form",
        ),
    ],
    ids=["too few fields", "spaces", "no id", "sentences that run together", "empty field"],
)
def test_a_wrong_line_is_named(save, second, message, labelled):
    with pytest.raises(DataError, match=message):
        read(save("a.conllu", WORD + second), labelled=labelled)


@pytest.mark.parametrize("column", ["upso", "0", "11", "upos.Number", "feats.", "UPOS"])
def test_a_wrong_column_is_refused_with_the_right_ones(save, column):
    with pytest.raises(DataError, match=rf"a.conllu: expected a column of CoNLL-U: id, .*misc.KEY, found '{column}'"):
        read(save("a.conllu", WORD), column=column)


def test_a_misspelt_column_gets_the_nearest_name(save):
    with pytest.raises(DataError, match="did you mean 'upos'"):
        read(save("a.conllu", WORD), column="upso")


def test_words_from_elsewhere_become_plain_rows(save):
    out = io.StringIO()
    write(read([["The", "dog"]], labelled=False), [["DET", "NOUN"]], out)
    (sentence,) = conllu.parse(out.getvalue())
    assert [(token["id"], token["form"], token["upos"]) for token in sentence] == [
        (1, "The", "DET"),
        (2, "dog", "NOUN"),
    ]
    assert read(save("a.conllu", out.getvalue()))[0].goal == ["DET", "NOUN"]


def test_a_key_of_misc_comes_after_those_that_are_there(save):
    out = rewritten(save("a.conllu", "1\tsaw\t_\tNOUN\t_\t_\t0\troot\t_\tZ=1\n\n"), "misc.Gloss", [["Säge"]])
    assert out.splitlines()[0].split("\t")[9] == "Z=1|Gloss=Säge"
