"""Tiny data, and what running a command line gave."""

import os
import subprocess
import sys
from dataclasses import dataclass

SENTENCES = [
    [("We", "PRON"), ("fish", "VERB"), ("for", "ADP"), ("fish", "NOUN"), (".", "PUNCT")],
    [("I", "PRON"), ("saw", "VERB"), ("a", "DET"), ("saw", "NOUN"), (".", "PUNCT")],
]
SMALL = ("--dim", "32", "--depth", "1", "--heads", "2", "--dropout", "0.1", "--average", "0", "--batch-tokens", "40")
TINY = (*SMALL, "--epochs", "60", "--learning-rate", "0.005")


def as_conllu(sentences):
    return "".join(
        f"# sent_id = {number}\n"
        + "".join(f"{i}\t{word}\t_\t{label}\t_\t_\t0\troot\t_\t_\n" for i, (word, label) in enumerate(sentence, 1))
        + "\n"
        for number, sentence in enumerate(sentences, 1)
    )


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def complaint(self):
        """The one line of an error; there must be no other, and no traceback."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("regard: ")
        return self.err.removeprefix("regard: ").rstrip("\n")


def without_coverage():
    """The environment of a process whose files are limited, those that coverage would write too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def in_shell(*arguments, stdin=b"", stdout=subprocess.PIPE, **options):
    """The command line as a process of its own; bytes in, text out."""
    command = [sys.executable, "-m", "regard", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=120, **options)
    return Outcome(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())
