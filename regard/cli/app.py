"""The commands. Each imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.cli.options import with_config_flags

app = typer.Typer(
    help="Self-attention that you can train, see and scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(help="Train a model from labelled files.", no_args_is_help=True)
app.add_typer(train_app, name="train")

Run = Annotated[str, typer.Argument(help="Run folder of a trained model.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (JSON Lines of predictions), for machines.")]
Format = Annotated[str, typer.Option(help="auto, conllu, columns, jsonl, tsv or npz; auto goes by the file's name.")]
ReadFormat = Annotated[
    str, typer.Option(help="auto, conllu, columns, jsonl, tsv, npz or text; auto goes by the file's name.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from regard import __version__

        typer.echo(f"regard {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the log, and the traceback of an error; works after any command too.")
    ] = False,
) -> None:
    pass


@train_app.command("label")
@with_config_flags
def train_label(
    *,
    config: Annotated[
        str | None, typer.Option(help="TOML file of the options below; a flag wins over it.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output where it stopped.")] = False,
    as_json: AsJson = False,
    flags: dict[str, Any],
) -> None:
    """Learn one label for every word (or vector) of a sequence."""
    from regard.cli.train import train

    train(flags, config=config, resume=resume, as_json=as_json)


@app.command()
def evaluate(
    run: Run,
    file: Annotated[str, typer.Argument(help="Labelled file.", show_default=False)],
    as_json: AsJson = False,
    column: Annotated[
        str | None, typer.Option(help="Which label to score; that of training if unset.", show_default=False)
    ] = None,
    format: Format = "auto",
    unseen_labels: Annotated[
        Literal["refuse", "count-wrong"] | None,
        typer.Option(help="Labels that training never had; as in training if unset.", show_default=False),
    ] = None,
    device: Device = "auto",
) -> None:
    """Score a trained model on a labelled file."""
    from regard.cli.models import open_model
    from regard.cli.report import print_json, print_table

    labeler = open_model(run, device)
    if unseen_labels is not None:
        labeler.config = labeler.config.model_copy(update={"unseen_labels": unseen_labels})
    scores = labeler.evaluate(file, format=format, column=column)
    if as_json:
        print_json(scores)
    else:
        print_table(f"scores on {file}", {run: scores})


@app.command()
def predict(
    run: Run,
    file: Annotated[str, typer.Argument(help="File to label; - is standard input.")] = "-",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; standard output if unset.", show_default=False)
    ] = None,
    format: ReadFormat = "auto",
    output_format: Annotated[
        str | None,
        typer.Option(
            help="conllu, columns, jsonl, tsv or text (word/label); that of the input if unset.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    column: Annotated[
        str | None, typer.Option(help="Column of CoNLL-U to fill; that of training if unset.", show_default=False)
    ] = None,
    device: Device = "auto",
) -> None:
    """Label new sequences: text with one sentence a line, or any format that training reads."""
    from regard.cli.predict import predict

    target = "jsonl" if as_json else output_format
    predict(run, file, output=output, format=format, output_format=target, column=column, device=device)


@app.command()
def info(run: Run, as_json: AsJson = False) -> None:
    """Tell what a run folder holds: network, data, scores."""
    from regard.cli.models import open_model
    from regard.cli.report import print_info, print_json

    labeler = open_model(run)
    if as_json:
        print_json(
            {**labeler.describe(), "names": labeler.labels, "config": labeler.config.model_dump(), **labeler.scores}
        )
    else:
        print_info(labeler, run)


@app.command()
def view(
    run: Run,
    words: Annotated[str, typer.Argument(metavar="INPUT", help="A sentence, its words separated by spaces.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Page or picture: .html, .png, .svg, .pdf.")
    ] = "page.html",
) -> None:
    """Draw who attends to whom in one sentence: a heat map for every layer and head."""
    from regard.cli.models import open_model

    typer.echo(f"{open_model(run).attention(words.split()).save(output)}")


@app.command()
def demo(
    task: Annotated[Literal["label"], typer.Argument(help="Which demo.")] = "label",
    output: Annotated[str, typer.Option(help="Run folder to write, or to use again.")] = "runs/demo-label",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data; training's default if unset.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds, not minutes: a small network on few sentences.")
    ] = False,
) -> None:
    """Train a tagger on a real treebank, score it, and draw what it attended to."""
    from regard.demo import demo_label

    demo_label(Path(output), epochs=epochs, quick=quick)
