"""CSV of which the cells are parted by something else than a comma, and text that is not UTF-8."""

import csv
import io

import pandas
import pytest
from reading import plain, read_back, written

from regard import data
from regard.data import Example
from regard.data.lazy import LazyExamples
from regard.errors import ConfigError, DataError

ROWS = [("It cost 3,50 €; fine", "good"), ('She said "no" | and\tleft', "bad"), ("two\nlines", "good")]
DELIMITERS = [",", ";", "\t", "|"]


def as_csv(delimiter, header=("text", "label"), rows=ROWS):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return out.getvalue()


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_header_tells_what_parts_cells(save, delimiter, lazily):
    path = save("a.csv", as_csv(delimiter))
    table = pandas.read_csv(path, sep=delimiter)
    found = data.read(path, goal="label", lazily=lazily)
    assert isinstance(found, LazyExamples) == lazily
    assert plain(found) == list(zip(table["text"].str.replace("\r\n", "\n"), table["label"], strict=True)) == ROWS


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("text\nOne; two\n", {"goal": "nothing"}),  # one column, whatever stands in its rows
        ('"text";"a, b";"label"\n"One; two";c;x\n', {"goal": "label"}),
        ('"notes, long";review;stars\nn;One; x\n'.replace("One; ", '"One; two";'), {"goal": "label"}),
        ("text;id, number;more, and, more\nOne; two;1;2\n".replace("One; two", '"One; two"'), {"goal": "nothing"}),
        ("sep=;\ntext;label\n" + '"One; two";x\n', {"goal": "label"}),  # as Excel tells it
        ('"text";"la\nbel";"label"\n"One; two";c;x\n', {"goal": "label"}),
        ('1;"2";3\nx;"One; two";z\n', {"goal": "label", "column": "1", "item_column": "2"}),
    ],
    ids=["one column", "a comma in quotes", "names", "not the most cells", "sep", "a line end in quotes", "numbers"],
)
@pytest.mark.parametrize("lazily", [False, True])
def test_headers_that_could_be_misread(save, content, names, lazily):
    given = {"column": "stars", "item_column": "review"} if "stars" in content else {}
    assert [x.items for x in data.read(save("a.csv", content), lazily=lazily, **(given | names))] == ["One; two"]


def test_what_is_given_wins_over_the_header(save):
    content = "a,text;label\n1,One;x\n"
    with pytest.raises(DataError, match=r"a.csv:1: expected a column 'text' .*, found the columns a, text;label"):
        data.read(save("a.csv", content), goal="label")
    assert plain(data.read(save("a.csv", "text^label\nOne^x\n"), goal="label", delimiter="^")) == [("One", "x")]
    with pytest.raises(DataError, match="found the columns text\\^label; another delimiter may part them"):
        data.read(save("a.csv", "text^label\nOne^x\n"), goal="label")
    for wrong in (";;", "a", '"', ""):
        with pytest.raises(ConfigError, match=f"delimiter: one character .*, got '{wrong}'"):
            data.read(save("a.csv", content), goal="label", delimiter=wrong)


def test_tables_of_pixels_may_have_semicolons(save):
    rows = "".join(f"{';'.join(map(str, range(9)))};3\n" for _ in range(2))
    assert len(data.read(save("a.csv", rows), goal="label", items="images", column="10")) == 2


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_predictions_have_the_delimiter_of_their_input(save, delimiter):
    examples = data.read(save("a.csv", as_csv(delimiter)), goal="label", labelled=False)
    content = written(list(zip(examples, ["x", "y", "z"], strict=True)), goal="label", format="csv")
    assert content.startswith(f"text{delimiter}label{delimiter}predicted_label\n".encode())
    told = read_back(content, "a.csv", goal="label", column="predicted_label")
    assert told == [(ROWS[n][0], "xyz"[n]) for n in range(3)]
    assert written([(Example("a"), "x")], goal="label", format="csv") == b"text,label\na,x\n"
    assert written([(examples[0], "x")], goal="label", format="csv", delimiter="|").startswith(b"text|label|")


TEXTS = [("Ça coûte 3 €", "bien"), ("naïf", "mal")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-32", "mac-roman"])
@pytest.mark.parametrize(("name", "head"), [("a.csv", "text;label\n"), ("a.jsonl", ""), ("a.tsv", "text\tlabel\n")])
def test_text_in_other_encodings(save, encoding, name, head):
    row = {"a.csv": "{};{}\n", "a.tsv": "{}\t{}\n", "a.jsonl": '{{"text": "{}", "label": "{}"}}\n'}[name]
    path = save(name, (head + "".join(row.format(*pair) for pair in TEXTS)).encode(encoding))
    for lazily in (False, True):  # which is not possible where lines are found only when they are decoded
        found = data.read(path, goal="label", encoding=encoding, lazily=lazily)
        assert plain(found) == TEXTS
        assert isinstance(found, LazyExamples) == (lazily and encoding in ("cp1252", "utf-8-sig", "mac-roman"))


@pytest.mark.parametrize("lazily", [False, True])
def test_bytes_that_are_no_text_name_the_option(save, lazily):
    path = save("a.csv", "text,label\nnaïf,x\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"a.csv:2: expected UTF-8 text, found byte 0xef .* \(encoding=cp1252"):
        data.read(path, goal="label", lazily=lazily)
    with pytest.raises(DataError, match=r"a.csv:2: expected text in cp1252, found byte 0x81 at byte 1 of the line"):
        data.read(save("a.csv", b"text,label\n\x81,x\n"), goal="label", encoding="cp1252", lazily=lazily)


def test_wide_text_that_is_damaged(save):
    content = "text,label\nnaïf,x\n".encode("utf-16")
    with pytest.raises(DataError, match=r"a.csv: expected text in utf-16, found byte 0x0a"):
        data.read(save("a.csv", content[:-1]), goal="label", encoding="utf-16")
    with pytest.raises(DataError, match=r"a.csv: expected text in utf-16, found no byte order mark"):
        data.read(save("a.csv", content[2:]), goal="label", encoding="utf-16")
    with pytest.raises(DataError, match=r"a.csv:2: expected a line of at most 1 MiB"):
        data.read(
            save("a.csv", ("text,label\n" + "a" * (1 << 21)).encode("utf-16")),
            goal="label",
            encoding="utf-16",
            largest_record=1,
        )
    with pytest.raises(ConfigError, match=r"encoding: one that Python knows .*, got 'utf9'"):
        data.read(save("a.csv", content), goal="label", encoding="utf9")
