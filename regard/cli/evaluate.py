"""`regard evaluate`: scores of a trained model on a labelled file."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from regard.cli.common import (
    AsJson,
    Delimiter,
    Device,
    Encoding,
    Format,
    ItemColumn,
    LargestRecord,
    LargestUnpacked,
    OtherWindow,
    OtherWindows,
    Run,
    Shortest,
    Smooth,
    change_columns,
    change_options,
    change_window,
    check_apart,
    open_model,
    refuse_unknown,
)


def evaluate(
    run: Run,
    file: Annotated[str, typer.Argument(help="Labelled file or folder, as for training.", show_default=False)],
    as_json: AsJson = False,
    column: Annotated[
        str | None,
        typer.Option(
            "--column", "--target-column", help="Which label to score; that of training if unset.", show_default=False
        ),
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
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="PNG", help="Draw how far probabilities are to be believed (classify).", show_default=False
        ),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the wrong predictions, most confident first: .tsv, .csv or .jsonl (all tasks but pretrain).",
            show_default=False,
        ),
    ] = None,
    smooth: Smooth = None,
    shortest: Shortest = None,
    pairs: Annotated[
        bool,
        typer.Option("--pairs", help="Tell how well two examples are told to have one label or two (classify)."),
    ] = False,
    window: OtherWindow = None,
    windows: OtherWindows = None,
    item_column: ItemColumn = None,
    bad_records: Annotated[
        Literal["refuse", "skip"] | None,
        typer.Option(help="What becomes of records that cannot be used; as in training if unset.", show_default=False),
    ] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    largest_record: LargestRecord = None,
    largest_unpacked: LargestUnpacked = None,
    device: Device = "auto",
) -> None:
    """Score a trained model on labelled data."""
    from regard.cli.report import print_by_label, print_json, print_table
    from regard.tasks.run_folder import check_output
    from regard.tasks.wrong import check_ending
    from regard.training.learner import is_main_process
    from regard.training.spread import shared

    options = {
        "unseen_labels": unseen_labels,
        "target": target,
        "beam": beam,
        "confusion": confusion,
        "calibration": calibration,
        "smooth": smooth,
        "shortest": shortest,
        "pairs": pairs or None,
        "errors": errors,
    }
    for name, written in (("confusion", confusion), ("calibration", calibration), ("errors", errors)):
        if written is not None:
            check_output(written, name)
            check_apart(written, file, target, option=name)
    if errors is not None:
        check_ending(errors)
    model = open_model(run, device)
    change_columns(model, column, item_column)
    change_options(
        model,
        bad_records=bad_records,
        delimiter=delimiter,
        encoding=encoding,
        largest_record=largest_record,
        largest_unpacked=largest_unpacked,
    )
    change_window(model, window, windows)
    given = {name: value for name, value in options.items() if value is not None}
    if "unseen_labels" in given and hasattr(model.config, "unseen_labels"):
        change_options(model, unseen_labels=given.pop("unseen_labels"))
    refuse_unknown(given, model.evaluate, model.config.task)
    if hasattr(model, "labels"):
        given["by_label"] = True
    if not is_main_process():  # which writes, and tells
        for name in ("confusion", "calibration", "errors"):
            given.pop(name, None)
    with shared():
        scores = model.evaluate(file, format=format, **given)
    if not is_main_process():
        return
    if as_json:
        print_json(scores)
        return
    by_label = scores.pop("by_label", {})
    print_table(f"scores on {file}", {run: scores})
    print_by_label(by_label)
    if model.config.task == "transduce":
        from regard.tasks.transduce.metrics import signatures

        typer.echo(signatures())
