"""The formats of files, a row each in one table. A format knows neither tasks nor kinds of items, only named values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from regard.data.lines import STDIN, File, check_file, show
from regard.errors import ConfigError, DataError
from regard.files import IMAGE_ENDINGS, SOUND_ENDINGS

if TYPE_CHECKING:
    from regard.data.records import Columns, Example, Record

Answer = dict[str, Any]
Put = Callable[["Example", Answer], None]
Read = Callable[[File, "Columns"], Iterator["Record"]]
Write = Callable[[IO[Any] | Path, "Columns"], AbstractContextManager[Put]]


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing sequences down.

    Arguments:
        name: what ``--format`` calls it.
        endings: of the names of its files.
        reader, writer: ``module:function`` of this package; None where nothing is written so. A reader makes records of
            a file, a writer is a context that gives the function which takes examples with their answers.
        holds: which goals, see :data:`regard.data.goals.GOALS`; items alone are in all of them.
        by_lines: whether every record is a run of lines, so that it can be read from anywhere in a plain file.
        has_head: whether the lines above the first record are needed to read any other.
        medium: what its writer takes: a file of "text" or of "bytes", or a "folder", which its reader takes too.
    """

    name: str
    endings: tuple[str, ...]
    reader: str
    writer: str | None
    holds: tuple[str, ...]
    by_lines: bool = False
    has_head: bool = False
    medium: str = "text"

    def read(self, file: File, columns: Columns) -> Iterator[Record]:
        """The records of a file, as they come in."""
        read: Read = _find(self.reader)
        return read(file, columns)

    def write(self, file: IO[Any] | Path, columns: Columns) -> AbstractContextManager[Put]:
        """A context with the function that writes an example with its answer."""
        assert self.writer is not None
        write: Write = _find(self.writer)
        return write(file, columns)


HEARD = ("segments", "label", "target")  # goals of a recording; but for the first of texts too
OF_FILES = ("mask", *HEARD)  # the same, and of an image
IDX = ".idx"  # stands for the end of names as train-images-idx3-ubyte too
MEDIA = (  # one file of sound, or one image, of every goal, without it
    Format("audio", SOUND_ENDINGS, "media:read", None, (), medium="bytes"),
    Format("image", IMAGE_ENDINGS, "media:read", None, (), medium="bytes"),
)
TEXT = Format("text", (".txt",), "text:read", "text:write", (), by_lines=True)  # of every goal, without it

FORMATS = (
    Format("conllu", (".conllu",), "conllu:read", "conllu:write", ("labels",), by_lines=True),
    Format(
        "columns",
        (".conll", ".iob", ".iob2", ".bio", ".iobes", ".bioes"),
        "columns:read",
        "columns:write",
        ("labels",),
        by_lines=True,
    ),
    Format("tsv", (".tsv",), "tsv:read_words", "tsv:write_words", ("labels",), by_lines=True),
    Format("lines", (".txt",), "lines:read", "lines:write", ("target",), by_lines=True),
    Format("csv", (".csv",), "csv:read", "csv:write", ("labels", *OF_FILES), by_lines=True, has_head=True),
    Format("tsv", (".tsv",), "tsv:read", "tsv:write", OF_FILES, by_lines=True, has_head=True),
    Format("jsonl", (".jsonl", ".ndjson"), "jsonl:read", "jsonl:write", ("labels", *OF_FILES), by_lines=True),
    Format("parquet", (".parquet",), "parquet:read", "parquet:write", ("labels", *OF_FILES), medium="bytes"),
    Format("ts", (".ts",), "ts:read", "ts:write", ("label",), by_lines=True, has_head=True),
    Format("npz", (".npz",), "npz:read", "npz:write", ("labels", "mask", "label"), medium="bytes"),
    Format("idx", (IDX,), "idx:read", None, ("label",), medium="bytes"),
    Format("folder", (), "folder:read", "folder:write", ("label",), medium="folder"),
    Format("masks", (), "masks:read", "masks:write", ("mask",), medium="folder"),
    Format("rttm", (".rttm",), "rttm:read", "rttm:write", ("segments",)),
    Format("stm", (".stm",), "stm:read", None, HEARD),
    Format("ctm", (".ctm",), "ctm:read", None, ("segments", "target")),
    Format("audacity", (".txt",), "audacity:read", "audacity:write", ("segments",), medium="folder"),
    TEXT,
)
PLAIN = ("text", "lines")  # whose files hold nothing to learn


def formats_for(goal: str, *, labelled: bool = True) -> dict[str, Format]:
    """The formats that can hold a goal, by name; without labels all that a task with this goal reads.

    >>> list(formats_for("label"))
    ['csv', 'tsv', 'jsonl', 'parquet', 'ts', 'npz', 'idx', 'folder', 'stm']
    """
    if goal == "nothing":
        found = {row.name: row for row in FORMATS if row.name != "lines"}
    else:
        found = {row.name: row for row in FORMATS if goal in row.holds}
        if not labelled and "lines" not in found:
            found["text"] = TEXT
        if not labelled:
            found |= {row.name: row for row in MEDIA}
    return found


