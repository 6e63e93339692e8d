"""The commands. Each imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.cli.train import train, with_config_flags
from regard.tasks import TASKS, Task

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
Format = Annotated[str, typer.Option(help="auto, or one of those that training reads; auto goes by the file's name.")]
ReadFormat = Annotated[
    str, typer.Option(help="auto, text, or one of those that training reads; auto goes by the file's name.")
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


ConfigFile = Annotated[
    str | None, typer.Option(help="TOML file of the options below; a flag wins over it.", show_default=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output where it stopped.")]


def _add_training(task: Task) -> None:
    @with_config_flags(task.config)
    def command(
        *, config: ConfigFile = None, resume: Resume = False, as_json: AsJson = False, flags: dict[str, Any]
    ) -> None:
        train(task, flags, config=config, resume=resume, as_json=as_json)

    command.__doc__ = task.help
    train_app.command(task.name)(command)


for _task in TASKS.values():
    _add_training(_task)


@app.command()
def export(
    run: Run,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder to write.", show_default=False)],
    format: Annotated[Literal["huggingface"], typer.Option(help="What will open it.")] = "huggingface",
) -> None:
    """Write a model that other programs open: a BERT for `transformers`."""
    from regard.cli.export import export

    export(run, output)


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
    target: Annotated[
        str | None, typer.Option(help="File of targets, where FILE is one of sources.", show_default=False)
    ] = None,
    beam: Annotated[
        int | None, typer.Option(help="Hypotheses kept in decoding; as in training if unset.", show_default=False)
    ] = None,
    confusion: Annotated[
        str | None,
        typer.Option(metavar="PNG", help="Draw which labels are taken for which (classify).", show_default=False),
    ] = None,
    device: Device = "auto",
) -> None:
    """Score a trained model on a labelled file."""
    from regard.cli.evaluate import evaluate

    options = {
        "column": column,
        "unseen_labels": unseen_labels,
        "target": target,
        "beam": beam,
        "confusion": confusion,
    }
    evaluate(run, file, options, format=format, as_json=as_json, device=device)


def _decoding(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, help=help, show_default=False, rich_help_panel="Decoding (transduce)")


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
            help="Any that holds what the task predicts: conllu, csv, jsonl, text, ...; that of the input if unset.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    column: Annotated[
        str | None, typer.Option(help="Which column to fill; that of training if unset.", show_default=False)
    ] = None,
    item_column: Annotated[
        str | None,
        typer.Option(
            "--text-column",
            "--source-column",
            help="Column or key of the text; that of training if unset.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    beam: Annotated[int | None, _decoding("K", "Hypotheses kept; 1 is greedy; as in training if unset.")] = None,
    n_best: Annotated[int | None, _decoding("N", "Best outputs of each source, with their scores.")] = None,
    samples: Annotated[int | None, _decoding("N", "Draw so many outputs of each source at random instead.")] = None,
    temperature: Annotated[float | None, _decoding("X", "Of drawing: below 1 likelier, above 1 bolder.")] = None,
    top_k: Annotated[int | None, _decoding("K", "Draw from the K likeliest next items alone.")] = None,
    top_p: Annotated[float | None, _decoding("P", "Draw from the likeliest items of probability P together.")] = None,
    seed: Annotated[int | None, _decoding("N", "Draw the same again.")] = None,
) -> None:
    """Label or transduce new sequences: text, one a line, or any format that training reads."""
    from regard.cli.predict import predict

    decoding: dict[str, Any] = {
        "beam": beam,
        "n_best": n_best,
        "samples": samples,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    options = {name: value for name, value in decoding.items() if value is not None}
    written = "jsonl" if as_json else output_format
    names = {"column": column, "item_column": item_column}
    columns = {name: value for name, value in names.items() if value is not None}
    predict(run, file, options, output=output, format=format, written=written, columns=columns, device=device)


@app.command()
def info(run: Run, as_json: AsJson = False) -> None:
    """Tell what a run folder holds: network, data, scores."""
    from regard.cli.models import open_model
    from regard.cli.report import print_info, print_json

    model = open_model(run)
    if as_json:
        names = {"names": model.labels} if hasattr(model, "labels") else {}
        print_json({**model.describe(), **names, "config": model.config.model_dump(), **model.scores})
    else:
        print_info(model, run)


@app.command()
def view(
    run: Run,
    given: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A text (a tagger's words are separated by spaces); or a file."),
    ],
    number: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="INPUT is a file: draw its N-th sequence.", show_default=False),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Page or picture: .html, .png, .svg, .pdf.")
    ] = "page.html",
) -> None:
    """Draw who attends to whom in one sequence: a heat map for every layer and head."""
    from regard.cli.view import view

    view(run, given, number=number, output=output)


@app.command()
def demo(
    task: Annotated[Literal["label", "classify", "transduce"], typer.Argument(help="Which demo.")] = "label",
    output: Annotated[
        str | None,
        typer.Option(help="Run folder to write, or to use again; runs/demo-TASK if unset.", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data; training's default if unset.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds, not minutes: a small network on few sentences.")
    ] = False,
) -> None:
    """Train on real data, score, and show: a tagger; who is speaking; how words are pronounced."""
    from regard.demo import DEMOS

    DEMOS[task](Path(output or f"runs/demo-{task}"), epochs=epochs, quick=quick)
