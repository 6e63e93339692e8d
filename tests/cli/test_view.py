"""`view --number` reads a file as the training of its run did."""

import pytest
from command_line import as_conllu

TINY = ("--dim", 8, "--depth", 1, "--heads", 2, "--epochs", 1, "--average", 0, "--baselines", "none")
ROWS = [("a fine film", "good"), ("what a bore", "bad"), ("truly great", "good")]
SECOND = "what a bore"


def csv(header, rows):
    return f"{header}\n" + "".join(",".join(row) + "\n" for row in rows)


CLASSIFY = ("classify", "--front-end", "characters")
TRANSDUCE = ("transduce", "--front-end", "characters", "--target-units", "characters")
PRETRAIN = ("pretrain", "--front-end", "characters")
TAGGED = [[("I", "PRON"), ("saw", "VERB")], [(word, "X") for word in SECOND.split()]]
COMMAS = ["a, fine, film", "what, a, bore", "truly, great"]

# What each trains on: its options, the name and the content of its file, its second sequence as it is typed.
CASES = {
    "text_column beside one of the usual name": (
        (*CLASSIFY, "--text-column", "body"),
        "films.csv",
        csv("text,body,label", [(f"number {place}", *row) for place, row in enumerate(ROWS)]),
        SECOND,
    ),
    "text_column by number": (
        (*CLASSIFY, "--text-column", "3", "--column", "1"),
        "films.tsv",
        "kind\tid\tbody\n" + "".join(f"{label}\tid\t{text}\n" for text, label in ROWS),
        SECOND,
    ),
    "format of classify": (
        (*CLASSIFY, "--format", "csv"),
        "films",
        csv("text,label", ROWS),
        SECOND,
    ),
    "source_column of csv": (
        (*TRANSDUCE, "--source-column", "de", "--target-column", "en"),
        "pairs.csv",
        csv("de,en", ROWS),
        SECOND,
    ),
    "source_column by number": (
        (*TRANSDUCE, "--source-column", "2", "--target-column", "1"),
        "pairs.tsv",
        "".join(f"{target}\t{source}\n" for source, target in ROWS),
        SECOND,
    ),
    "format of transduce": (
        (*TRANSDUCE, "--format", "tsv"),
        "pairs",
        "".join(f"{source}\t{target}\n" for source, target in ROWS),
        SECOND,
    ),
    "format of label": (("label", "--format", "conllu"), "tagged", as_conllu(TAGGED), SECOND),
    "format of pretrain": ((*PRETRAIN, "--format", "text"), "raw.csv", "\n".join(COMMAS) + "\n", COMMAS[1]),
    "text_column of pretrain": (
        (*PRETRAIN, "--text-column", "body"),
        "raw.csv",
        csv("text,body", [(f"number {place}", text) for place, (text, _) in enumerate(ROWS)]),
        SECOND,
    ),
    "pretrain passes over blank lines": (PRETRAIN, "raw.txt", "\n\n".join(COMMAS) + "\n", COMMAS[1]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sequence_of_a_file_is_the_one_that_training_read(call, tmp_path, case):
    options, name, content, typed = CASES[case]
    file, run = tmp_path / name, tmp_path / "run"
    file.write_text(content)
    trained = call("train", *options, "--train", file, "--output", run, *TINY)
    assert trained.code == 0, trained.err
    pictures = tmp_path / "by-number.png", tmp_path / "typed.png"
    viewed = call("view", run, file, "--number", 2, "-o", pictures[0])
    assert viewed.code == 0, viewed.err
    assert call("view", run, typed, "-o", pictures[1]).code == 0
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