def find_format(
    source: str | Path, format: str = "auto", *, goal: str, labelled: bool = True, beside: str | Path | None = None
) -> Format:
    """The format that a file is read in: the one given, else the one that its name, or a file beside it, tells.

    >>> find_format("train.conllu.gz", goal="labels").name, find_format("-", goal="label", labelled=False).name
    ('conllu', 'text')

    Raises:
        ConfigError: a format that does not exist, or that does not go with a file ``beside``.
        DataError: a name that tells nothing.
    """
    known = formats_for(goal, labelled=labelled)
    if format != "auto":
        if format in (*PLAIN, *(row.name for row in MEDIA)) and labelled and format not in known:
            goals, names = "targets" if goal == "target" else "labels", ", ".join(known)
            raise DataError(f"a format with {goals} ({names})", f"{format}, which has none", path=show(source))
        found = known[check_name(format, ("auto", *known))]
    elif beside is not None:
        found = known["lines"]
    else:
        found = _by_name(source, known, goal, labelled=labelled)
    if beside is not None and found.name != "lines":
        raise ConfigError(f"format must be lines beside a file of targets ('{beside}'), got '{found.name}'")
    if labelled and found.name == "lines" and beside is None:
        raise ConfigError(f"format=lines needs the file of targets beside '{show(source)}', got none")
    return found


def _by_name(source: str | Path, known: dict[str, Format], goal: str, *, labelled: bool) -> Format:
    of_folders = next((row for row in known.values() if row.medium == "folder"), None)
    if of_folders is not None and str(source) != STDIN and Path(source).is_dir():
        return of_folders
    plain = next((known[name] for name in PLAIN if name in known), None)
    suffix = ending(source)
    rows = [row for row in known.values() if suffix in row.endings]
    found = plain if plain in rows else next(iter(rows), None)
    anything = goal in ("target", "nothing")  # of which any file of lines has some
    may_be_plain = not labelled or goal == "nothing"
    if plain is not None and may_be_plain and (str(source) == STDIN or (found is None and anything)):
        return plain
    if found is None or (found is plain and labelled and goal != "nothing"):
        if str(source) != STDIN:
            check_file(source)
        choices = ", ".join(name for name in known if name not in PLAIN or not labelled)
        found_ending = f"the ending '{suffix}'" if suffix else "no ending"
        if suffix == ".txt":
            found_ending += ", which is that of text without labels"
        hint = "; a file of lines needs one of targets beside it" if goal == "target" else ""
        expected = f"a name whose ending tells the format, or the format itself ({choices})"
        raise DataError(expected, found_ending + hint, path=show(source))
    return found


def writable_formats(goal: str) -> dict[str, Format]:
    """The formats in which predictions can be written.

    >>> list(writable_formats("label"))
    ['csv', 'tsv', 'jsonl', 'parquet', 'ts', 'npz', 'folder', 'text']
    """
    plain = {} if goal in ("segments", "mask") else {"text": TEXT}  # a line has no place for times, nor for pixels
    return {name: row for name, row in (formats_for(goal) | plain).items() if row.writer is not None}


def output_format(source: Any, format: str = "auto", *, goal: str, output: str | None = None) -> Format:
    """The format in which predictions for a source are written: that which the name of a file to write tells.

    Else its own, if that is one of text, or Parquet and goes into a file; else jsonl.

    Raises:
        ConfigError: a format that does not exist.
        DataError: a name that tells nothing.
    """
    known = writable_formats(goal)
    suffix = "" if output is None else ending(output)
    told = next((row for row in known.values() if suffix in row.endings and row.name not in PLAIN), None)
    if told is not None:
        return told
    if isinstance(source, str | Path):
        found = find_format(source, format, goal=goal, labelled=False)
        is_text = found.medium == "text" or (found.name == "parquet" and output is not None)
        if found.name in known and is_text and found.name != "ts":
            return found
    return known["jsonl"]


def check_name(format: str, known: tuple[str, ...]) -> str:
    """The name of a format, if there is one.

    Raises:
        ConfigError: there is not; the message has the nearest name.
    """
    if format in known:
        return format
    near = get_close_matches(format, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"format must be {', '.join(known)}, got '{format}'{hint}")


def ending(source: str | Path) -> str:
    """The end of a name that tells its format.

    >>> ending("train.v2.TSV.gz"), ending("train"), ending("train-images-idx3-ubyte.gz")
    ('.tsv', '', '.idx')
    """
    if Path(source).name.lower().removesuffix(".gz").endswith("-ubyte"):
        return IDX
    suffixes = [suffix.lower() for suffix in Path(source).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def _find(name: str) -> Any:
    module, function = name.split(":")
    return getattr(import_module(f"regard.data.formats.{module}"), function)
