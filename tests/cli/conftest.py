"""One run folder, trained through the command line, and a way to call the command line."""

import pytest
from command_line import SENTENCES, TINY, Outcome, as_conllu

from regard.cli import run


@pytest.fixture
def call(capsys):
    """The command line inside this process."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return call


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with train.conllu and dev.conllu."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "train.conllu").write_text(as_conllu(SENTENCES * 8))
    (folder / "dev.conllu").write_text(as_conllu(SENTENCES))
    return folder


@pytest.fixture(scope="session")
def trained(files, tmp_path_factory):
    """A run folder that a tiny training left."""
    output = tmp_path_factory.mktemp("runs") / "pos"
    data = ("--train", files / "train.conllu", "--dev", files / "dev.conllu")
    arguments = ["train", "label", *data, "--output", output, *TINY]
    assert run([str(argument) for argument in arguments]) == 0
    return output
