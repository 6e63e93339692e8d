"""`regard predict`: answers as the input comes in, so that it works in a pipe and on files of any size."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import typer

from regard.cli.common import (
    AsJson,
    Delimiter,
    Device,
    Encoding,
    ItemColumn,
    LargestRecord,
    LargestUnpacked,
    OtherWindow,
    OtherWindows,
    ReadFormat,
    Run,
    Shortest,
    Smooth,
    change_options,
    change_window,
    check_apart,
    open_model,
    refuse_unknown,
)
from regard.data.formats import Format, check_name, output_format, writable_formats
from regard.errors import ConfigError
from regard.files import atomic_folder, atomic_write
from regard.machine import processes

MOST = 1024  # sequences predicted at once
WHOLE = ("label", "target")  # goals of which each candidate is an answer by itself, and can be a row of a table
T = TypeVar("T")


_decoding = partial(typer.Option, show_default=False, rich_help_panel="Decoding (transduce, transcribe)")


def predict(
    run: Run,
    file: Annotated[
        str,
        typer.Argument(help="Text, recording, image, or any file or folder that training reads; - is standard input."),
    ] = "-",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; standard output if unset.", show_default=False)
    ] = None,
    format: ReadFormat = "auto",
    output_format: Annotated[
        str | None,
        typer.Option(
            help="Any that holds what the task predicts: conllu, csv, jsonl, rttm, ...; if unset as --output ends, "
            "or as that of the input.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    column: Annotated[
        str | None,
        typer.Option(
            "--column",
            "--target-column",
            help="Which column to fill; if unset that of training, or predicted_NAME where a table has that.",
            show_default=False,
        ),
    ] = None,
    item_column: ItemColumn = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            "--n-best",
            metavar="N",
            help="Tell the N best with their scores: labels of a sequence or an item, outputs, guesses for a blank.",
            show_default=False,
        ),
    ] = None,
    smooth: Smooth = None,
    shortest: Shortest = None,
    window: OtherWindow = None,
    windows: OtherWindows = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    largest_record: LargestRecord = None,
    largest_unpacked: LargestUnpacked = None,
    device: Device = "auto",
    beam: Annotated[
        int | None, _decoding(metavar="K", help="Hypotheses kept; 1 is greedy; as in training if unset.")
    ] = None,
    samples: Annotated[
        int | None, _decoding(metavar="N", help="Draw so many outputs of each source at random instead.")
    ] = None,
    temperature: Annotated[
        float | None, _decoding(metavar="X", help="Of drawing: below 1 likelier, above 1 bolder.")
    ] = None,
    top_k: Annotated[int | None, _decoding(metavar="K", help="Draw from the K likeliest next items alone.")] = None,
    top_p: Annotated[
        float | None, _decoding(metavar="P", help="Draw from the likeliest items of probability P together.")
    ] = None,
    seed: Annotated[int | None, _decoding(metavar="N", help="Draw the same again.")] = None,
) -> None:
    """Answer for new data: texts, one a line, recordings, images, or any format that training reads.

    Under torchrun all processes answer together, and one writes.
    """
    from regard.tasks.run_folder import check_output

    answering: dict[str, Any] = {
        "smooth": smooth,
        "shortest": shortest,
        "beam": beam,
        "top": top,
        "samples": samples,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    options = {name: value for name, value in answering.items() if value is not None}
    written = "jsonl" if as_json else output_format
    names = {"column": column, "item_column": item_column}
    columns = {name: value for name, value in names.items() if value is not None}
    if file == "-" and processes() > 1:
        raise ConfigError("standard input comes to one process and not to the others; name a file")
    if output is not None:
        check_output(output)
        check_apart(output, file)
    model = open_model(run, device)
    change_options(
        model,
        delimiter=delimiter,
        encoding=encoding,
        largest_record=largest_record,
        largest_unpacked=largest_unpacked,
    )
    change_window(model, window, windows)
    _predict(model, file, options, output=output, format=format, written=written, columns=columns)


def _predict(
    model: Any,
    source: str,
    options: dict[str, Any],
    *,
    output: str | None,
    format: str,
    written: str | None,
    columns: dict[str, Any],
) -> None:
    """Reads, predicts and writes; a file takes its place only when it is complete.

    Arguments:
        options: of the answers of a task.
        format: of the source; ``written``: of what is written, None for that of the source.
        columns: names in the file, ``column`` of the goal and ``item_column``, where they are not those of training.

    Raises:
        ConfigError: an option that this task does not have, or one that needs another.
    """
    from regard.data import open_writer
    from regard.tasks.files import columns_of, item_kind, iter_read
    from regard.training.learner import is_main_process
    from regard.training.spread import shared

    seeded = "generator" in inspect.signature(model.answers).parameters
    refuse_unknown({name for name in options if name != "seed" or not seeded}, model.answers, model.config.task)
    options = _with_generator(options, model)
    examples = iter_read(model, source, format=format, **columns)
    goal, kind = model.config.gives, item_kind(model.config)
    known = writable_formats(goal)
    several = "top" in options or options.get("samples", 1) > 1
    row = _written_as(model, source, format, known, written, output, several=several)

    def answered() -> Iterator[tuple[list[Any], list[dict[str, Any]]]]:
        with shared():
            yield from ((some, model.answers(some, **options)) for some in growing(examples))

    if not is_main_process():  # which writes what all answer
        deque(answered(), maxlen=0)
        return

    def write(file: IO[Any] | Path) -> None:
        names: dict[str, Any] = (columns_of(model, kind) if model.config.goal == goal else {}) | columns
        how: dict[str, Any] = {"several": several, "items": kind, "fills": "column" in columns}
        how["delimiter"] = model.config.delimiter
        with open_writer(file, format=row.name, goal=goal, **how, **names) as put:
            for some, answers in answered():
                for example, answer in zip(some, answers, strict=True):
                    put(example, answer)
                if not isinstance(file, Path):
                    file.flush()

    if row.medium == "folder":
        if output is None:
            raise ConfigError(f"output: required with the format {row.name}; name a folder to write")
        with atomic_folder(output) as folder:
            write(folder)
    elif output is not None:
        with atomic_write(output, binary=row.medium == "bytes") as file:
            write(file)
    elif row.medium == "bytes":
        write(sys.stdout.buffer)
    else:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        write(sys.stdout)


def _written_as(
    model: Any,
    source: str,
    format: str,
    known: dict[str, Format],
    written: str | None,
    output: str | None,
    *,
    several: bool,
) -> Format:
    """The format that was asked for, else that of the source; of several candidates one that can hold them."""
    if written is None:
        row = output_format(source, format, goal=model.config.gives, output=output)
    else:
        row = known[check_name(written, tuple(known))]
    if not several or model.config.goal in WHOLE or row.name == "jsonl":
        return row
    if written is not None:
        raise ConfigError(f"top: {row.name} holds one answer for each item; leave out --top, or the format, or --json")
    return known["jsonl"]


def _with_generator(options: dict[str, Any], model: Any) -> dict[str, Any]:
    """With one source of random numbers for all batches in the place of a seed."""
    import torch

    from regard.tasks.fitting import device_of

    seed = options.get("seed")
    if "samples" not in options:
        if seed is not None:
            raise ConfigError("seed: for outputs drawn at random; add --samples 1")
        return options
    generator = torch.Generator(device_of(model.network))
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return {name: value for name, value in options.items() if name != "seed"} | {"generator": generator}


def growing(examples: Iterable[T]) -> Iterator[list[T]]:
    """Lists of 1, 4, 16, ... examples: the first answers come at once, later ones in batches that are worth it."""
    rest, size = iter(examples), 1
    while some := list(islice(rest, size)):
        yield some
        size = min(4 * size, MOST)
